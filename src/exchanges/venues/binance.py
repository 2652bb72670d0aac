"""Binance spot: proven end to end against the simulated exchange."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    BookCall,
    Call,
    CancelAll,
    ClientIds,
    Expiry,
    OwnOrders,
    OwnTrades,
    Proof,
    Reply,
    Sandbox,
    UserStream,
    Venue,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import Cost, RateLimits

BINANCE = Venue(
    ccxt_id="binance",
    proof=Proof.END_TO_END,
    domains=(".binance.com",),
    sandbox=Sandbox.TESTNET,
    ids=ClientIds(codec=Base62Codec(), pattern=r"[.A-Z:/a-z0-9_-]{1,36}"),
    place_reply=Reply.ORDER,
    cancel_reply=Reply.ORDER,
    post_only_wire="type LIMIT_MAKER",
    create_batch=0,
    cancel_batch=0,
    cancel_all=CancelAll.SYMBOL,
    dead_man_switch=None,
    expiry=Expiry(name="recvWindow"),
    trades=OwnTrades(page=1_000, from_id="fromId", order="orderId"),
    orders=OwnOrders(page=1_000, from_id="orderId"),
    book=BookCall.BOOK_TICKER,
    user_streams=(UserStream.ORDERS, UserStream.TRADES),
    signs_in=True,
    account_socket="ws-api",
    # Two subscriptions a symbol; a socket takes five messages a second.
    subscribe_every_s=0.5,
    limits=RateLimits(weight_per_minute=6_000, orders_per_10s=100),
    costs=MappingProxyType(
        {
            Call.PLACE: Cost(weight=1, orders=1),
            Call.CANCEL: Cost(weight=1),
            Call.ORDER: Cost(weight=4),
            Call.OPEN_ORDERS: Cost(weight=6),
            Call.ORDERS: Cost(weight=20),
            Call.TRADES: Cost(weight=20),
            Call.BALANCES: Cost(weight=20),
            Call.QUOTE: Cost(weight=3),
            Call.QUOTES: Cost(weight=4),
            Call.CANDLES: Cost(weight=2),
            Call.TIME: Cost(weight=1),
            Call.MARKETS: Cost(weight=22),
        }
    ),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            "fetchMargins": False,
            # Stamp requests with the venue's time.
            "adjustForTimeDifference": True,
            # Reply with the order's state; its trades come by stream and look-up.
            "newOrderRespType": {"limit": "RESULT", "market": "RESULT"},
            # All symbols on one socket, up to the venue's number of streams.
            "streamLimits": {"spot": 1},
            "subscriptionLimitByStream": {"spot": 1_024},
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(
        ("immediately match", "would_cross"),
        ("Duplicate order sent", "duplicate"),
        ("Filter failure", "filter"),
        ("LOT_SIZE", "filter"),
        ("PRICE_FILTER", "filter"),
        ('"code":-1013', "filter"),
        ('"code":-1111', "filter"),
    ),
    notes=("A client id is unique among open orders only.",),
)

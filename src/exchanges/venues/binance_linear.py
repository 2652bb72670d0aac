"""Binance USD-M perpetuals: proven end to end against the simulated exchange."""

from __future__ import annotations

from types import MappingProxyType

from domain.instrument import MarketKind
from exchanges.capabilities import (
    CACHED_EVENTS,
    BookCall,
    Call,
    CancelAll,
    ClientIds,
    DeadManSwitch,
    Expiry,
    OwnOrders,
    OwnTrades,
    PlaceBatch,
    Proof,
    Reply,
    Sandbox,
    UserStream,
    Venue,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import Cost, RateLimits

BINANCE_LINEAR = Venue(
    ccxt_id="binance",
    market=MarketKind.LINEAR,
    proof=Proof.END_TO_END,
    domains=(".binance.com",),
    sandbox=Sandbox.TESTNET,
    ids=ClientIds(codec=Base62Codec(), pattern=r"[.A-Z:/a-z0-9_-]{1,36}"),
    place_reply=Reply.ORDER,
    cancel_reply=Reply.ORDER,
    post_only_wire="timeInForce GTX",
    create_batch=5,
    cancel_batch=10,
    place_batch=PlaceBatch(most=5, api="fapiPrivate"),
    cancel_all=CancelAll.SYMBOL,
    dead_man_switch=DeadManSwitch(name="countdownCancelAll", least_s=1, most_s=86_400, is_fed=True),
    expiry=Expiry(name="recvWindow"),
    trades=OwnTrades(page=1_000, from_id="fromId", order="orderId"),
    orders=OwnOrders(page=1_000, from_id="orderId"),
    # ccxt knows them by the account's tier only, and as floats: the market's are taken.
    has_account_fees=False,
    book=BookCall.BOOK_TICKER,
    user_streams=(UserStream.ORDERS, UserStream.TRADES, UserStream.WALLETS),
    signs_in=True,
    account_socket="/private/",
    subscribe_every_s=0.5,
    limits=RateLimits(weight_per_minute=2_400, orders_per_10s=300),
    costs=MappingProxyType(
        {
            Call.PLACE: Cost(weight=1, orders=1),
            # However few.
            Call.PLACE_BATCH: Cost(weight=5, orders=5),
            Call.CANCEL: Cost(weight=1),
            Call.ORDER: Cost(weight=1),
            Call.OPEN_ORDERS: Cost(weight=1),
            Call.ORDERS: Cost(weight=5),
            Call.TRADES: Cost(weight=5),
            Call.BALANCES: Cost(weight=5),
            Call.QUOTE: Cost(weight=3),
            Call.QUOTES: Cost(weight=5),
            Call.CANDLES: Cost(weight=5),
            Call.TIME: Cost(weight=1),
            # With the position mode.
            Call.MARKETS: Cost(weight=31),
            Call.PREPARE: Cost(weight=7),
            Call.DEAD_MAN_SWITCH: Cost(weight=10),
            Call.POSITION: Cost(weight=5),
            Call.INCOME: Cost(weight=30),
        }
    ),
    options=MappingProxyType(
        {
            "defaultType": "swap",
            "defaultSubType": "linear",
            "fetchMarkets": {"types": ["linear"]},
            "fetchCurrencies": False,
            "fetchMargins": False,
            # Stamp requests with the venue's time.
            "adjustForTimeDifference": True,
            # Reply with the order's state; its trades come by stream and look-up.
            "newOrderRespType": {"limit": "RESULT", "market": "RESULT"},
            # Snapshots would be requests beside the rate budget.
            "watchPositions": {"fetchPositionsSnapshot": False},
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(
        ('"code":-2022', "reduce_only"),
        # More than the leverage allows: as with margin, only what is closed makes room.
        ('"code":-2027', "insufficient_funds"),
        ('"code":-5022', "would_cross"),
        ('"code":-4116', "duplicate"),
        ('"code":-1013', "filter"),
        ('"code":-1111', "filter"),
        ('"code":-4003', "filter"),
        ('"code":-4014', "filter"),
        ('"code":-4016', "filter"),
        ('"code":-4023', "filter"),
        ('"code":-4024', "filter"),
        ('"code":-4164', "filter"),
    ),
    notes=(
        "A client id is unique among open orders only.",
        "One-way position mode only.",
        "Orders of one decision are placed by fives; each is cancelled by itself.",
    ),
)

"""Bybit spot, on a unified trading account."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    CancelAll,
    ClientIds,
    DeadManSwitch,
    Expiry,
    LookUp,
    OwnTrades,
    Proof,
    Sandbox,
    UserStream,
    Venue,
    plain_costs,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import RateLimits

BYBIT = Venue(
    ccxt_id="bybit",
    proof=Proof.RECORDED_SHAPES,
    domains=(".bybit.com",),
    sandbox=Sandbox.TESTNET,
    ids=ClientIds(
        codec=Base62Codec(),
        pattern=r"[A-Za-z0-9_-]{1,36}",
        # The unified name would leave as an unknown parameter.
        cancel="orderLinkId",
        # `fetch_order` sends an order id even where there is none.
        look_up=LookUp.LISTS,
        fetch="orderLinkId",
        history="fetch_canceled_and_closed_orders",
    ),
    post_only_wire="timeInForce PostOnly",
    create_batch=10,
    cancel_batch=10,
    cancel_all=CancelAll.SYMBOL,
    dead_man_switch=DeadManSwitch(name="order/disconnected-cancel-all", least_s=3, most_s=300),
    expiry=Expiry(name="X-BAPI-RECV-WINDOW"),
    trades=OwnTrades(page=100, order="orderId", window_days=7, history_days=180),
    # ccxt has no such request for spot.
    has_account_fees=False,
    user_streams=(UserStream.ORDERS, UserStream.TRADES),
    limits=RateLimits(weight_per_minute=3_000, orders_per_10s=100),
    costs=plain_costs(),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "adjustForTimeDifference": True,
            # Asking whether the account is unified would be one more request, at any time.
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(
        ('"retCode":170141', "duplicate"),
        ('"retCode":170140', "filter"),
        ('"retCode":170136', "filter"),
    ),
    notes=(
        "A post-only order that would cross is taken and then rejected: the look-up tells.",
        "Trades are asked for in windows of seven days.",
    ),
)

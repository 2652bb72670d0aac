"""Kraken spot."""

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

KRAKEN = Venue(
    ccxt_id="kraken",
    proof=Proof.RECORDED_SHAPES,
    domains=(".kraken.com",),
    sandbox=Sandbox.NONE,
    ids=ClientIds(
        codec=Base62Codec(),
        pattern=r"[A-Za-z0-9]{1,18}",
        # `fetch_order` would put the client id into another field and ask for an empty id.
        look_up=LookUp.LISTS,
    ),
    post_only_wire="oflags post",
    create_batch=15,
    cancel_batch=50,
    cancel_all=CancelAll.ACCOUNT,
    dead_man_switch=DeadManSwitch(name="CancelAllOrdersAfter", least_s=1, most_s=86_400),
    expiry=Expiry(name="deadline", deadline="deadline", least_ms=5_000),
    trades=OwnTrades(
        page=50, window_days=3_650, history_days=3_650, step_ms=1_000, of_account=True
    ),
    has_account_fees=False,
    user_streams=(UserStream.ORDERS, UserStream.TRADES),
    signs_in=True,
    account_socket="auth",
    limits=RateLimits(weight_per_minute=60, orders_per_10s=20),
    costs=plain_costs(),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            "adjustForTimeDifference": True,
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(
        ("cl_ord_id", "duplicate"),
        ("EOrder:Post only order", "would_cross"),
        ("EOrder:Order minimum not met", "filter"),
        ("EOrder:Cost minimum not met", "filter"),
        ("EOrder:Tick size check failed", "filter"),
    ),
    notes=(
        "Only a place expires, by its deadline; a late cancel names one order and does no harm.",
        "Requests carry a rising nonce: give the key a nonce window of some seconds.",
        "Cancel-all ignores the symbol.",
        "Trades are told for all symbols at once, 50 a request.",
    ),
)

"""Gate spot."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    Address,
    CancelAll,
    ClientIds,
    OwnTrades,
    Proof,
    Reply,
    Sandbox,
    UserStream,
    Venue,
    plain_costs,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import RateLimits

GATE = Venue(
    ccxt_id="gate",
    proof=Proof.RECORDED_SHAPES,
    domains=(".gateio.ws", ".gate.io", ".gate.com"),
    sandbox=Sandbox.NONE,
    ids=ClientIds(
        codec=Base62Codec(prefix="t-"),
        pattern=r"t-[A-Za-z0-9_.-]{1,26}",
        create="text",
        # The unified name would leave as an unknown parameter.
        cancel_by=Address.IN_PLACE_OF_ID,
        look_up_by=Address.IN_PLACE_OF_ID,
    ),
    place_reply=Reply.ORDER,
    cancel_reply=Reply.ORDER,
    post_only_wire="time_in_force poc",
    create_batch=40,
    cancel_batch=10,
    cancel_all=CancelAll.SYMBOL,
    dead_man_switch=None,
    expiry=None,
    trades=OwnTrades(page=1_000, order="order_id", window_days=30, history_days=90, step_ms=1_000),
    user_streams=(UserStream.ORDERS, UserStream.TRADES),
    # One socket carries all: losing the account's stream costs the market streams theirs.
    account_socket="/v4/",
    limits=RateLimits(weight_per_minute=1_200, orders_per_10s=100),
    costs=plain_costs(),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            # Asking whether the account is unified would be one more request.
            "unifiedAccount": False,
            "adjustForTimeDifference": True,
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(("REPEATED_CREATION", "duplicate"), ("text already", "duplicate")),
    notes=("ccxt's testnet of this venue is for futures.",),
)

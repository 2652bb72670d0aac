"""Bitvavo spot."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    CancelAll,
    ClientIds,
    DeadManSwitch,
    Expiry,
    OwnTrades,
    Proof,
    Reply,
    Sandbox,
    Venue,
    plain_costs,
)
from exchanges.id_codecs import Uuid8Codec
from exchanges.rate_budget import RateLimits

#: The venue wants to know which of an account's traders sent an order; we are one.
OPERATOR_ID = 1

BITVAVO = Venue(
    ccxt_id="bitvavo",
    proof=Proof.RECORDED_SHAPES,
    domains=(".bitvavo.com",),
    sandbox=Sandbox.NONE,
    ids=ClientIds(
        codec=Uuid8Codec(),
        pattern=r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        # ccxt's parser always leaves it out.
        in_reply="clientOrderId",
    ),
    place_reply=Reply.ORDER,
    post_only_wire="postOnly true",
    create_batch=0,
    cancel_batch=0,
    cancel_all=CancelAll.SYMBOL,
    dead_man_switch=DeadManSwitch(name="cancelOrdersAfter", least_s=10, most_s=300),
    expiry=Expiry(name="BITVAVO-ACCESS-WINDOW"),
    trades=OwnTrades(page=1_000, window_days=1, history_days=30),
    limits=RateLimits(weight_per_minute=500, orders_per_10s=50),
    costs=plain_costs(),
    options=MappingProxyType(
        {
            "operatorId": OPERATOR_ID,
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(("clientOrderId", "duplicate"), ('"errorCode":217', "filter")),
    notes=(
        "The account has no stream of all its symbols: it is polled.",
        "Requests carry our clock, not the venue's: keep it synchronized.",
    ),
)

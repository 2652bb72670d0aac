"""Bitget spot, on a classic account."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    CancelAll,
    ClientIds,
    OwnTrades,
    Proof,
    Sandbox,
    UserStream,
    Venue,
    plain_costs,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import RateLimits

BITGET = Venue(
    ccxt_id="bitget",
    proof=Proof.RECORDED_SHAPES,
    domains=(".bitget.com",),
    sandbox=Sandbox.DEMO,
    has_passphrase=True,
    ids=ClientIds(codec=Base62Codec(), pattern=r"[A-Za-z0-9_:#-]{1,50}"),
    post_only_wire="force post_only",
    create_batch=50,
    cancel_batch=50,
    cancel_all=CancelAll.SYMBOL,
    dead_man_switch=None,
    expiry=None,
    trades=OwnTrades(page=100, order="orderId", window_days=90, history_days=90),
    user_streams=(UserStream.ORDERS, UserStream.TRADES),
    limits=RateLimits(weight_per_minute=600, orders_per_10s=100),
    costs=plain_costs(),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            # The classic endpoints; asking which account it is would be one more request.
            "uta": False,
            "adjustForTimeDifference": True,
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(
        ('"code":"43118"', "duplicate"),
        ('"code":"40786"', "duplicate"),
        ('"code":"45110"', "filter"),
    ),
    notes=("A post-only order that would cross is taken and then cancelled: the look-up tells.",),
)

"""OKX spot."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    CancelAll,
    ClientIds,
    DeadManSwitch,
    OwnTrades,
    Proof,
    Sandbox,
    UserStream,
    Venue,
    plain_costs,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import RateLimits

OKX = Venue(
    ccxt_id="okx",
    proof=Proof.RECORDED_SHAPES,
    domains=(".okx.com",),
    sandbox=Sandbox.DEMO,
    has_passphrase=True,
    ids=ClientIds(codec=Base62Codec(), pattern=r"[A-Za-z0-9]{1,32}"),
    post_only_wire="ordType post_only",
    create_batch=20,
    cancel_batch=20,
    cancel_all=CancelAll.NONE,
    dead_man_switch=DeadManSwitch(name="trade/cancel-all-after", least_s=10, most_s=120),
    # The header that would expire an order is not within ccxt's reach.
    expiry=None,
    trades=OwnTrades(page=100, order="ordId", window_days=90, history_days=90),
    has_account_fees=False,
    user_streams=(UserStream.ORDERS, UserStream.TRADES),
    limits=RateLimits(weight_per_minute=600, orders_per_10s=100),
    costs=plain_costs(),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "adjustForTimeDifference": True,
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(
        ('"sCode":"51016"', "duplicate"),
        ('"sCode":"51020"', "filter"),
        ('"sCode":"51121"', "filter"),
    ),
    notes=(
        "A post-only order that would cross is taken and then cancelled: the look-up tells.",
        "There is no cancel-all: orders are cancelled one by one.",
    ),
)

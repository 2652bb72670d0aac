"""Coinbase Advanced Trade spot."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    Address,
    CancelAll,
    ClientIds,
    LookUp,
    OwnTrades,
    Proof,
    Sandbox,
    Venue,
    plain_costs,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import RateLimits

COINBASE = Venue(
    ccxt_id="coinbase",
    proof=Proof.RECORDED_SHAPES,
    domains=(".coinbase.com",),
    sandbox=Sandbox.NONE,
    ids=ClientIds(
        codec=Base62Codec(),
        pattern=r"[A-Za-z0-9-]{1,128}",
        # ccxt drops the unified name and makes an id of its own.
        create="client_order_id",
        cancel_by=Address.VENUE_ID,
        look_up=LookUp.LISTS,
        fetch=None,
        history="fetch_orders",
    ),
    post_only_wire="post_only true",
    create_batch=0,
    cancel_batch=100,
    cancel_all=CancelAll.NONE,
    dead_man_switch=None,
    expiry=None,
    trades=OwnTrades(page=100, order="order_id", window_days=3_650, history_days=3_650),
    # Loading the markets asks for them.
    has_account_fees=False,
    limits=RateLimits(weight_per_minute=900, orders_per_10s=100),
    costs=plain_costs(),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            # The older ones know nothing of what Advanced Trade holds back for orders.
            "fetchBalance": "v3PrivateGetBrokerageAccounts",
            "fetchTime": "v3PublicGetBrokerageTime",
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
    refusals=(
        ("INSUFFICIENT_FUND", "insufficient_funds"),
        ("POST_ONLY", "would_cross"),
        ("DUPLICATE_CLIENT_ORDER_ID", "duplicate"),
    ),
    notes=(
        "An order is found by its client id only among a symbol's open and latest orders.",
        "The account's stream carries no trades: it is polled.",
    ),
)

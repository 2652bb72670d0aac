"""A record for a venue that nobody looked at: what ccxt promises, and no guarantee beyond it."""

from __future__ import annotations

from types import MappingProxyType

from exchanges.capabilities import (
    CACHED_EVENTS,
    CancelAll,
    ClientIds,
    OwnTrades,
    Proof,
    Sandbox,
    Venue,
    plain_costs,
)
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import RateLimits


def unverified(ccxt_id: str) -> Venue:
    """The most careful guesses: replies prove little, nothing expires, the account is polled."""
    return Venue(
        ccxt_id=ccxt_id,
        proof=Proof.NONE,
        domains=(),
        # ccxt refuses the sandbox mode of a venue that has none.
        sandbox=Sandbox.TESTNET,
        ids=ClientIds(codec=Base62Codec(), pattern=r"[A-Za-z0-9]{1,18}"),
        post_only_wire="as ccxt does",
        create_batch=0,
        cancel_batch=0,
        cancel_all=CancelAll.NONE,
        dead_man_switch=None,
        expiry=None,
        trades=OwnTrades(page=100, window_days=7, history_days=30),
        has_account_fees=False,
        limits=RateLimits(weight_per_minute=300, orders_per_10s=20),
        costs=plain_costs(),
        options=MappingProxyType(
            {
                "defaultType": "spot",
                "ordersLimit": CACHED_EVENTS,
                "tradesLimit": CACHED_EVENTS,
            }
        ),
    )

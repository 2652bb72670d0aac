"""Judges what became of the venue's dead-man switches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ports.store import Status
from simulation.database import Database
from simulation.invariants import AnyVenue
from simulation.venues import PerpetualsExchange
from simulator.futures_venue import COUNTDOWN_PREFIX

#: By when in calm somebody feeds every switch again: after a take-over, and a comparison that waits
#: for its part of the rate limits.
SETTLED_MS = 20_000


def check_switches(database: Database, venue: AnyVenue, wanted_s: int) -> list[str]:
    """The dead-man switches of all symbols that run are armed, where there are any."""
    if not venue.countdown_s(wanted_s, 1):
        return []
    armed = venue.armed if isinstance(venue, PerpetualsExchange) else set()
    return [
        f"dead-man switch of {row.symbol} is not armed"
        for row in database.shards.values()
        if row.status is not Status.REMOVED and row.symbol not in armed
    ]


def check_cancelled_by_switch(ledger: Sequence[Mapping[str, Any]], calm_since_ms: int) -> list[str]:
    """A venue that hears of its nodes cancels nothing by itself."""
    return [
        f"order {record['client_order_id']}: cancelled by the dead-man switch in calm"
        for record in ledger
        if record["kind"] == "order_cancelled"
        and record["cancel_client_order_id"].startswith(COUNTDOWN_PREFIX)
        and record["written_ms"] > calm_since_ms + SETTLED_MS
    ]

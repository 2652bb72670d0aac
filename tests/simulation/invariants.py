"""Judges a run from the venue's ledger and the database's rows.

The auditor's own invariants are fed from memory. Beside them here are those that need to know the
run: what a kill may leave behind, and that the shard came to rest where its grid wants it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from audit.exchange import LedgerFold
from audit.invariants import Evidence, check_all
from ports.store import Status
from simulation.clock import EPOCH_MS
from simulation.database import Database
from simulation.evidence import snapshot
from simulation.node import SETTINGS
from simulation.portfolio import Margin
from simulation.venue import accepted_orders, is_foreign
from simulation.venues import PerpetualsExchange, SpotExchange
from simulator.records import OrderType
from simulator.records import Status as VenueStatus

AnyVenue = SpotExchange | PerpetualsExchange

#: How long a comparison may take in calm.
COMPARISON_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """While the kill switch was engaged, in ms since boot."""

    engaged_ms: int
    rearmed_ms: int | None
    #: How long after it an order may still be accepted.
    allowed_ms: int

    def forbids(self, at_ms: int) -> bool:
        until_ms = self.rearmed_ms
        return at_ms > self.engaged_ms + self.allowed_ms and (until_ms is None or at_ms < until_ms)


def audit(database: Database, venue: AnyVenue) -> list[str]:
    """I1, I2, I3, I4, I7 and I8, as `gridkeeper audit` checks them.

    But for its rules of thumb that a running symbol runs and has a live order: trades of others may
    halt it, a grid whose budget is spent has none, and `check_rest` knows what is wanted exactly.
    """
    fold = LedgerFold(market=venue.market_name)
    fold.add(venue.ledger)
    results = check_all(Evidence(fold.snapshot(), snapshot(database)))
    return [
        f"{violation.invariant} {violation}"
        for result in results
        for violation in result.violations
        if not violation.subject.startswith(("orders of", "status of"))
    ]


def check_kills(kills: Sequence[Kill], ledger: Sequence[Mapping[str, Any]]) -> list[str]:
    """I6: nothing is accepted once a kill had its time to get through."""
    return [
        f"I6 order {record['client_order_id']}: accepted at {at_ms} ms, killed at {kill.engaged_ms}"
        for record in accepted_orders(ledger)
        for kill in kills
        if kill.forbids(at_ms := record["written_ms"] - EPOCH_MS)
    ]


def check_self_trades(ledger: Sequence[Mapping[str, Any]]) -> list[str]:
    """Own orders never meet: the venue expires what rests when the same account takes it."""
    violations = []
    taker = ""
    for record in ledger:
        if record["kind"] == "order_accepted":
            taker = record["client_order_id"]
        elif record.get("status") == VenueStatus.EXPIRED_IN_MATCH and not is_foreign(taker):
            violations.append(f"order {taker} met own order {record['client_order_id']}")
    return violations


def check_contracts(database: Database, venue: AnyVenue, margin: Margin) -> list[str]:
    """What only contracts have: positions as compared, liquidations as asked for, reductions."""
    if not isinstance(venue, PerpetualsExchange):
        return []
    violations = []
    reducing: dict[tuple[str, int], bool] = {}
    #: Each symbol's position, and since when.
    stood: dict[str, list[tuple[int, Decimal]]] = defaultdict(lambda: [(0, Decimal(0))])
    for record in venue.ledger:
        if record["kind"] == "order_accepted":
            reducing[record["symbol"], record["order_id"]] = record["reduce_only"]
            if record["type"] == OrderType.LIQUIDATION and not margin.liquidates:
                violations.append(f"{record['symbol']} is liquidated")
        elif record["kind"] == "order_filled":
            _, before = stood[record["symbol"]][-1]
            after = before + signed(record)
            stood[record["symbol"]].append((record["written_ms"], after))
            if reducing[record["symbol"], record["order_id"]] and not (
                abs(after) <= abs(before) and after * before >= 0
            ):
                violations.append(f"{record['client_order_id']} takes {before} to {after}")
    compared_ms = venue.now_ms() - SETTINGS.reconcile_every_ms - COMPARISON_MS
    for row in database.shards.values():
        if row.status is Status.REMOVED:
            continue
        positions = stood[venue.markets[row.symbol].name]
        ends = [since_ms for since_ms, _ in positions[1:]] + [venue.now_ms()]
        recent = {
            held for (_, held), end_ms in zip(positions, ends, strict=True) if end_ms >= compared_ms
        }
        seen = database.positions.get(row.shard)
        if seen is None or seen.quantity not in recent:
            violations.append(f"position of {row.symbol}: of late {recent}, seen was {seen}")
    return violations


def signed(record: Mapping[str, Any]) -> Decimal:
    quantity = Decimal(record["quantity"])
    return quantity if record["side"] == "BUY" else -quantity

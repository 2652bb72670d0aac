"""Judges a run from the venue's ledger and the database's rows.

The auditor's own invariants are fed from memory. Beside them here are those that need to know the
run: what a kill may leave behind, and that the shard came to rest where its grid wants it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.exchange import LedgerFold
from audit.invariants import Evidence, check_all
from domain.market import Quote
from domain.orders import OrderStatus
from grid.phase import Stage
from ports.store import Desired, Status
from simulation.clock import EPOCH_MS
from simulation.database import Database
from simulation.evidence import snapshot
from simulation.tables import ShardRow
from simulation.venue import PERSON, SimulatedVenue, accepted_orders
from simulator.records import Status as VenueStatus
from symbol_manager.course import Circumstances, stance_of
from symbol_manager.decide import decide, limits_of, to_book
from symbol_manager.mailbox import Wishes
from symbol_manager.state import ShardState

_DOUBTFUL = frozenset({OrderStatus.INTENDED, OrderStatus.SENT, OrderStatus.UNKNOWN})


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


def audit(database: Database, venue: SimulatedVenue) -> list[str]:
    """I1, I2, I3, I4, I7 and I8, as `gridkeeper audit` checks them.

    But for its rule of thumb that a running symbol has a live order: a grid whose budget is spent
    has none, and `check_rest` knows what is wanted exactly.
    """
    fold = LedgerFold()
    fold.add(venue.ledger)
    results = check_all(Evidence(fold.snapshot(), snapshot(database)))
    return [
        f"{violation.invariant} {violation}"
        for result in results
        for violation in result.violations
        if not violation.subject.startswith("orders of")
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
        elif record.get("status") == VenueStatus.EXPIRED_IN_MATCH and not taker.startswith(PERSON):
            violations.append(f"order {taker} met own order {record['client_order_id']}")
    return violations


def check_rest(database: Database, venue: SimulatedVenue, orders_per_minute: int) -> list[str]:
    """I7: what rests is what is wanted, nothing is in doubt, and no order is a stranger's."""
    violations = []
    for row in database.shards.values():
        violations += _check_status(row, database)
        stored = {
            name: order.order
            for name, order in database.orders.items()
            if order.intent.tag.shard == row.shard and order.order.is_live
        }
        violations += [
            f"I7 order {name}: still {order.status.value}"
            for name, order in stored.items()
            if order.status in _DOUBTFUL
        ]
        resting = {report.client_order_id for report in venue.open_orders()}
        if resting != set(stored):
            violations.append(f"I7 resting {sorted(resting)}, known {sorted(stored)}")
        violations += _check_wanted(row, database, venue.quote, orders_per_minute)
        if row.status in {Status.REMOVED, Status.STOPPED} and resting:
            violations.append(f"I7 {row.status.value}, but {sorted(resting)} rest")
    return violations


def _check_status(row: ShardRow, database: Database) -> list[str]:
    expected = _expected_status(row, is_killed=database.is_killed)
    if row.status is expected and (row.reason == "" or expected is not Status.RUNNING):
        return []
    return [f"I7 status: {row.status.value} ({row.reason}), wanted {expected.value}"]


def _expected_status(row: ShardRow, *, is_killed: bool) -> Status:
    if row.desired is Desired.REMOVED or row.status is Status.REMOVED:
        return Status.REMOVED
    if is_killed:
        return Status.STOPPED
    if row.desired is Desired.CLOSED:
        return Status.REMOVED
    match row.phase.stage:
        case Stage.ENDED:
            return Status.STOPPED
        case Stage.CLOSING:
            return Status.CLOSING
        case Stage.WAITING | Stage.RUNNING if row.desired is Desired.PAUSED:
            return Status.PAUSED
        case Stage.WAITING:
            return Status.WAITING
        case Stage.RUNNING:
            return Status.RUNNING


def _check_wanted(
    row: ShardRow, database: Database, quote: Quote, orders_per_minute: int
) -> list[str]:
    """A decision from the stored rows alone, with nothing remembered, has nothing to do."""
    if row.status is Status.REMOVED:
        return []
    claim = database.claim_of(row)
    state = ShardState(claim, database.load(claim))
    stance = stance_of(
        Circumstances(
            wishes=Wishes(row.desired, database.is_killed),
            phase=row.phase,
            cancels_for_stop=False,
            halt_reason="",
            rules_reason="",
            has_price=True,
            is_stale=False,
            entries_locked=False,
            has_orders=bool(state.active_orders()),
            is_flat=False,
        )
    )
    approved = decide(
        state,
        to_book(quote, claim.instrument),
        limits_of(state.grid, orders_per_minute),
        stance=stance,
        may_place=True,
        waiting=(),
        sent_last_minute=0,
        new_id=lambda tag: state.claim.key,  # type: ignore[arg-type,return-value]  # never sent
    )
    return [f"I7 the grid wants {approved.plan}"] if approved.plan else []

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
from domain.orders import OrderStatus
from grid.phase import Stage
from ports.store import Desired, Status
from simulation.clock import EPOCH_MS
from simulation.database import Database
from simulation.evidence import snapshot
from simulation.node import SETTINGS
from simulation.portfolio import Margin
from simulation.tables import ShardRow
from simulation.venue import accepted_orders, is_foreign
from simulation.venues import PerpetualsExchange, SpotExchange
from simulator.records import OrderType
from simulator.records import Status as VenueStatus
from symbol_manager.course import Circumstances, stance_of
from symbol_manager.decide import decide, limits_of, to_book
from symbol_manager.mailbox import Wishes
from symbol_manager.state import ShardState

AnyVenue = SpotExchange | PerpetualsExchange

#: Why a symbol that runs may have no entries, if the venue said so just now.
_FUNDS = "entries wait: funds are short"
#: How long a comparison may take in calm.
COMPARISON_MS = 1_000
#: What a venue may go on refusing.
_FUNDS_ARE_SHORT = {-2010, -2019, -2027}
_NOTHING_TO_REDUCE = -2022

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
            after = before + _signed(record)
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


def why_halted(row: ShardRow, database: Database, venue: AnyVenue) -> str:
    """Why a symbol must have halted its entries by what is true; empty if it must not.

    Of contracts: trades of a person, or a liquidation, closed part of what the slots hold. Of spot:
    a person took base out that the slots hold.
    """
    if isinstance(venue, PerpetualsExchange):
        name = venue.markets[row.symbol].name
        own = others = Decimal(0)
        for record in venue.ledger:
            if record["kind"] == "order_filled" and record["symbol"] == name:
                if is_foreign(record["client_order_id"]):
                    others += _signed(record)
                else:
                    own += _signed(record)
        return f"others made {others} against {own}" if own * others < 0 else ""
    base = row.instrument.base
    held, there = database.held_inventory(row.account, base), venue.balances()[base]
    return f"slots hold {held} of {there}" if held > there else ""


def check_rest(database: Database, venue: AnyVenue) -> list[str]:
    """I7: what rests is what is wanted, nothing is in doubt, and no order is a stranger's."""
    violations = []
    for row in database.shards.values():
        halt = why_halted(row, database, venue)
        violations += _check_status(row, database, halt)
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
        resting = {report.client_order_id for report in venue.open_orders(row.symbol)}
        if resting != set(stored):
            violations.append(f"I7 resting {sorted(resting)}, known {sorted(stored)}")
        violations += _check_wanted(row, database, venue, halt)
        if row.status in {Status.REMOVED, Status.STOPPED} and resting:
            violations.append(f"I7 {row.status.value}, but {sorted(resting)} rest")
    return violations


def _check_status(row: ShardRow, database: Database, halt: str) -> list[str]:
    expected = _expected_status(row, is_killed=database.is_killed, halt=halt)
    if row.status is expected and (row.reason in {"", _FUNDS} or expected is not Status.RUNNING):
        return []
    return [f"I7 status: {row.status.value} ({row.reason}), wanted {expected.value} {halt}".strip()]


def _expected_status(row: ShardRow, *, is_killed: bool, halt: str) -> Status:
    if row.desired is Desired.REMOVED or row.status is Status.REMOVED:
        return Status.REMOVED
    if is_killed:
        return Status.STOPPED
    if halt:
        return Status.HALTED
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


def _check_wanted(row: ShardRow, database: Database, venue: AnyVenue, halt: str) -> list[str]:
    """A decision from the stored rows alone has nothing to do but what the venue refuses."""
    if row.status is Status.REMOVED:
        return []
    is_locked = row.status is Status.RUNNING and row.reason == _FUNDS
    if is_locked and not _were_funds_short(venue):
        return [f"I7 {row.symbol}: {row.reason}, but the venue did not say so"]
    claim = database.claim_of(row)
    state = ShardState(claim, database.load(claim))
    stance = stance_of(
        Circumstances(
            wishes=Wishes(row.desired, database.is_killed),
            phase=row.phase,
            cancels_for_stop=False,
            halt_reason=halt,
            rules_reason="",
            has_price=True,
            is_stale=False,
            entries_locked=is_locked,
            has_orders=bool(state.active_orders()),
            is_flat=False,
        )
    )
    approved = decide(
        state,
        to_book(venue.quote(row.symbol), claim.instrument),
        limits_of(state.grid, SETTINGS.orders_per_minute),
        stance=stance,
        may_place=True,
        may_open=not is_locked,
        waiting=(),
        sent_last_minute=0,
        new_id=lambda tag: state.claim.key,  # type: ignore[arg-type,return-value]  # never sent
    )
    plan = approved.plan
    refused = [venue.why_refused(place.intent, claim.instrument) for place in plan.places]
    codes = {error.code for error in refused if error is not None}
    if plan.cancels or None in refused or not codes <= _FUNDS_ARE_SHORT | {_NOTHING_TO_REDUCE}:
        return [f"I7 the grid wants {plan}, of which the venue says {refused}"]
    return []


def _were_funds_short(venue: AnyVenue) -> bool:
    """Whether the venue refused an order for that within the time that entries wait, and wake."""
    since_ms = venue.now_ms() - SETTINGS.funds_lock_ms - 1_000
    return any(
        record["kind"] == "order_rejected" and record["code"] in _FUNDS_ARE_SHORT
        for record in venue.ledger
        if record["written_ms"] > since_ms
    )


def _signed(record: Mapping[str, Any]) -> Decimal:
    quantity = Decimal(record["quantity"])
    return quantity if record["side"] == "BUY" else -quantity

"""Judges that a run came to rest: every symbol as it is wished for, and where it belongs."""

from __future__ import annotations

from decimal import Decimal

from domain.instrument import changed_rules
from domain.orders import OrderStatus
from grid.check import why_idle
from grid.phase import Stage
from orchestrator.placement import find_homes
from ports.store import Desired, Status
from simulation.database import Database
from simulation.invariants import AnyVenue, signed
from simulation.members import member_of
from simulation.node import SETTINGS
from simulation.refusals import is_for_funds
from simulation.tables import Progress, ShardRow
from simulation.venue import shard_of
from simulation.venues import PerpetualsExchange
from simulator.errors import VenueError
from symbol_manager.course import Circumstances, stance_of
from symbol_manager.decide import decide, limits_of, to_book
from symbol_manager.mailbox import Wishes
from symbol_manager.rules import rules_change
from symbol_manager.state import ShardState

#: Why a symbol that runs may have no entries, if the venue said so just now.
_FUNDS = "entries wait: funds are short"
_IDLE = "no entries: "
#: What a venue may go on refusing.
_FUNDS_ARE_SHORT = {-2010, -2019, -2027}
_NOTHING_TO_REDUCE = -2022
_ANSWERS = frozenset({"order_accepted", "order_rejected"})

#: How long ago the last comparison may be: twice the time between two, and some for the answers.
COMPARED_WITHIN_MS = 2 * SETTINGS.reconcile_every_ms + 10_000

_DOUBTFUL = frozenset({OrderStatus.INTENDED, OrderStatus.SENT, OrderStatus.UNKNOWN})


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
                if shard_of(record["client_order_id"]) == row.shard:
                    own += signed(record)
                else:  # a person, the venue, or the same symbol before it was added again
                    others += signed(record)
        return f"others made {others} against {own}" if own * others < 0 else ""
    base = row.instrument.base
    held, there = database.held_inventory(row.account, base), venue.balances()[base]
    return f"slots hold {held} of {there}" if held > there else ""


def why_not_followed(row: ShardRow, database: Database, venue: AnyVenue) -> str:
    """Why there must be no orders: the venue's rules are not those in force, which forbid a grid.

    Rules that do not forbid it are in force by now, or a promise is broken: `_check_rules`.
    """
    if row.status is Status.REMOVED:
        return ""
    claim = database.claim_of(row)
    change = rules_change(ShardState(claim, database.load(claim)), venue.instrument(row.symbol))
    return change.reason if change and change.obstacle else ""


def check_places(database: Database) -> list[str]:
    """Every symbol is on a node that lives, has room and may have it; no plan is left behind."""
    violations = [
        f"plan {name} of {executor} is left behind"
        for name, executor in database.plans.items()
        if executor not in database.nodes
    ]
    violations += [
        f"workflow of {row.symbol}: {row.progress.value}, but the symbol is removed"
        for row in database.shards.values()
        if row.status is Status.REMOVED and row.progress is not Progress.DONE
    ]
    rows = [row for row in database.shards.values() if row.status is not Status.REMOVED]
    open_ones = {name for name, node in database.nodes.items() if not node.is_draining}
    for row in rows:
        node = database.nodes.get(row.owner or "")
        if node is None or row.placed_on != row.owner:
            violations.append(f"place of {row.symbol}: owner {row.owner} on {row.placed_on}")
        elif node.is_draining and open_ones:
            violations.append(f"place of {row.symbol}: {row.owner} is draining")
        elif sum(other.owner == row.owner for other in rows) > node.capacity:
            violations.append(f"place of {row.symbol}: {row.owner} is too full")
    members = [member_of(node) for node in database.nodes.values()]
    placed = database.placed()
    homes = find_homes(members, placed)
    return violations + [
        f"place of {each.shard}: {each.placed_on}, wanted {homes[each.shard]}"
        for each in placed
        if homes.get(each.shard, each.placed_on) != each.placed_on
    ]


def check_rest(database: Database, venue: AnyVenue, now_ms: int) -> list[str]:
    """I7: what rests is what is wanted, of late known, not in doubt, and no order a stranger's."""
    violations = []
    for row in database.shards.values():
        if row.status is not Status.REMOVED and row.reconciled_ms < now_ms - COMPARED_WITHIN_MS:
            violations.append(f"I7 {row.symbol}: last compared at {row.reconciled_ms} ms")
        halt = why_halted(row, database, venue)
        obstacle = why_not_followed(row, database, venue)
        violations += _check_status(row, database, obstacle or halt)
        violations += _check_rules(row, venue, obstacle)
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
        resting = {
            report.client_order_id
            for report in venue.open_orders(row.symbol)
            if shard_of(report.client_order_id) in {None, row.shard}
        }
        if resting != set(stored):
            violations.append(f"I7 resting {sorted(resting)}, known {sorted(stored)}")
        violations += _check_wanted(row, database, venue, halt, obstacle)
        if (obstacle or row.status in {Status.REMOVED, Status.STOPPED}) and resting:
            violations.append(f"I7 {row.status.value}, but {sorted(resting)} rest")
    return violations


def _check_rules(row: ShardRow, venue: AnyVenue, obstacle: str) -> list[str]:
    what = changed_rules(row.instrument, venue.instrument(row.symbol))
    if what and not obstacle and row.status is not Status.REMOVED:
        return [f"I7 rules of {row.symbol}: {what} is not followed"]
    return []


def _check_status(row: ShardRow, database: Database, halt: str) -> list[str]:
    expected = _expected_status(row, is_killed=database.is_killed, halt=halt)
    is_told = row.reason in {"", _FUNDS} or row.reason.startswith(_IDLE)
    if row.status is expected and (is_told or expected is not Status.RUNNING):
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


def _check_wanted(
    row: ShardRow, database: Database, venue: AnyVenue, halt: str, obstacle: str
) -> list[str]:
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
            rules_reason=obstacle,
            has_price=True,
            price_reason="",
            entries_locked=is_locked,
            idle_reason="",
            has_orders=bool(state.active_orders()),
            is_flat=False,
        )
    )
    book = to_book(venue.quote(row.symbol), claim.instrument)
    if row.status is Status.RUNNING and not is_locked:
        idle = "" if book is None or state.has_entries() else why_idle(state.grid, book)
        if bool(row.reason) is not bool(idle):
            return [f"I7 {row.symbol}: {row.reason or 'no reason'} is told, but {idle or 'none'}"]
    approved = decide(
        state,
        book,
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


def lacks_funds(row: ShardRow, venue: AnyVenue) -> bool:
    """Whether the venue's last word on an order of this symbol was that funds are short."""
    name = venue.markets[row.symbol].name
    for record in reversed(venue.ledger):
        if record.get("symbol") == name and record["kind"] in _ANSWERS:
            return record["kind"] == "order_rejected" and is_for_funds(
                VenueError(record["code"], record["reason"])
            )
    return False


def _were_funds_short(venue: AnyVenue) -> bool:
    """Whether the venue refused an order for that within the time that entries wait, and wake."""
    since_ms = venue.now_ms() - SETTINGS.funds_lock_ms - 1_000
    return any(
        record["kind"] == "order_rejected" and record["code"] in _FUNDS_ARE_SHORT
        for record in venue.ledger
        if record["written_ms"] > since_ms
    )

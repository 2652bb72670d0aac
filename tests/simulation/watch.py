"""The database under the eyes of a judge: what must hold of every commit, not only at the end.

The promises of a grid: its budget, its roles, its phases, its ladders and how it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from domain.ids import Purpose, Side, SlotId
from domain.instrument import Instrument, MarketKind
from domain.market import Quote
from domain.orders import Intent
from domain.plans import CommittedPlan
from grid.grid import Grid
from grid.ladder import LadderVersion
from grid.phase import Phase, Stage
from grid.role import OPENING, Role
from orchestrator.changes import Verb
from orchestrator.workflows import Document
from ports.store import Changes, Claim, Decision, Desired, Ownership, Status
from simulation.clock import EPOCH_MS
from simulation.database import Database
from simulation.tables import OrderRow, ShardRow

_ORDER = (Stage.WAITING, Stage.RUNNING, Stage.CLOSING, Stage.ENDED)
#: How long a shard may not have heard that an operator changed his mind.
HEARSAY_MS = 20_000
#: How long a grid may take to close its inventory while the market is calm.
CLOSING_MAX_MS = 15_000
#: How long a transaction may be under way, and clocks be apart: usually, and where any is slow or
#: may wait for a row.
COMMIT_MS, COMMIT_MAX_MS = 600, 5_500
#: How long a quote may be under way.
QUOTE_LATE_MAX_MS = 3_000
#: What cannot be closed at this part of the price is dust at whatever price was looked at.
DUST_SHARE = Decimal("0.9")


@dataclass(kw_only=True)
class Watch:
    """What the judge is told beside the rows."""

    quote: Callable[[str], Quote]
    #: Our orders that rest at the venue.
    resting: Callable[[], Sequence[str]]
    fail: Callable[[str], None]
    stale_after_ms: int
    #: Whether transactions may be slow.
    commits_late: Callable[[], bool]
    #: Whether none jumped: else what is late may seem to be new.
    clocks_are_right: Callable[[], bool]
    #: Each symbol as it was when it was claimed last: with the spec that its owner works with, and
    #: the ladder that takes entries.
    taken: dict[int, ShardRow] = field(default_factory=dict)
    #: When somebody last wanted the inventory closed.
    closed_ms: dict[int, int] = field(default_factory=dict)
    #: When the last phase began.
    phase_ms: dict[int, int] = field(default_factory=dict)
    #: By shard, version of its spec, version of its trading rules, and ladders.
    grids: dict[tuple[int, int, int, tuple[LadderVersion, ...]], Grid] = field(default_factory=dict)


class WatchedDatabase(Database):
    """Tells of each commit that breaks a promise; commits it all the same."""

    def __init__(self, now_ms: Callable[[], int], *, nonce: int, watch: Watch) -> None:
        super().__init__(now_ms, nonce=nonce)
        self._watch = watch

    def claim(self, executor: str, shard: int, workflow_id: str) -> Claim:
        claimed = super().claim(executor, shard, workflow_id)
        self._watch.taken[shard] = self.shards[shard]
        return claimed

    def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        committed = super().commit_decision(decision, instrument)
        self._judge_epoch(decision.ownership)
        row = self.shards[decision.ownership.shard]
        intents = [place.intent for place in committed.plan.places]
        for intent in intents:
            self._judge_intent(row, intent)
        live = sum(
            order.order.is_live and order.intent.tag.shard == row.shard
            for order in self.orders.values()
        )
        most = self._watch.taken[row.shard].spec.max_open_orders
        if intents and live > most:
            self._watch.fail(f"I5 {live} orders of {most} are live")
        if any(intent.tag.purpose in OPENING for intent in intents):
            self._judge_age(decision)
        if row.instrument.kind is MarketKind.LINEAR:
            self._judge_reductions(row, intents)
        for role in {_role_of(intent) for intent in intents if intent.tag.purpose in OPENING}:
            self._judge_budget(row, role)
        return committed

    def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        row = self.shards[ownership.shard]
        in_use = self._versions_in_use(row.shard) if changes.ladder else set()
        super().record(ownership, instrument, changes)
        self._judge_epoch(ownership)
        if changes.ladder is not None:
            taken = self._watch.taken[row.shard]
            self._watch.taken[row.shard] = replace(taken, ladder_version=changes.ladder.version)
        if changes.phase is not None:
            self._watch.phase_ms[row.shard] = self._now_ms()
        if changes.phase is not None and not _may_follow(row.phase, changes.phase):
            self._watch.fail(f"phase {changes.phase} after {row.phase}")
        if changes.ladder is not None and changes.ladder.version in in_use:
            self._watch.fail(f"ladder {changes.ladder.version} is made anew while in use")
        for slot in changes.slots.values():
            if self._grid_of(row).role_of(slot.id) * slot.inventory_units < 0:
                self._watch.fail(f"slot {slot.id} of the other role holds {slot.inventory_units}")

    def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        super().set_status(ownership, status, reason)
        self._judge_epoch(ownership)
        row = self.shards[ownership.shard]
        if status is Status.REMOVED and row.desired is not Desired.REMOVED:
            self._judge_end(row)

    def desire(self, account: str, symbol: str, desired: Desired, asked_ms: int) -> ShardRow | None:
        before = self.active(account, symbol)
        row = super().desire(account, symbol, desired, asked_ms)
        after = None if before is None else self.shards[before.shard]
        if before and after and Desired.CLOSED in {before.desired, after.desired}:
            self._watch.closed_ms[before.shard] = self._now_ms()
        return row

    def finish_change(self, workflow_id: str, result: Document) -> None:
        """Who is told that all is cancelled relies on it, for as long as nobody re-arms."""
        super().finish_change(workflow_id, result)
        row = self.changes[workflow_id]
        is_over = row.change["verb"] == Verb.KILL and result["outcome"] == "done"
        if is_over and self.is_killed and self.kills[-1][0] <= row.asked_ms:
            for name in self._watch.resting():
                self._watch.fail(f"{workflow_id} is done, but {name} rests")

    def unfinished(self, may_stay_open: Callable[[ShardRow], bool]) -> list[str]:
        """Grids that should be over by now; to be asked at the end of a calm time."""
        return [
            f"I7 closing since {self._watch.phase_ms[row.shard]} ms"
            for row in self.shards.values()
            if row.phase.stage is Stage.CLOSING
            and row.desired is Desired.RUNNING
            and not self.is_killed
            and not may_stay_open(row)
            and self._now_ms() - self._watch.phase_ms[row.shard] > CLOSING_MAX_MS
        ]

    def _judge_epoch(self, ownership: Ownership) -> None:
        """A former owner commits nothing."""
        if ownership.epoch != self.shards[ownership.shard].epoch:
            self._watch.fail(f"shard {ownership.shard}: epoch {ownership.epoch} commits")

    def _judge_intent(self, row: ShardRow, intent: Intent) -> None:
        purpose, slot_id = intent.tag.purpose, intent.tag.slot
        stage = row.phase.stage
        name = f"order {intent.client_order_id} ({purpose.name}, {stage}):"
        if purpose in OPENING:
            if stage is not Stage.RUNNING:
                self._watch.fail(f"{name} opens in that stage")
            if slot_id.version != self._watch.taken[row.shard].ladder_version:
                self._watch.fail(f"{name} opens in a former ladder")
        else:
            if stage in {Stage.WAITING, Stage.ENDED} and not self._may_close(row):
                self._watch.fail(f"{name} closes in that stage")
            if purpose is Purpose.FLATTEN and not self._may_close(row):
                self._watch.fail(f"{name} nobody wants the inventory closed")
            if intent.quantity_lots * row.instrument.base_units_per_lot > self._held(row, slot_id):
                self._watch.fail(f"{name} closes more than slot {slot_id} holds")
        if _role_of(intent) is not self._grid_of(row).role_of(slot_id):
            self._watch.fail(f"{name} slot {slot_id} is of the other role")

    def _judge_age(self, decision: Decision) -> None:
        """Nothing opens a position at a price that is too old, however slow its commit was."""
        now_ms = EPOCH_MS + self._now_ms()
        age_ms = now_ms - decision.book.exchange_ms if decision.book else now_ms
        waited = bool(self.held) or self._now_ms() - self.freed_ms < COMMIT_MAX_MS
        late_ms = COMMIT_MAX_MS if waited or self._watch.commits_late() else COMMIT_MS
        late_ms += 0 if self._watch.clocks_are_right() else QUOTE_LATE_MAX_MS
        if age_ms > self._watch.stale_after_ms + late_ms:
            self._watch.fail(f"decision {decision.decision_id}: at a price of {age_ms} ms ago")

    def _judge_reductions(self, row: ShardRow, intents: Sequence[Intent]) -> None:
        """Reduce-only orders fit into the position; plain ones close only beside slots netted."""
        held = [slot.inventory_units for (of, _), slot in self.slots.items() if of == row.shard]
        for side in {intent.side for intent in intents if intent.tag.purpose not in OPENING}:
            sign = 1 if side is Side.SELL else -1
            is_netted = any(sign * units < 0 for units in held)
            free_units = sign * sum(held)
            for order in self.orders.values():
                intent = order.intent
                if (intent.tag.shard, intent.side) != (row.shard, side):
                    continue
                if intent.tag.purpose in OPENING or not order.order.is_live:
                    continue
                if intent.reduce_only or intent not in intents:
                    units_per_lot = order.made_under.base_units_per_lot
                    free_units -= order.order.remaining_lots * units_per_lot
                elif not is_netted:
                    self._watch.fail(f"order {intent.client_order_id}: not reduce-only")
            added = [intent for intent in intents if intent.side is side and intent.reduce_only]
            if added and free_units < 0:
                self._watch.fail(f"I5 reduce-only orders go {free_units} beyond the slots")

    def _may_close(self, row: ShardRow) -> bool:
        """Whether a stop was touched, or somebody wants or just wanted all inventory closed."""
        wanted_ms = self._watch.closed_ms.get(row.shard)
        return (
            row.phase.stage is Stage.CLOSING
            or row.desired is Desired.CLOSED
            or (wanted_ms is not None and self._now_ms() - wanted_ms < HEARSAY_MS)
        )

    def _judge_budget(self, row: ShardRow, role: Role) -> None:
        """What a role holds and has on order, after entries were added; without any fees."""
        instrument, spec = row.instrument, self._watch.taken[row.shard].spec
        in_base = role is Role.SHORT and instrument.kind is MarketKind.SPOT
        used = Decimal(0)
        for (shard, slot_id), slot in self.slots.items():
            if shard == row.shard and self._grid_of(row).role_of(slot_id) is role:
                used += (
                    instrument.units_to_base(slot.held_units)
                    if in_base
                    else instrument.units_to_quote(role * slot.cost_units)
                )
        for order in self.orders.values():
            intent = order.intent
            if (
                intent.tag.shard == row.shard
                and not order.is_settled
                and intent.tag.purpose in OPENING
                and _role_of(intent) is role
            ):
                quantity = self._outstanding(order)
                price = order.made_under.ticks_to_price(intent.price_ticks)
                used += quantity if in_base else quantity * price
        budget = spec.base_inventory or Decimal(0) if in_base else spec.budget_quote
        if used > budget:
            self._watch.fail(f"I5 {role.name} slots and entries take {used} of {budget}")

    def _outstanding(self, row: OrderRow) -> Decimal:
        """What may still be filled of an order, or was by trades that are not recorded yet."""
        order = row.order
        lots = order.intent.quantity_lots if order.is_live else order.filled_lots
        settled = self._settled(order.intent.client_order_id)
        return row.made_under.lots_to_quantity(lots) - settled

    def _judge_end(self, row: ShardRow) -> None:
        """A symbol that was to be closed goes only when nothing is left that could be."""
        bid = self._watch.quote(row.symbol).bid or Decimal(0)
        price_ticks = int(bid * DUST_SHARE / row.instrument.tick_size)
        for (shard, slot_id), slot in self.slots.items():
            lots = row.instrument.tradable_lots(slot.held_units)
            if shard == row.shard and row.instrument.is_orderable(price_ticks, lots):
                self._watch.fail(f"removed, but slot {slot_id} holds {slot.inventory_units}")

    def _versions_in_use(self, shard: int) -> set[int]:
        grid = self._grid_of(self.shards[shard])
        held = {
            slot_id.version
            for (of, slot_id), slot in self.slots.items()
            if of == shard and not grid.is_dust(slot_id, slot.held_units)
        }
        return held | {
            row.intent.tag.slot.version
            for row in self.orders.values()
            if row.intent.tag.shard == shard and not row.is_settled
        }

    def _held(self, row: ShardRow, slot_id: SlotId) -> int:
        slot = self.slots.get((row.shard, slot_id))
        return slot.held_units if slot else 0

    def _grid_of(self, row: ShardRow) -> Grid:
        taken = self._watch.taken[row.shard]
        ladders = self._ladders_of(taken)
        key = row.shard, taken.spec_version, row.instrument.version, ladders
        grid = self._watch.grids.get(key)
        if grid is None:
            grid = Grid.of(taken.spec, row.instrument, ladders, taken.start_price)
            self._watch.grids[key] = grid
        return grid


def _role_of(intent: Intent) -> Role:
    return Role.of_order(intent.side, intent.tag.purpose)


def _may_follow(before: Phase, after: Phase) -> bool:
    """Phases go forward only, and a range trails by single levels while the grid runs."""
    if after.stage is before.stage:
        return before.stage is Stage.RUNNING and abs(after.shift - before.shift) == 1
    return _ORDER.index(after.stage) > _ORDER.index(before.stage) and after.shift == before.shift

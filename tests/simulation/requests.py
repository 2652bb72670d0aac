"""What people ask for, in memory: requests as workflows, and what they write down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from domain.errors import RequestRefused
from domain.instrument import Instrument
from grid.edits import Edit, Standing
from grid.slots import Slot
from grid.spec import GridSpec
from orchestrator.workflows import Document
from ports.store import Desired, Status
from risk.reservations import (
    Held,
    PortfolioLimits,
    Reserving,
    check_portfolio,
    check_reservation,
)
from simulation.registry import Registry
from simulation.tables import ENDING, ChangeRow, LadderRow, Progress, ShardRow, SpecRow
from store.registry import NewSymbol, already_added
from store.reservations import Room, market_of
from store.specs import MadeVersion, SpecRequest, check_version, not_traded


class Requests(Registry):
    """Stands for the writing half of `store/registry.py`, `store/specs.py`, `store/kill_switch.py`.

    And for the workflows of requests with the results of their steps, as DBOS keeps them.
    """

    # Workflows.

    def ask(self, workflow_id: str, change: Document) -> None:
        """Put a request on the queue of all nodes."""
        self.changes[workflow_id] = ChangeRow(
            workflow_id=workflow_id, change=change, asked_ms=self._now_ms()
        )

    def dequeue_changes(self, executor: str) -> list[ChangeRow]:
        taken = [
            replace(row, progress=Progress.PENDING, executor=executor)
            for row in self.changes.values()
            if row.progress is Progress.ENQUEUED
        ]
        self.changes |= {row.workflow_id: row for row in taken}
        return taken

    def note_step(self, workflow_id: str, step: str, result: Document) -> Document:
        """Keep what a step made, unless another run of it was faster; what is kept."""
        row = self.changes[workflow_id]
        if step not in row.steps:
            row = replace(row, steps={**row.steps, step: result})
            self.changes[workflow_id] = row
        return row.steps[step]

    def finish_change(self, workflow_id: str, result: Document) -> None:
        row = self.changes[workflow_id]
        if row.progress is not Progress.DONE:
            self.changes[workflow_id] = replace(row, progress=Progress.DONE, result=result)

    def resume(self, workflow_ids: Sequence[str], queue: str) -> None:
        super().resume(workflow_ids, queue)
        for row in list(self.changes.values()):
            if row.workflow_id in workflow_ids and row.progress is not Progress.DONE:
                self.changes[row.workflow_id] = replace(row, progress=Progress.ENQUEUED)

    def pending_changes(self, executor: str) -> list[str]:
        """Workflows of requests that an executor took."""
        return [
            row.workflow_id
            for row in self.changes.values()
            if (row.progress, row.executor) == (Progress.PENDING, executor)
        ]

    def changes_left_behind(self) -> list[str]:
        """Workflows of requests whose node is gone."""
        return [
            row.workflow_id
            for row in self.changes.values()
            if row.progress is Progress.PENDING and row.executor not in self.nodes
        ]

    # Starts of requests, as `store/runs.py` counts them.

    def change_starts_of_others(self, workflow_id: str, executor: str) -> int:
        by, starts = self.change_starts.get(workflow_id, (executor, 0))
        return starts - (by == executor) if starts else 0

    def begin_change(self, workflow_id: str, executor: str) -> None:
        by, starts = self.change_starts.get(workflow_id, ("", 0))
        if by != executor:
            self.change_starts[workflow_id] = executor, starts + 1

    def end_change(self, workflow_id: str) -> None:
        self.change_starts.pop(workflow_id, None)

    # The kill switch.

    def engage(self) -> None:
        """Forbid every placement from now on."""
        if not self.is_killed:
            self.kills.append((self._now_ms(), None))
        self.is_killed = True
        self.killed_ms = self._now_ms()

    def rearm(self, asked_ms: int) -> None:
        """Unless a kill is newer than the request."""
        if self.is_killed and self.killed_ms <= asked_ms:
            self.is_killed = False
            engaged_ms, _ = self.kills.pop()
            self.kills.append((engaged_ms, self._now_ms()))

    @property
    def live_order_count(self) -> int:
        return sum(row.order.is_live for row in self.orders.values())

    # Symbols.

    def active(self, account: str, symbol: str) -> ShardRow | None:
        return next(
            (
                row
                for row in self.shards.values()
                if (row.account, row.symbol) == (account, symbol)
                and row.status is not Status.REMOVED
            ),
            None,
        )

    def add_symbol(self, new: NewSymbol, workflow_id: str, limits: PortfolioLimits) -> int:
        """The same request again finds its own; added again, a symbol goes on with its epochs.

        Parameters
        ----------
        workflow_id : str
            Of its `run_shard`, but for the shard's number.
        """
        for row in self.shards.values():
            if row.requested_by == new.requested_by:
                return row.shard
        if self.active(new.account, new.symbol) is not None:
            raise already_added(new.account, new.symbol)
        spec = GridSpec.model_validate(new.spec)
        wanted = Reserving(
            market=market_of(new.instrument), spec=spec, leverage=Decimal(new.leverage)
        )
        others = self._reserving_beside(None)
        check_portfolio(wanted, others, limits)
        check_reservation(wanted, others, new.balances)
        former = [row for row in self.shards.values() if row.key == new.key]
        versions = [v for a, s, v in self.instruments if (a, s) == (new.account, new.symbol)]
        shard = max(self.shards, default=0) + 1
        asked_ms = self.changes[new.requested_by].asked_ms
        row = ShardRow(
            shard=shard,
            key=new.key,
            account=new.account,
            symbol=new.symbol,
            spec=spec,
            start_price=new.start_price,
            phase=new.phase,
            ladder_version=new.ladder.version,
            instrument=replace(new.instrument, version=max(versions, default=0) + 1),
            created_ms=self._now_ms(),
            desired_ms=asked_ms,
            spec_ms=asked_ms,
            epoch=max((row.epoch for row in former), default=0),
            reconciled_trade_id=former[-1].reconciled_trade_id if former else new.last_trade_id,
            workflow_id=f"{workflow_id}:{shard}",
            requested_by=new.requested_by,
        )
        self.add_shard(row, new.ladder, new.balances, new.income_ms)
        return shard

    def desire(self, account: str, symbol: str, desired: Desired, asked_ms: int) -> ShardRow | None:
        """Requests count in the order in which they were made; a removal is not undone."""
        row = self.active(account, symbol)
        if row is None or (row.desired in ENDING and desired not in {row.desired, Desired.REMOVED}):
            return None
        self._expect_free(row.shard)
        if row.desired_ms <= asked_ms:
            row = replace(row, desired=desired, desired_ms=asked_ms, starts=0, is_quarantined=False)
            self.shards[row.shard] = row
        return row

    def mark_of(self, account: str, symbol: str, workflow_id: str) -> tuple[ShardRow | None, bool]:
        """A symbol as it is or was, and whether that request made it so."""
        lives = [
            row for row in self.shards.values() if (row.account, row.symbol) == (account, symbol)
        ]
        if not lives:
            return None, False
        row, asked_ms = lives[-1], self.changes[workflow_id].asked_ms
        makers = {
            spec.requested_by for (shard, _), spec in self.specs.items() if shard == row.shard
        }
        is_marked = workflow_id in {row.requested_by, *makers} or row.desired_ms == asked_ms
        return row, is_marked

    def ask_reconcile(self, account: str, symbol: str) -> ShardRow | None:
        row = self.active(account, symbol)
        if row is not None:
            self._expect_free(row.shard)
            row = self.shards[row.shard] = replace(row, compare_asked_ms=self._now_ms())
        return row

    def pin_to(self, account: str, symbol: str, name: str | None) -> ShardRow | None:
        takes = {node.name for node in self.nodes.values() if not node.is_draining}
        if name is not None and name not in takes:
            raise RequestRefused(f"no node {name} takes symbols")
        row = self.active(account, symbol)
        if row is not None:
            self._expect_free(row.shard)
            row = self.shards[row.shard] = replace(row, pinned_to=name)
        return row

    def node_of(self, shard: int) -> str | None:
        node = self.nodes.get(self.shards[shard].owner or "")
        return None if node is None else node.name

    # Specs.

    def standing(self, row: ShardRow) -> Standing:
        taken = {
            slot_id.version
            for (shard, slot_id), slot in self.slots.items()
            if shard == row.shard and (slot.inventory_units or slot.closed_units)
        }
        taken |= {
            order.intent.tag.slot.version
            for order in self.orders.values()
            if order.intent.tag.shard == row.shard and not order.is_settled
        }
        return Standing(
            spec=row.spec,
            ladder=self.ladders[row.shard, row.ladder_version].ladder,
            taken=frozenset(taken),
            phase=row.phase,
            start_price=row.start_price,
        )

    def update_spec(
        self, asked: SpecRequest, edit: Callable[[Standing], Edit], room: Room
    ) -> MadeVersion:
        """Make a new version the current one; the same request again finds its own."""
        for (shard, version), made in self.specs.items():
            if made.requested_by == asked.workflow_id:
                return MadeVersion(shard=shard, version=version, ladder_version=made.ladder_version)
        row = self.active(asked.account, asked.symbol)
        if row is None or row.desired in ENDING:
            raise not_traded(asked.account, asked.symbol)
        asked_ms = self.changes[asked.workflow_id].asked_ms
        if row.spec_ms > asked_ms:
            raise RequestRefused(
                f"version {row.spec_version} of {row.symbol} was asked for after this one"
            )
        check_version(asked.symbol, row.spec_version, asked.expected_version)
        edited = edit(self.standing(row))
        before = self._reserving(row)
        others = self._reserving_beside(row)
        wanted = replace(before, spec=edited.spec)
        check_portfolio(wanted, others, room.limits, before)
        check_reservation(wanted, others, room.balances, before)
        self._expect_free(row.shard)
        with self._transaction():
            if edited.ladder:
                key = row.shard, edited.ladder.version
                self._put(self.ladders, key, LadderRow(edited.ladder, self._now_ms()))
            version = row.spec_version + 1
            ladder_version = edited.ladder.version if edited.ladder else row.ladder_version
            made = SpecRow(edited.spec, ladder_version, asked.workflow_id)
            self._insert(self.specs, (row.shard, version), made)
            row = replace(
                row,
                spec=edited.spec,
                spec_version=version,
                spec_ms=asked_ms,
                ladder_version=ladder_version,
                start_price=edited.start_price,
                phase=edited.phase,
                starts=0,
                is_quarantined=False,
            )
            self._put(self.shards, row.shard, row)
        return MadeVersion(shard=row.shard, version=version, ladder_version=ladder_version)

    def _reserving_beside(self, row: ShardRow | None) -> list[Reserving]:
        return [
            self._reserving(other)
            for other in self.shards.values()
            if other.status is not Status.REMOVED and other is not row
        ]

    def _reserving(self, row: ShardRow) -> Reserving:
        slots = [slot for (shard, _), slot in self.slots.items() if shard == row.shard]
        return Reserving(
            market=market_of(row.instrument), spec=row.spec, held=_held(slots, row.instrument)
        )


def _held(slots: Sequence[Slot], instrument: Instrument) -> Held:
    def base(sign: int) -> Decimal:
        units = sum(max(sign * slot.inventory_units, 0) for slot in slots)
        return instrument.units_to_base(units)

    def quote(sign: int) -> Decimal:
        return instrument.units_to_quote(sum(max(sign * slot.cost_units, 0) for slot in slots))

    return Held(base=base(1), quote_paid=quote(1), base_owed=base(-1), quote_received=quote(-1))

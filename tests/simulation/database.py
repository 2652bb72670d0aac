"""The rows and transactions of `store/repository.py` in memory; each method is one transaction.

What Postgres enforces is enforced here: keys, the one live order a slot and side, the epoch, the
kill switch, and that a transaction which fails leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar, cast

from domain.errors import InvariantViolation, KillSwitchEngaged, OwnershipLost
from domain.ids import ClientOrderId, DecisionId, Side, SymbolKey, VenueOrderId
from domain.instrument import Instrument
from domain.orders import Intended, Intent, Order
from domain.plans import CommittedPlan, Place
from grid.slots import Pair, Slot
from grid.spec import GridSpec
from ports.store import (
    Changes,
    Claim,
    Decision,
    Desired,
    Fill,
    Finding,
    Loaded,
    Origin,
    Ownership,
    Status,
)
from store.rows import ledger_values
from symbol_manager.state import venue_order_id_of

Key = TypeVar("Key")
Row = TypeVar("Row")

_MISSING = object()


class IntegrityError(Exception):
    """A row would break a key or a check of its table."""


class Progress(StrEnum):
    """Where a symbol's `run_shard` workflow stands."""

    ENQUEUED = "enqueued"
    PENDING = "pending"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    executor: str
    host: str
    heartbeat_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    shard: int
    key: SymbolKey
    account: str
    symbol: str
    spec: GridSpec
    anchor: Decimal
    ladder_version: int
    instrument: Instrument
    created_ms: int
    desired: Desired = Desired.RUNNING
    status: Status = Status.STARTING
    reason: str = ""
    epoch: int = 0
    owner: str | None = None
    reconciled_trade_id: str | None = None
    ended_ms: int | None = None
    #: Its workflow.
    workflow_id: str
    progress: Progress = Progress.ENQUEUED
    executor: str | None = None
    #: How often it was enqueued.
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    intent: Intent
    order: Order
    committed_ms: int
    venue_order_id: VenueOrderId | None = None
    is_settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    fill: Fill
    account: str
    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    pair: Pair
    shard: int


#: Shard, ladder version and slot.
SlotKey = tuple[int, int, int]
_LiveKey = tuple[int, int, int, Side]
_TradeKey = tuple[str, str, str]


class Database:
    """All tables, and the transactions on them."""

    def __init__(self, now_ms: Callable[[], int], *, nonce: int) -> None:
        self._now_ms = now_ms
        self._undo: list[tuple[dict[object, object], object, object]] = []
        self.nonce = nonce
        self.is_killed = False
        self.nodes: dict[str, NodeRow] = {}
        self.shards: dict[int, ShardRow] = {}
        self.slots: dict[SlotKey, Slot] = {}
        self.decisions: dict[DecisionId, Decision] = {}
        self.orders: dict[ClientOrderId, OrderRow] = {}
        self.fills: dict[_TradeKey, FillRow] = {}
        self.pairs: dict[tuple[int, str], PairRow] = {}
        self.ledger: dict[tuple[str, str, str, str, str], Decimal] = {}
        self.findings: dict[tuple[int, str, str], Finding] = {}
        self.openings: dict[str, Decimal] = {}
        self._live: dict[_LiveKey, ClientOrderId | None] = {}
        self._generations: dict[tuple[_LiveKey, int], ClientOrderId] = {}
        self._by_venue_id: dict[VenueOrderId, ClientOrderId] = {}
        self._trades_of: dict[ClientOrderId, tuple[_TradeKey, ...]] = {}

    # What `ports.store.ShardStore` offers.

    def claim(self, executor: str, shard: int, workflow_id: str) -> Claim:
        with self._transaction():
            row = self.shards.get(shard)
            if (
                row is None
                or row.status is Status.REMOVED
                or executor not in self.nodes
                or (row.owner not in {None, executor} and row.owner in self.nodes)
                or (row.workflow_id, row.progress, row.executor)
                != (workflow_id, Progress.PENDING, executor)
            ):
                raise OwnershipLost(f"shard {shard} is removed or run by another node")
            status = Status.REMOVING if row.status is Status.REMOVING else Status.STARTING
            row = replace(
                row,
                epoch=row.epoch + 1,
                owner=executor,
                status=status,
                reason="comparing with the exchange",
            )
            self._put(self.shards, shard, row)
            return Claim(
                ownership=Ownership(shard, row.epoch),
                key=row.key,
                account=row.account,
                symbol=row.symbol,
                spec=row.spec,
                anchor=row.anchor,
                ladder_version=row.ladder_version,
                instrument=row.instrument,
                nonce=self.nonce,
                reconciled_trade_id=row.reconciled_trade_id,
            )

    def load(self, claim: Claim) -> Loaded:
        shard, version = claim.ownership.shard, claim.ladder_version
        unfinished = [
            row
            for row in self.orders.values()
            if row.intent.tag.shard == shard and not row.is_settled
        ]
        fills = [row.fill for row in self.fills.values() if row.shard == shard]
        return Loaded(
            slots={
                slot.index: slot
                for (of, ladder_version, _), slot in self.slots.items()
                if of == shard and ladder_version == version
            },
            orders=[_read_back(row) for row in unfinished],
            settled_lots={
                row.intent.client_order_id: self._settled_lots(row.intent.client_order_id, claim)
                for row in unfinished
            },
            parked=[fill.trade for fill in fills if fill.origin is Origin.PARKED],
            trade_ids=frozenset(
                trade_id
                for account, symbol, trade_id in self.fills
                if (account, symbol) == (claim.account, claim.symbol)
            ),
        )

    def find_order(
        self, claim: Claim, order_id: ClientOrderId | VenueOrderId
    ) -> tuple[Order, int] | None:
        name = self._by_venue_id.get(
            cast("VenueOrderId", order_id), cast("ClientOrderId", order_id)
        )
        row = self.orders.get(name)
        if row is None or row.intent.tag.shard != claim.ownership.shard:
            return None
        return _read_back(row), self._settled_lots(name, claim)

    def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        plan = decision.approved.plan
        with self._transaction():
            self._check_owned(decision.ownership)
            if plan.places and self.is_killed:
                raise KillSwitchEngaged(f"decision {decision.decision_id} places orders")
            self._insert(self.decisions, decision.decision_id, decision)
            for place in plan.places:
                self._intend(decision, place)
            for cancel in plan.cancels:
                row = self.orders.get(cancel.client_order_id)
                if row is not None:
                    order = replace(row.order, cancel_requested=True)
                    self._put(self.orders, cancel.client_order_id, replace(row, order=order))
        return CommittedPlan(
            decision_id=decision.decision_id,
            shard=decision.ownership.shard,
            epoch=decision.ownership.epoch,
            plan=plan,
        )

    def may_send(self, ownership: Ownership, *, places: bool) -> bool:
        row = self.shards.get(ownership.shard)
        return row is not None and row.epoch == ownership.epoch and not (places and self.is_killed)

    def own_trade_ids(self, client_order_id: ClientOrderId) -> frozenset[str]:
        return frozenset(trade_id for _, _, trade_id in self._trades_of.get(client_order_id, ()))

    def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        shard = ownership.shard
        with self._transaction():
            self._check_owned(ownership)
            for fill in changes.fills.values():
                self._record_fill(FillRow(fill=fill, account=instrument.account, shard=shard))
                self._book(fill, instrument)
            for order in sorted(changes.orders.values(), key=lambda order: order.is_live):
                self._update_order(order, instrument)
            for slot in changes.slots.values():
                self._record_slot(shard, slot)
            for closed in changes.pairs:
                pair = PairRow(pair=closed.pair, shard=shard)
                self._insert(self.pairs, (shard, closed.trade.trade_id), pair)
            for finding in changes.findings:
                key = shard, finding.kind, finding.subject
                if key not in self.findings:
                    self._put(self.findings, key, finding)
            if changes.is_reconciled:
                row = self.shards[shard]
                trade_id = changes.reconciled_trade_id or row.reconciled_trade_id
                self._put(self.shards, shard, replace(row, reconciled_trade_id=trade_id))

    def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        with self._transaction():
            self._check_owned(ownership)
            row = replace(self.shards[ownership.shard], status=status, reason=reason)
            ended_ms = self._now_ms() if status is Status.REMOVED else None
            self._put(self.shards, ownership.shard, replace(row, ended_ms=ended_ms))

    def held_inventory(self, account: str, base: str) -> Decimal:
        held = Decimal(0)
        for (shard, _, _), slot in self.slots.items():
            row = self.shards[shard]
            if (
                row.account == account
                and row.status is not Status.REMOVED
                and row.symbol.split("/")[0] == base
            ):
                held += row.instrument.units_to_base(slot.inventory_units)
        return held

    # What the orchestrator does beside it.

    def add_shard(self, row: ShardRow, balances: Mapping[str, Decimal]) -> None:
        with self._transaction():
            self._insert(self.shards, row.shard, row)
            for asset, amount in balances.items():
                self._put(self.openings, asset, amount)

    def join(self, executor: str, host: str) -> None:
        node = NodeRow(executor=executor, host=host, heartbeat_ms=self._now_ms())
        self.nodes[executor] = node

    def leave(self, executor: str) -> None:
        self.nodes.pop(executor, None)

    def beat(self, executor: str) -> bool:
        """Whether the node's row is still there."""
        row = self.nodes.get(executor)
        if row is None:
            return False
        self.nodes[executor] = replace(row, heartbeat_ms=self._now_ms())
        return True

    def wish(self, shard: int, desired: Desired) -> None:
        row = self.shards[shard]
        if row.desired is Desired.REMOVED:
            return
        status = Status.REMOVING if desired is Desired.REMOVED else row.status
        self.shards[shard] = replace(row, desired=desired, status=status)

    def dequeue(self, executor: str) -> list[ShardRow]:
        """Take the workflows that wait; all that the executor has taken."""
        for row in list(self.shards.values()):
            if row.progress is Progress.ENQUEUED and executor in self.nodes:
                taken = replace(row, progress=Progress.PENDING, executor=executor)
                self.shards[row.shard] = taken
        return [
            row
            for row in self.shards.values()
            if (row.progress, row.executor) == (Progress.PENDING, executor)
        ]

    def finish(self, shard: int, executor: str) -> None:
        row = self.shards[shard]
        if row.executor == executor:
            self.shards[shard] = replace(row, progress=Progress.DONE)

    def take_over(self, dead: Callable[[NodeRow], bool]) -> list[str]:
        """Enqueue what dead nodes ran, then delete their rows; the symbols that go on."""
        gone = {name for name, node in self.nodes.items() if dead(node)}
        handed = []
        for row in list(self.shards.values()):
            if row.progress is Progress.PENDING and (
                row.executor in gone or row.executor not in self.nodes
            ):
                self.shards[row.shard] = replace(
                    row, progress=Progress.ENQUEUED, executor=None, turn=row.turn + 1
                )
                handed.append(row.symbol)
        for name in gone:
            del self.nodes[name]
        return handed

    # Below here: one table each, inside a transaction.

    def _intend(self, decision: Decision, place: Place) -> None:
        intent, shard = place.intent, decision.ownership.shard
        tag = intent.tag
        live_key = shard, tag.ladder_version, tag.slot, tag.side
        self._insert(self._generations, (live_key, tag.generation), intent.client_order_id)
        order = Order(intent=intent, state=Intended())
        row = OrderRow(intent=intent, order=order, committed_ms=self._now_ms())
        self._insert(self.orders, intent.client_order_id, row)
        self._take_place(live_key, intent.client_order_id)
        slot_key = shard, tag.ladder_version, tag.slot
        slot = self.slots.get(slot_key) or Slot(index=tag.slot, ladder_version=tag.ladder_version)
        if tag.side is Side.BUY:
            slot = replace(slot, buy_generation=max(slot.buy_generation, tag.generation))
        else:
            slot = replace(slot, sell_generation=max(slot.sell_generation, tag.generation))
        self._put(self.slots, slot_key, slot)

    def _record_fill(self, row: FillRow) -> None:
        fill, trade = row.fill, row.fill.trade
        is_own = fill.origin is Origin.OWN
        if is_own is not (fill.client_order_id is not None):
            raise IntegrityError("fills: own")
        if is_own and fill.client_order_id not in self.orders:
            raise IntegrityError("fills: client_order_id")
        key = row.account, trade.symbol, trade.trade_id
        before = self.fills.get(key)
        if before is not None:
            was = before.fill.origin
            if was is not Origin.PARKED and not (was is Origin.EXTERNAL and is_own):
                raise InvariantViolation(f"trade {trade.trade_id} is already recorded")
            kept = replace(before.fill, origin=fill.origin, client_order_id=fill.client_order_id)
            row = replace(before, fill=kept)
        self._put(self.fills, key, row)
        if fill.client_order_id is not None:
            trades = self._trades_of.get(fill.client_order_id, ())
            self._put(self._trades_of, fill.client_order_id, (*trades, key))

    def _book(self, fill: Fill, instrument: Instrument) -> None:
        for entry in ledger_values(fill.trade, instrument):
            names = ("account", "symbol", "trade_id", "asset", "kind")
            account, symbol, trade_id, asset, kind = (str(entry[name]) for name in names)
            key = account, symbol, trade_id, asset, kind
            if key not in self.ledger:
                self._put(self.ledger, key, cast("Decimal", entry["amount"]))

    def _update_order(self, order: Order, instrument: Instrument) -> None:
        name = order.intent.client_order_id
        row = self.orders.get(name)
        if row is None:
            return
        if not 0 <= order.filled_lots <= row.intent.quantity_lots:
            raise IntegrityError("orders: filled")
        tag = row.intent.tag
        live_key = tag.shard, tag.ladder_version, tag.slot, tag.side
        if order.is_live:
            self._take_place(live_key, name)
        elif self._live.get(live_key) == name:
            self._put(self._live, live_key, None)
        venue_order_id = venue_order_id_of(order) or row.venue_order_id
        if venue_order_id is not None:
            self._put(self._by_venue_id, venue_order_id, name)
        filled = instrument.lots_to_quantity(order.filled_lots)
        row = replace(
            row,
            order=replace(order, intent=row.intent),
            venue_order_id=venue_order_id,
            is_settled=not order.is_live and filled <= self._settled(name),
        )
        self._put(self.orders, name, row)

    def _record_slot(self, shard: int, slot: Slot) -> None:
        key = shard, slot.ladder_version, slot.index
        before = self.slots.get(key)
        if before is not None:
            slot = replace(
                slot,
                buy_generation=before.buy_generation,
                sell_generation=before.sell_generation,
            )
        self._put(self.slots, key, slot)

    def _take_place(self, key: _LiveKey, name: ClientOrderId) -> None:
        if self._live.get(key) not in {None, name}:
            raise IntegrityError("orders_one_live_per_slot_side")
        self._put(self._live, key, name)

    def _settled(self, name: ClientOrderId) -> Decimal:
        trades = self._trades_of.get(name, ())
        return sum((self.fills[key].fill.trade.quantity for key in trades), Decimal(0))

    def _settled_lots(self, name: ClientOrderId, claim: Claim) -> int:
        return claim.instrument.quantity_to_lots(self._settled(name))

    def _check_owned(self, ownership: Ownership) -> None:
        row = self.shards.get(ownership.shard)
        if row is None or row.epoch != ownership.epoch:
            raise OwnershipLost(f"shard {ownership.shard}: a newer epoch owns it")

    def _insert(self, table: dict[Key, Row], key: Key, row: Row) -> None:
        if key in table:
            raise IntegrityError(f"duplicate key {key}")
        self._put(table, key, row)

    def _put(self, table: dict[Key, Row], key: Key, row: Row) -> None:
        self._undo.append((cast("dict[object, object]", table), key, table.get(key, _MISSING)))
        table[key] = row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._undo.clear()
        try:
            yield
        except Exception:
            for table, key, before in reversed(self._undo):
                if before is _MISSING:
                    del table[key]
                else:
                    table[key] = before
            raise


def _read_back(row: OrderRow) -> Order:
    """A new owner asks for a cancel anew: that one was asked for is not read back."""
    return replace(row.order, cancel_requested=False)

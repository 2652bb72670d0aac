"""The tables of Postgres in memory, and transactions that leave nothing behind when they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar, cast

from domain.contracts import Position
from domain.ids import ClientOrderId, DecisionId, Side, SlotId, SymbolKey, VenueOrderId
from domain.instrument import Instrument
from domain.orders import Intent, Order
from grid.ladder import LadderVersion
from grid.phase import Phase
from grid.slots import Pair, Slot
from grid.spec import GridSpec
from orchestrator.workflows import CHANGES_QUEUE, SHARDS_QUEUE, Document
from ports.store import Decision, Desired, Fill, Finding, Status

Key = TypeVar("Key")
Row = TypeVar("Row")

#: Wishes that are not undone.
ENDING = frozenset({Desired.CLOSED, Desired.REMOVED})

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
    name: str
    host: str
    capacity: int
    heartbeat_ms: int
    #: When a heartbeat last came from a process that reaches the exchange.
    exchange_ms: int | None = None
    is_draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRow:
    shard: int
    key: SymbolKey
    account: str
    symbol: str
    spec: GridSpec
    start_price: Decimal
    phase: Phase
    #: The current one.
    ladder_version: int
    instrument: Instrument
    created_ms: int
    desired: Desired = Desired.RUNNING
    #: When the request was made that wants it so, and the one that wants this spec.
    desired_ms: int = 0
    spec_ms: int = 0
    spec_version: int = 1
    #: What its owner works with.
    taken_version: int | None = None
    status: Status = Status.STARTING
    reason: str = ""
    epoch: int = 0
    owner: str | None = None
    reconciled_trade_id: str | None = None
    #: Of the last complete comparison.
    reconciled_ms: int = 0
    #: When somebody last asked for one.
    compare_asked_ms: int | None = None
    ended_ms: int | None = None
    #: Its workflow.
    workflow_id: str
    #: The request that added it; empty where it was there from the beginning.
    requested_by: str = ""
    progress: Progress = Progress.ENQUEUED
    queue: str = SHARDS_QUEUE
    #: Who took it last.
    executor: str | None = None
    placed_on: str | None = None
    #: Name of the node an operator chose.
    pinned_to: str | None = None
    #: Since it last got through its first round.
    starts: int = 0
    is_quarantined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A request, and the workflow that does it."""

    workflow_id: str
    change: Document
    asked_ms: int
    progress: Progress = Progress.ENQUEUED
    executor: str | None = None
    #: What its steps made, by name.
    steps: Mapping[str, Document] = field(default_factory=dict)
    result: Document | None = None


@dataclass(frozen=True, slots=True)
class SpecRow:
    spec: GridSpec
    ladder_version: int
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    intent: Intent
    order: Order
    committed_ms: int
    #: The rules whose ticks and lots it counts in.
    made_under: Instrument
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


@dataclass(frozen=True, slots=True)
class LadderRow:
    ladder: LadderVersion
    made_ms: int


@dataclass(frozen=True, slots=True)
class OpeningRow:
    amount: Decimal
    #: Of a wallet: what moved it up to here is part of it.
    income_ms: int


#: The slot of a shard.
SlotKey = tuple[int, SlotId]
LiveKey = tuple[int, SlotId, Side]
TradeKey = tuple[str, str, str]


class Tables:
    """Rows by their primary keys, and the indices that hold their constraints."""

    def __init__(self, now_ms: Callable[[], int], *, nonce: int) -> None:
        self.now_ms = self._now_ms = now_ms
        self._undo: list[tuple[dict[object, object], object, object]] = []
        self.nonce = nonce
        self.is_killed = False
        self.killed_ms = 0
        #: When the kill switch was engaged, and re-armed.
        self.kills: list[tuple[int, int | None]] = []
        #: When each silence was made known to all nodes, and until when it lasts.
        self.pauses: list[tuple[int, int]] = []
        #: The one that counts, by the wall clock of the server, and how far that is ahead.
        self.pause = 0, 0
        self.ahead_ms = 0
        self.nodes: dict[str, NodeRow] = {}
        #: Queues that are registered.
        #: By name, as they came.
        self.queues: dict[str, None] = {CHANGES_QUEUE: None}
        #: Pending workflows of plans, and who runs each.
        self.plans: dict[str, str] = {}
        self.changes: dict[str, ChangeRow] = {}
        #: Who began a request's step last, and how many have so far.
        self.change_starts: dict[str, tuple[str, int]] = {}
        #: Who makes the watchdog's round, and until when the server waits for its end.
        self.round: tuple[str, int] | None = None
        #: Which row the transaction holds in whose midst an executor is stopped, a shard or a node,
        #: and since when.
        self.held: dict[str, tuple[int | str, int]] = {}
        #: When the last one was let go.
        self.freed_ms = 0
        #: By account, symbol and version.
        self.instruments: dict[tuple[str, str, int], Instrument] = {}
        self.shards: dict[int, ShardRow] = {}
        #: By shard and version.
        self.specs: dict[tuple[int, int], SpecRow] = {}
        #: By shard and version.
        self.ladders: dict[tuple[int, int], LadderRow] = {}
        self.slots: dict[SlotKey, Slot] = {}
        self.decisions: dict[DecisionId, Decision] = {}
        self.orders: dict[ClientOrderId, OrderRow] = {}
        self.fills: dict[TradeKey, FillRow] = {}
        self.pairs: dict[tuple[int, str], PairRow] = {}
        self.ledger: dict[tuple[str, str, str, str, str], Decimal] = {}
        self.findings: dict[tuple[int, str, str], Finding] = {}
        self.openings: dict[str, OpeningRow] = {}
        #: As the last comparison of each shard found it.
        self.positions: dict[int, Position] = {}
        self._live: dict[LiveKey, ClientOrderId | None] = {}
        self._generations: dict[tuple[LiveKey, int], ClientOrderId] = {}
        #: Venues number the orders of each symbol apart.
        self._by_venue_id: dict[tuple[int, VenueOrderId], ClientOrderId] = {}
        self._trades_of: dict[ClientOrderId, tuple[TradeKey, ...]] = {}

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

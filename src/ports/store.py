"""The durable side of a shard. Each method is one transaction.

A method that takes an `Ownership` commits only while that epoch is the shard's current one, and
raises `OwnershipLost` otherwise. All raise `StoreUnavailable` when Postgres does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from domain.contracts import Position
from domain.ids import ClientOrderId, DecisionId, SlotId, SymbolKey, VenueOrderId
from domain.instrument import Instrument
from domain.market import BookTop
from domain.orders import Order, Trade
from domain.plans import CommittedPlan, RiskApproved
from grid.ladder import LadderVersion
from grid.phase import Phase
from grid.slots import Pair, Slot
from grid.spec import GridSpec


class Desired(StrEnum):
    """What the operator wants of a symbol."""

    RUNNING = "running"
    PAUSED = "paused"
    #: Its inventory closed, then removed.
    CLOSED = "closed"
    REMOVED = "removed"


class Status(StrEnum):
    """What a symbol is doing."""

    STARTING = "starting"
    #: For its trigger price.
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    #: No entries until the reason is gone; exits go on.
    HALTED = "halted"
    #: A stop was touched: the inventory is being closed.
    CLOSING = "closing"
    #: The kill switch is engaged, or a stop ended the grid, and no order rests at the exchange.
    STOPPED = "stopped"
    REMOVING = "removing"
    REMOVED = "removed"


class Origin(StrEnum):
    """Whose trade a fill is."""

    OWN = "own"
    EXTERNAL = "external"
    #: Its order is not known yet.
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Ownership:
    shard: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A shard as its new owner finds it."""

    ownership: Ownership
    key: SymbolKey
    account: str
    symbol: str
    spec: GridSpec
    #: Which of the specs that the symbol has had.
    spec_version: int = 1
    #: All versions made so far, the current one last.
    ladders: tuple[LadderVersion, ...]
    #: Price at which the grid starts, or started.
    start_price: Decimal
    phase: Phase
    instrument: Instrument
    nonce: int
    reconciled_trade_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A trade and the order it belongs to, if that is known."""

    trade: Trade
    origin: Origin
    client_order_id: ClientOrderId | None = None


@dataclass(frozen=True, slots=True)
class ClosedPair:
    """A matched pair and the trade that closed it."""

    pair: Pair
    trade: Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something reconciliation did not expect; `subject` makes it one row however often seen."""

    kind: str
    subject: str
    detail: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Changes:
    """What one batch of events did, committed together."""

    orders: dict[ClientOrderId, Order] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)
    slots: dict[SlotId, Slot] = field(default_factory=dict)
    pairs: list[ClosedPair] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: The grid's new phase.
    phase: Phase | None = None
    #: A new ladder, from now on the current one.
    ladder: LadderVersion | None = None
    #: The spec that phase and ladder follow from: under another one they must not stand.
    spec_version: int | None = None
    #: New trading rules, to be numbered: from the next claim on they are in force.
    instrument: Instrument | None = None
    reconciled_trade_id: str | None = None
    is_reconciled: bool = False
    #: Of contracts: the position that a comparison found.
    position: Position | None = None

    def __bool__(self) -> bool:
        return bool(
            self.orders
            or self.fills
            or self.slots
            or self.pairs
            or self.findings
            or self.phase
            or self.ladder
            or self.instrument
            or self.position is not None
            or self.is_reconciled
        )


@dataclass(frozen=True, slots=True)
class Held:
    """What all recorded trades of a contract add up to, in base, signed."""

    #: Inventory of the symbol's slots.
    slots: Decimal
    #: What else its position is made of: trades of others, or what removed grids left behind.
    others: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What Postgres knows of a shard."""

    slots: Mapping[SlotId, Slot]
    #: Quote units that all pairs so far earned.
    paired_units: int
    #: Orders that are live, or ended with fills whose trades are not all recorded.
    orders: Sequence[Order]
    #: Base of each of those orders that recorded trades account for.
    settled: Mapping[ClientOrderId, Decimal]
    #: Trades recorded while their order was not known.
    parked: Sequence[Trade]
    #: Ids of the newest recorded trades; older duplicates are caught by the table's key.
    trade_ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A batch of orders to commit before any of it is sent."""

    decision_id: DecisionId
    ownership: Ownership
    sequence: int
    book: BookTop | None
    #: What changed since the one before, such as ``price`` or ``trade 123``.
    causes: tuple[str, ...]
    approved: RiskApproved


class ShardStore(Protocol):
    async def claim(self, shard: int, workflow_id: str) -> Claim:
        """Become the owner under the next epoch; raises `OwnershipLost` if another node is."""
        ...

    async def load(self, claim: Claim) -> Loaded:
        """Raises `OwnershipLost` under a former epoch: a successor's rows mean nothing there."""
        ...

    async def find_order(
        self, claim: Claim, order_id: ClientOrderId | VenueOrderId
    ) -> tuple[Order, Decimal] | None:
        """An order that left memory, with the base settled; `None` if it is not one of ours.

        Raises `OwnershipLost` as `load` does.
        """
        ...

    async def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        """Commit intents, generations and the decision's record; nothing was sent before."""
        ...

    async def own_trade_ids(self, client_order_id: ClientOrderId) -> frozenset[str]:
        """The recorded trades of one order."""
        ...

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        """Commit orders, fills, slots, pairs and their ledger entries together."""
        ...

    async def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        """Say what the symbol is doing.

        Raises
        ------
        OwnershipLost
            Also for a removal that the operator does not want any more.
        """
        ...

    async def held_inventory(self, account: str, base: str) -> Decimal:
        """Base that all slots of the account's symbols hold."""
        ...

    async def held_position(self, account: str, symbol: str) -> Held:
        """What a contract's recorded trades make its position."""
        ...

"""An order's life as a union of states, and how a venue's report moves it.

::

    Intended → Sent → Open → PartiallyFilled → Filled
                  ↘ Unknown              ↘ Cancelled
                  ↘ Rejected   Absent (proven never to have arrived)

Reports merge: the filled quantity is a monotone maximum, so duplicate, late and reordered reports
change nothing, and a late fill of a cancelled order wins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from domain.errors import InvariantViolation
from domain.ids import ClientOrderId, OrderTag, Side, VenueOrderId
from domain.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Intended:
    """Committed in Postgres, not yet handed to the socket."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Handed to the socket; no answer yet."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, and the outcome is not known: the slot and side are blocked."""

    reason: str


@dataclass(frozen=True, slots=True)
class Open:
    venue_order_id: VenueOrderId


@dataclass(frozen=True, slots=True)
class PartiallyFilled:
    venue_order_id: VenueOrderId
    filled_lots: int


@dataclass(frozen=True, slots=True)
class Filled:
    venue_order_id: VenueOrderId
    filled_lots: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    venue_order_id: VenueOrderId
    filled_lots: int


@dataclass(frozen=True, slots=True)
class Rejected:
    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Proven never to have arrived."""

    reason: str


OrderState = (
    Intended | Sent | Unknown | Open | PartiallyFilled | Filled | Cancelled | Rejected | Absent
)


class OrderStatus(StrEnum):
    """The names of the states, as stored and shown."""

    INTENDED = "intended"
    SENT = "sent"
    UNKNOWN = "unknown"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    ABSENT = "absent"


#: An order in one of these states may rest at the venue: its slot and side take no other.
LIVE_STATUSES = frozenset(
    {
        OrderStatus.INTENDED,
        OrderStatus.SENT,
        OrderStatus.UNKNOWN,
        OrderStatus.OPEN,
        OrderStatus.PARTIALLY_FILLED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One order as decided; its client id makes the exchange effect idempotent."""

    client_order_id: ClientOrderId
    tag: OrderTag
    price_ticks: int
    quantity_lots: int
    post_only: bool = True
    #: The venue lets it close a position and never open one.
    reduce_only: bool = False

    @property
    def side(self) -> Side:
        return self.tag.side


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An intent and what became of it."""

    intent: Intent
    state: OrderState
    #: A cancel was asked for and its end is not seen yet.
    cancel_requested: bool = False
    #: The rules whose ticks and lots it counts in, where those in force count otherwise.
    rules: Instrument | None = None

    @property
    def status(self) -> OrderStatus:
        return status_of(self.state)

    @property
    def is_live(self) -> bool:
        return self.status in LIVE_STATUSES

    @property
    def filled_lots(self) -> int:
        return filled_lots(self.state)

    @property
    def remaining_lots(self) -> int:
        return self.intent.quantity_lots - self.filled_lots if self.is_live else 0


class VenueStatus(StrEnum):
    """What a venue says an order is."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """One venue statement about one order, from a reply, a stream or a look-up."""

    symbol: str
    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    status: VenueStatus
    #: Cumulative, in base.
    filled: Decimal
    side: Side
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order as the venue's history tells it, open or ended long ago."""

    report: OrderReport
    post_only: bool
    reduce_only: bool
    #: Venue time, ms since the epoch.
    placed_ms: int
    #: Of its last change: of an ended order, when it ended.
    changed_ms: int

    @property
    def rests(self) -> bool:
        return self.report.status is VenueStatus.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution on the account; keyed by (account, symbol, trade id)."""

    symbol: str
    trade_id: str
    venue_order_id: VenueOrderId
    side: Side
    price: Decimal
    #: In base, before fees.
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    #: Venue time, ms since the epoch.
    traded_ms: int
    #: Of a contract: profit of the part of the position that it closed, as the venue reckons it.
    realised: Decimal = Decimal(0)


def status_of(state: OrderState) -> OrderStatus:
    match state:
        case Intended():
            return OrderStatus.INTENDED
        case Sent():
            return OrderStatus.SENT
        case Unknown():
            return OrderStatus.UNKNOWN
        case Open():
            return OrderStatus.OPEN
        case PartiallyFilled():
            return OrderStatus.PARTIALLY_FILLED
        case Filled():
            return OrderStatus.FILLED
        case Cancelled():
            return OrderStatus.CANCELLED
        case Rejected():
            return OrderStatus.REJECTED
        case Absent():
            return OrderStatus.ABSENT
        case never:
            assert_never(never)


def filled_lots(state: OrderState) -> int:
    match state:
        case PartiallyFilled() | Filled() | Cancelled():
            return state.filled_lots
        case Intended() | Sent() | Unknown() | Open() | Rejected() | Absent():
            return 0
        case never:
            assert_never(never)


def merge_report(order: Order, status: VenueStatus, venue_id: VenueOrderId, filled: int) -> Order:
    """Fold one venue statement into an order.

    Parameters
    ----------
    filled : int
        Cumulative filled lots of the statement; older statements never lower it.

    Raises
    ------
    InvariantViolation
        If more is filled than was asked for.
    """
    quantity = order.intent.quantity_lots
    filled = max(filled, order.filled_lots)
    if filled > quantity:
        raise InvariantViolation(
            f"order {order.intent.client_order_id}: filled {filled} lots of {quantity}"
        )
    ended = isinstance(order.state, Filled | Cancelled)
    state: OrderState
    if filled == quantity:
        state = Filled(venue_id, filled)
    elif status is VenueStatus.REJECTED and not filled:
        state = Rejected("refused by the venue")
    elif status in {VenueStatus.CANCELLED, VenueStatus.REJECTED} or ended:
        state = Cancelled(venue_id, filled)
    elif filled:
        state = PartiallyFilled(venue_id, filled)
    else:
        state = Open(venue_id)
    return replace(order, state=state)

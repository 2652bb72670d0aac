"""The vocabulary of orders, and what the ledger holds: one frozen record an effect.

State is the fold of these records and nothing else, so recovery is replaying them.
"""

from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any

from simulator.units import format_e8, parse_e8


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def is_buy(self) -> bool:
        return self is Side.BUY

    @property
    def sign(self) -> int:
        """What a trade of this side does to a position."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"
    #: The venue's own, when it closes a futures position that its margin no longer carries.
    LIQUIDATION = "LIQUIDATION"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    #: Good till crossing: post-only, as futures write it.
    GTX = "GTX"


class Status(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"
    #: Never a stored order's: only a refused cancel-replace reports it.
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A well-formed order: which fields are set is already checked against its type."""

    account: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    client_order_id: str
    price_e8: int = 0
    quantity_e8: int = 0
    quote_quantity_e8: int = 0
    reduce_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """A transfer in, or out where the amount is negative; `initial` opened the account."""

    time_ms: int
    account: str
    asset: str
    amount_e8: int
    initial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAccepted:
    time_ms: int
    account: str
    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price_e8: int
    quantity_e8: int
    #: Only for a market order given as a quote amount; its quantity is known once it is done.
    quote_quantity_e8: int
    reduce_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected:
    time_ms: int
    account: str
    symbol: str
    client_order_id: str
    side: Side
    type: OrderType
    price_e8: int
    quantity_e8: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled:
    time_ms: int
    account: str
    symbol: str
    order_id: int
    client_order_id: str
    trade_id: int
    side: Side
    price_e8: int
    quantity_e8: int
    quote_e8: int
    fee_e8: int
    fee_asset: str
    maker: bool
    #: Futures only: profit or loss of the part of the position that the fill closed, before fees.
    realised_e8: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAmended:
    """Price and quantity as they are from now on; the quantity counts what is filled already."""

    time_ms: int
    account: str
    symbol: str
    order_id: int
    client_order_id: str
    price_e8: int
    quantity_e8: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled:
    time_ms: int
    account: str
    symbol: str
    order_id: int
    client_order_id: str
    #: The id of the cancel request itself, shown in the user stream.
    cancel_client_order_id: str
    executed_e8: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExpired:
    """Ended by the venue: the rest of an IOC, FOK or market order, or a self-trade prevented."""

    time_ms: int
    account: str
    symbol: str
    order_id: int
    client_order_id: str
    executed_e8: int
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChanged:
    time_ms: int
    symbol: str
    tick_e8: int
    step_e8: int
    min_quantity_e8: int
    min_notional_e8: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionConfigured:
    """Leverage and margin type that an account chose for a symbol."""

    time_ms: int
    account: str
    symbol: str
    leverage: int
    isolated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingSettled:
    """A funding time of a symbol; what each position paid or got follows as `FundingPaid`."""

    time_ms: int
    symbol: str
    rate_e8: int
    mark_price_e8: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """What one position got, or paid where the amount is negative."""

    time_ms: int
    account: str
    symbol: str
    asset: str
    position_e8: int
    rate_e8: int
    mark_price_e8: int
    amount_e8: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountdownSet:
    """A dead-man switch: all orders of the symbol are cancelled at `due_ms`; 0 switches it off."""

    time_ms: int
    account: str
    symbol: str
    due_ms: int


Record = (
    Deposited
    | OrderAccepted
    | OrderRejected
    | OrderAmended
    | OrderFilled
    | OrderCancelled
    | OrderExpired
    | RulesChanged
    | PositionConfigured
    | FundingSettled
    | FundingPaid
    | CountdownSet
)

_KINDS: dict[str, type[Record]] = {
    "deposited": Deposited,
    "order_accepted": OrderAccepted,
    "order_rejected": OrderRejected,
    "order_amended": OrderAmended,
    "order_filled": OrderFilled,
    "order_cancelled": OrderCancelled,
    "order_expired": OrderExpired,
    "rules_changed": RulesChanged,
    "position_configured": PositionConfigured,
    "funding_settled": FundingSettled,
    "funding_paid": FundingPaid,
    "countdown_set": CountdownSet,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_ENUMS = {"side": Side, "type": OrderType, "time_in_force": TimeInForce, "status": Status}


def to_json(record: Record) -> dict[str, Any]:
    """Amounts become decimal strings under their name without `_e8`."""
    document: dict[str, Any] = {"kind": _NAMES[type(record)]}
    for item in fields(record):
        value = getattr(record, item.name)
        if item.name.endswith("_e8"):
            document[item.name.removesuffix("_e8")] = format_e8(value)
        else:
            document[item.name] = value
    return document


def from_json(document: dict[str, Any]) -> Record:
    kind = _KINDS[document["kind"]]
    values: dict[str, Any] = {}
    for item in fields(kind):
        name = item.name
        if item.default is not MISSING and name.removesuffix("_e8") not in document:
            continue  # written before the field was there
        if name.endswith("_e8"):
            values[name] = parse_e8(document[name.removesuffix("_e8")])
        elif name in _ENUMS:
            values[name] = _ENUMS[name](document[name])
        else:
            values[name] = document[name]
    return kind(**values)

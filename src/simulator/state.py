"""One market's orders, fills and rules: the fold of its records, over an account model of its own.

What a record does to money is the account model's: `SpotState` holds balances of two assets,
`FuturesState` a margin wallet and positions.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import assert_never

from simulator.records import (
    CountdownSet,
    Deposited,
    FundingPaid,
    FundingSettled,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderType,
    PositionConfigured,
    Record,
    RulesChanged,
    Side,
    Status,
    TimeInForce,
)
from simulator.symbols import Rules

FuturesRecord = PositionConfigured | FundingSettled | FundingPaid | CountdownSet


class LedgerError(Exception):
    """A record contradicts the records before it: money would appear, vanish or go negative."""


@dataclass(slots=True, eq=False)
class Order:
    """An order as its records left it."""

    account: str
    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price_e8: int
    quantity_e8: int
    quote_quantity_e8: int
    time_ms: int
    update_ms: int
    reduce_only: bool = False
    executed_e8: int = 0
    executed_quote_e8: int = 0
    status: Status = Status.NEW
    fills: list[OrderFilled] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status in {Status.NEW, Status.PARTIALLY_FILLED}

    @property
    def remaining_e8(self) -> int:
        return self.quantity_e8 - self.executed_e8


class State(ABC):
    """Orders and fills of one market; only `apply` changes them."""

    def __init__(self, rules: dict[str, Rules]) -> None:
        self.rules = dict(rules)
        self.deposits_e8: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.initial_e8: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        #: What the venue earned, by asset.
        self.fees_e8: dict[str, int] = defaultdict(int)
        self.orders: dict[str, dict[int, Order]] = {symbol: {} for symbol in rules}
        self.open_orders: dict[str, dict[int, Order]] = {symbol: {} for symbol in rules}
        self.fills: dict[tuple[str, str], list[OrderFilled]] = defaultdict(list)
        self.last_trade_id: dict[str, int] = dict.fromkeys(rules, 0)
        self.rejected_count = 0
        self._by_client_id: dict[tuple[str, str, str], Order] = {}

    def next_order_id(self, symbol: str) -> int:
        """Ids count up within a symbol, so two symbols share them, as on the real venue."""
        return len(self.orders[symbol]) + 1

    def order(self, account: str, symbol: str, order_id: int) -> Order | None:
        order = self.orders[symbol].get(order_id)
        return order if order is not None and order.account == account else None

    def order_by_client_id(self, account: str, symbol: str, client_order_id: str) -> Order | None:
        """The latest order under a client id: only open ones exclude each other."""
        return self._by_client_id.get((account, symbol, client_order_id))

    def open_orders_of(self, account: str, symbol: str) -> list[Order]:
        return [order for order in self.open_orders[symbol].values() if order.account == account]

    def apply(self, record: Record) -> None:
        match record:
            case Deposited():
                self._deposit(record)
            case OrderAccepted():
                self._accept(record)
            case OrderAmended():
                self._amend(record)
            case OrderFilled():
                self._fill(record)
            case OrderCancelled():
                self._close(record, Status.CANCELED)
            case OrderExpired():
                self._close(record, record.status)
            case OrderRejected():
                self.rejected_count += 1
            case RulesChanged():
                self.rules[record.symbol] = replace(
                    self.rules[record.symbol],
                    tick_e8=record.tick_e8,
                    step_e8=record.step_e8,
                    min_quantity_e8=record.min_quantity_e8,
                    min_notional_e8=record.min_notional_e8,
                )
            case PositionConfigured() | FundingSettled() | FundingPaid() | CountdownSet():
                self._apply_futures(record)
            case _:
                assert_never(record)

    @abstractmethod
    def locked_e8(self, order: Order) -> int:
        """What an open order holds back of a balance."""

    @abstractmethod
    def _credit(self, record: Deposited) -> None:
        """Add a transfer to its account."""

    @abstractmethod
    def _lock(self, order: Order, amount_e8: int) -> None:
        """Hold back an amount for an order, or release it where it is negative."""

    @abstractmethod
    def _settle(self, record: OrderFilled, released_e8: int) -> None:
        """Exchange what a fill exchanged; `released_e8` was held back for it."""

    @abstractmethod
    def _apply_futures(self, record: FuturesRecord) -> None:
        """Take a record that only an account with positions knows."""

    def _deposit(self, record: Deposited) -> None:
        book = self.initial_e8 if record.initial else self.deposits_e8
        book[record.account][record.asset] += record.amount_e8
        self._credit(record)

    def _accept(self, record: OrderAccepted) -> None:
        order = Order(
            account=record.account,
            symbol=record.symbol,
            order_id=record.order_id,
            client_order_id=record.client_order_id,
            side=record.side,
            type=record.type,
            time_in_force=record.time_in_force,
            price_e8=record.price_e8,
            quantity_e8=record.quantity_e8,
            quote_quantity_e8=record.quote_quantity_e8,
            time_ms=record.time_ms,
            update_ms=record.time_ms,
            reduce_only=record.reduce_only,
        )
        self.orders[order.symbol][order.order_id] = order
        self.open_orders[order.symbol][order.order_id] = order
        self._by_client_id[order.account, order.symbol, order.client_order_id] = order
        self._lock(order, self.locked_e8(order))

    def _amend(self, record: OrderAmended) -> None:
        order = self.open_orders[record.symbol][record.order_id]
        locked_e8 = self.locked_e8(order)
        order.price_e8 = record.price_e8
        order.quantity_e8 = record.quantity_e8
        order.update_ms = record.time_ms
        self._lock(order, self.locked_e8(order) - locked_e8)

    def _fill(self, record: OrderFilled) -> None:
        order = self.orders[record.symbol][record.order_id]
        if not order.is_open or record.quantity_e8 > order.remaining_e8:
            msg = f"{record.symbol} order {record.order_id}: fill of {record.quantity_e8} too much"
            raise LedgerError(msg)
        locked_before_e8 = self.locked_e8(order)
        order.executed_e8 += record.quantity_e8
        order.executed_quote_e8 += record.quote_e8
        order.update_ms = record.time_ms
        order.fills.append(record)
        filled = order.remaining_e8 == 0
        order.status = Status.FILLED if filled else Status.PARTIALLY_FILLED
        if filled:
            del self.open_orders[order.symbol][order.order_id]
        self._settle(record, locked_before_e8 - self.locked_e8(order))
        self.fees_e8[record.fee_asset] += record.fee_e8
        self.fills[record.account, record.symbol].append(record)
        self.last_trade_id[record.symbol] = record.trade_id

    def _close(self, record: OrderCancelled | OrderExpired, status: Status) -> None:
        order = self.open_orders[record.symbol].pop(record.order_id)
        self._lock(order, -self.locked_e8(order))
        order.status = status
        order.update_ms = record.time_ms

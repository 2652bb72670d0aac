"""The exchange's accounts and orders: the fold of its ledger."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import assert_never

from simulator.config import Rules
from simulator.records import (
    Deposited,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderType,
    Record,
    RulesChanged,
    Side,
    Status,
    TimeInForce,
)
from simulator.units import notional_e8


class LedgerError(Exception):
    """A record contradicts the records before it: money would appear, vanish or go negative."""


@dataclass(slots=True)
class Balance:
    free_e8: int = 0
    locked_e8: int = 0


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

    @property
    def locked_e8(self) -> int:
        """What an open order holds back; a market order never rests, so it holds nothing."""
        if self.type is OrderType.MARKET or not self.is_open:
            return 0
        if self.side is Side.SELL:
            return self.remaining_e8
        return notional_e8(self.price_e8, self.remaining_e8)


class State:
    """Balances, orders and fills; only `apply` changes them."""

    def __init__(self, rules: dict[str, Rules]) -> None:
        self.rules = dict(rules)
        self.balances: dict[str, dict[str, Balance]] = defaultdict(lambda: defaultdict(Balance))
        self.deposits_e8: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.initial_e8: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        #: What the market side gave and got, and what the venue earned, by asset.
        self.counterparty_e8: dict[str, int] = defaultdict(int)
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

    def apply(self, record: Record) -> None:
        match record:
            case Deposited():
                self._deposit(record)
            case OrderAccepted():
                self._accept(record)
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
            case _:
                assert_never(record)

    def _deposit(self, record: Deposited) -> None:
        book = self.initial_e8 if record.initial else self.deposits_e8
        book[record.account][record.asset] += record.amount_e8
        self._move(record.account, record.asset, free_e8=record.amount_e8)

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
        )
        self.orders[order.symbol][order.order_id] = order
        self.open_orders[order.symbol][order.order_id] = order
        self._by_client_id[order.account, order.symbol, order.client_order_id] = order
        locked_e8 = order.locked_e8
        self._move(order.account, self._spent_asset(order), free_e8=-locked_e8, locked_e8=locked_e8)

    def _fill(self, record: OrderFilled) -> None:
        order = self.orders[record.symbol][record.order_id]
        rules = self.rules[record.symbol]
        if not order.is_open or record.quantity_e8 > order.remaining_e8:
            msg = f"{record.symbol} order {record.order_id}: fill of {record.quantity_e8} too much"
            raise LedgerError(msg)
        locked_before_e8 = order.locked_e8
        order.executed_e8 += record.quantity_e8
        order.executed_quote_e8 += record.quote_e8
        order.update_ms = record.time_ms
        order.fills.append(record)
        filled = order.remaining_e8 == 0
        order.status = Status.FILLED if filled else Status.PARTIALLY_FILLED
        if filled:
            del self.open_orders[order.symbol][order.order_id]
        released_e8 = locked_before_e8 - order.locked_e8

        if record.side is Side.BUY:
            spent, spent_e8 = rules.quote, record.quote_e8
            got, got_e8 = rules.base, record.quantity_e8
        else:
            spent, spent_e8 = rules.base, record.quantity_e8
            got, got_e8 = rules.quote, record.quote_e8
        self._move(record.account, spent, free_e8=released_e8 - spent_e8, locked_e8=-released_e8)
        self._move(record.account, got, free_e8=got_e8)
        self._move(record.account, record.fee_asset, free_e8=-record.fee_e8)
        self.counterparty_e8[spent] += spent_e8
        self.counterparty_e8[got] -= got_e8
        self.fees_e8[record.fee_asset] += record.fee_e8
        self.fills[record.account, record.symbol].append(record)
        self.last_trade_id[record.symbol] = record.trade_id

    def _close(self, record: OrderCancelled | OrderExpired, status: Status) -> None:
        order = self.open_orders[record.symbol].pop(record.order_id)
        locked_e8 = order.locked_e8
        order.status = status
        order.update_ms = record.time_ms
        self._move(order.account, self._spent_asset(order), free_e8=locked_e8, locked_e8=-locked_e8)

    def _spent_asset(self, order: Order) -> str:
        rules = self.rules[order.symbol]
        return rules.quote if order.side is Side.BUY else rules.base

    def _move(self, account: str, asset: str, *, free_e8: int, locked_e8: int = 0) -> None:
        balance = self.balances[account][asset]
        balance.free_e8 += free_e8
        balance.locked_e8 += locked_e8
        if balance.free_e8 < 0 or balance.locked_e8 < 0:
            msg = f"{account}: {asset} would be {balance}"
            raise LedgerError(msg)

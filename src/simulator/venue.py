"""The exchange's decisions: what an order, a cancel or a market event leads to.

Pure given `now_ms`: effects are records applied to `State` and collected in an outbox, which the
caller writes to the ledger before it tells anyone.
"""

from dataclasses import dataclass, field
from typing import Any

from simulator import wire
from simulator.book import Book
from simulator.config import Limits, Rules
from simulator.errors import (
    VenueError,
    cancel_rejected,
    invalid_symbol,
    order_rejected,
)
from simulator.filters import check_filters
from simulator.records import (
    Deposited,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderRequest,
    OrderType,
    Record,
    RulesChanged,
    Side,
    Status,
    TimeInForce,
)
from simulator.state import Order, State
from simulator.units import fraction_e8, notional_e8


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """One trade of the public tape."""

    symbol: str
    trade_id: int
    price_e8: int
    quantity_e8: int
    time_ms: int
    buyer_is_maker: bool


@dataclass(slots=True)
class Outbox:
    """What happened since the last drain, in order; events are (account, payload)."""

    records: list[Record] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    trades: list[PublicTrade] = field(default_factory=list)


class Venue:
    """One exchange: a book a symbol, over one state."""

    def __init__(self, state: State, limits: Limits, *, first_id: int) -> None:
        """`first_id` must be above every public trade id and book update id given out before."""
        self.state = state
        self.books = {symbol: Book(first_id) for symbol in state.rules}
        self.last_price_e8: dict[str, int] = {}
        self._limits = limits
        self._outbox = Outbox()
        self._touched: dict[str, set[str]] = {}
        self._next_trade_id = {
            symbol: max(first_id, last + 1) for symbol, last in state.last_trade_id.items()
        }
        for symbol, orders in state.open_orders.items():
            for order in orders.values():
                self.books[symbol].rest(
                    order.order_id, order.account, order.side, order.price_e8, order.remaining_e8
                )

    def rules(self, symbol: str) -> Rules:
        rules = self.state.rules.get(symbol)
        if rules is None:
            raise invalid_symbol()
        return rules

    def drain(self, now_ms: int) -> Outbox:
        """Take what happened, ended by the new balances of every account it touched."""
        outbox, self._outbox = self._outbox, Outbox()
        for account, assets in self._touched.items():
            balances = self.state.balances[account]
            outbox.events.append((account, wire.account_position(balances, assets, now_ms)))
        self._touched.clear()
        return outbox

    def deposit(
        self, account: str, asset: str, amount_e8: int, now_ms: int, *, initial: bool = False
    ) -> None:
        free_e8 = self.state.balances[account][asset].free_e8
        if free_e8 + amount_e8 < 0:
            raise order_rejected("Account has insufficient balance for requested action.")
        record = Deposited(
            time_ms=now_ms, account=account, asset=asset, amount_e8=amount_e8, initial=initial
        )
        self._emit(record)
        self._touched.setdefault(account, set()).add(asset)
        self._outbox.events.append((account, wire.balance_update(record)))

    def change_rules(self, symbol: str, changes: dict[str, str], now_ms: int) -> None:
        rules = self.rules(symbol).amended(changes)
        self._emit(
            RulesChanged(
                time_ms=now_ms,
                symbol=symbol,
                tick_e8=rules.tick_e8,
                step_e8=rules.step_e8,
                min_quantity_e8=rules.min_quantity_e8,
                min_notional_e8=rules.min_notional_e8,
            )
        )

    def place(self, request: OrderRequest, now_ms: int, *, report_rejection: bool = False) -> Order:
        """Accept an order and match what it takes; a refusal is recorded and raised.

        The venue reports a refusal in the user stream only when it was part of a cancel-replace.
        """
        try:
            quantity_e8 = self._check(request)
        except VenueError as error:
            self._emit(
                OrderRejected(
                    time_ms=now_ms,
                    account=request.account,
                    symbol=request.symbol,
                    client_order_id=request.client_order_id,
                    side=request.side,
                    type=request.type,
                    price_e8=request.price_e8,
                    quantity_e8=request.quantity_e8,
                    code=error.code,
                    reason=error.message,
                )
            )
            if report_rejection:
                report = wire.rejection_report(request, error.code, now_ms)
                self._outbox.events.append((request.account, report))
            raise
        record = OrderAccepted(
            time_ms=now_ms,
            account=request.account,
            symbol=request.symbol,
            order_id=self.state.next_order_id(request.symbol),
            client_order_id=request.client_order_id,
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            price_e8=request.price_e8,
            quantity_e8=quantity_e8,
            quote_quantity_e8=request.quote_quantity_e8,
        )
        self._emit(record)
        order = self.state.orders[record.symbol][record.order_id]
        self._report(order, "NEW", now_ms)
        self._match(order, now_ms)
        return order

    def cancel(self, order: Order, cancel_client_order_id: str, now_ms: int) -> None:
        if not order.is_open:
            raise cancel_rejected()
        self.books[order.symbol].remove(order.order_id)
        self._emit(
            OrderCancelled(
                time_ms=now_ms,
                account=order.account,
                symbol=order.symbol,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                cancel_client_order_id=cancel_client_order_id,
                executed_e8=order.executed_e8,
            )
        )
        self._report(order, "CANCELED", now_ms, cancel_id=cancel_client_order_id)

    def trade(
        self, symbol: str, price_e8: int, quantity_e8: int, now_ms: int, *, buyer_is_maker: bool
    ) -> None:
        """A trade of the market: our resting orders share in it, the rest is printed."""
        left_e8 = quantity_e8
        matches = self.books[symbol].trade(price_e8, quantity_e8, buyer_is_maker=buyer_is_maker)
        for match in matches:
            order = self.state.orders[symbol][match.order_id]
            left_e8 -= match.quantity_e8
            self._fill(order, match.price_e8, match.quantity_e8, now_ms, maker=True)
        if left_e8:
            self._print(symbol, price_e8, left_e8, now_ms, buyer_is_maker=buyer_is_maker)

    def _check(self, request: OrderRequest) -> int:
        """Refuse by filter, duplicate id, crossing or balance; return the base quantity."""
        rules = self.rules(request.symbol)
        book = self.books[request.symbol]
        quantity_e8 = request.quantity_e8
        if request.quote_quantity_e8:
            quantity_e8 = book.cost_to_quantity_e8(
                request.side, request.quote_quantity_e8, rules.step_e8
            )
        open_orders = self.state.open_orders[request.symbol].values()
        check_filters(
            request,
            rules,
            quantity_e8=quantity_e8,
            reference_price_e8=self._reference_price_e8(request.symbol),
            open_count=sum(order.account == request.account for order in open_orders),
            open_count_max=self._limits.open_orders_per_symbol,
        )
        previous = self.state.order_by_client_id(
            request.account, request.symbol, request.client_order_id
        )
        if previous is not None and previous.is_open:
            raise order_rejected("Duplicate order sent.")
        if request.type is OrderType.LIMIT_MAKER and book.would_take(
            request.account, request.side, request.price_e8
        ):
            raise order_rejected("Order would immediately match and take.")
        balances = self.state.balances[request.account]
        if request.side is Side.SELL:
            short = balances[rules.base].free_e8 < quantity_e8
        elif request.type is OrderType.MARKET:
            cost_e8 = book.cost_e8(request.side, quantity_e8)
            short = balances[rules.quote].free_e8 < cost_e8
        else:
            cost_e8 = notional_e8(request.price_e8, quantity_e8)
            short = balances[rules.quote].free_e8 < cost_e8
        if short:
            raise order_rejected("Account has insufficient balance for requested action.")
        return quantity_e8

    def _reference_price_e8(self, symbol: str) -> int | None:
        """The last price, or the best displayed one before the first trade."""
        bid, ask = self.books[symbol].best()
        return self.last_price_e8.get(symbol) or bid[0] or ask[0] or None

    def _match(self, order: Order, now_ms: int) -> None:
        """Take what the order may take; rest or expire what is left."""
        book = self.books[order.symbol]
        limit_e8 = None if order.type is OrderType.MARKET else order.price_e8
        if (
            order.time_in_force is TimeInForce.FOK
            and book.available_e8(order.side, limit_e8) < order.quantity_e8
        ):
            self._expire(order, Status.EXPIRED, now_ms)
            return
        taken = book.take(order.account, order.side, limit_e8, order.quantity_e8)
        for order_id in taken.met_own:
            book.remove(order_id)
            met = self.state.orders[order.symbol][order_id]
            self._expire(met, Status.EXPIRED_IN_MATCH, now_ms)
        for price_e8, quantity_e8 in taken.parts:
            self._fill(order, price_e8, quantity_e8, now_ms, maker=False)
        if not order.is_open:
            return
        if limit_e8 is not None and order.time_in_force is TimeInForce.GTC:
            book.rest(order.order_id, order.account, order.side, order.price_e8, order.remaining_e8)
        else:
            self._expire(order, Status.EXPIRED, now_ms)

    def _fill(
        self, order: Order, price_e8: int, quantity_e8: int, now_ms: int, *, maker: bool
    ) -> None:
        rules = self.state.rules[order.symbol]
        quote_e8 = notional_e8(price_e8, quantity_e8)
        rate_e8 = rules.maker_fee_e8 if maker else rules.taker_fee_e8
        buying = order.side is Side.BUY
        trade_id = self._print(
            order.symbol, price_e8, quantity_e8, now_ms, buyer_is_maker=buying is maker
        )
        self._emit(
            OrderFilled(
                time_ms=now_ms,
                account=order.account,
                symbol=order.symbol,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                trade_id=trade_id,
                side=order.side,
                price_e8=price_e8,
                quantity_e8=quantity_e8,
                quote_e8=quote_e8,
                fee_e8=fraction_e8(quantity_e8 if buying else quote_e8, rate_e8),
                fee_asset=rules.base if buying else rules.quote,
                maker=maker,
            )
        )
        self._report(order, "TRADE", now_ms)

    def _expire(self, order: Order, status: Status, now_ms: int) -> None:
        self._emit(
            OrderExpired(
                time_ms=now_ms,
                account=order.account,
                symbol=order.symbol,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                executed_e8=order.executed_e8,
                status=status,
            )
        )
        execution = "EXPIRED" if status is Status.EXPIRED else "TRADE_PREVENTION"
        self._report(order, execution, now_ms)

    def _print(
        self, symbol: str, price_e8: int, quantity_e8: int, now_ms: int, *, buyer_is_maker: bool
    ) -> int:
        trade_id = self._next_trade_id[symbol]
        self._next_trade_id[symbol] = trade_id + 1
        self.last_price_e8[symbol] = price_e8
        self._outbox.trades.append(
            PublicTrade(symbol, trade_id, price_e8, quantity_e8, now_ms, buyer_is_maker)
        )
        return trade_id

    def _emit(self, record: Record) -> None:
        self.state.apply(record)
        self._outbox.records.append(record)

    def _report(self, order: Order, execution: str, now_ms: int, *, cancel_id: str = "") -> None:
        rules = self.state.rules[order.symbol]
        self._touched.setdefault(order.account, set()).update((rules.base, rules.quote))
        report = wire.execution_report(order, execution, now_ms, cancel_id=cancel_id)
        self._outbox.events.append((order.account, report))

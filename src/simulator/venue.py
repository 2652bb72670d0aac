"""The matching core: what an order, a cancel or a market event leads to.

Pure given `now_ms`: effects are records applied to `State` and collected in an outbox, which the
caller writes to the ledger before it tells anyone. What an order needs, what a fill costs and how
the venue words its events is the market's: `SpotVenue`, `FuturesVenue`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from simulator.book import Book
from simulator.config import Limits
from simulator.errors import VenueError, cancel_rejected, invalid_symbol
from simulator.outbox import Outbox, PublicTrade
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
    Status,
    TimeInForce,
)
from simulator.state import Order, State
from simulator.symbols import Rules
from simulator.units import notional_e8

AnyState = TypeVar("AnyState", bound=State)

_RESTING = frozenset({TimeInForce.GTC, TimeInForce.GTX})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a fill costs its account, and what it made of an open position."""

    fee_e8: int
    fee_asset: str
    realised_e8: int = 0


class Venue(ABC, Generic[AnyState]):
    """One market: a book a symbol, over one state."""

    def __init__(self, state: AnyState, limits: Limits, *, first_id: int) -> None:
        """`first_id` must be above every public trade id and book update id given out before."""
        self.state = state
        self.books = {symbol: Book(first_id) for symbol in state.rules}
        self.last_price_e8: dict[str, int] = {}
        self._limits = limits
        self._outbox = Outbox()
        self._next_trade_id = {
            symbol: max(first_id, last + 1) for symbol, last in state.last_trade_id.items()
        }
        for symbol, orders in state.open_orders.items():
            for order in orders.values():
                self._rest(self.books[symbol], order)

    def rules(self, symbol: str) -> Rules:
        rules = self.state.rules.get(symbol)
        if rules is None:
            raise invalid_symbol()
        return rules

    def drain(self, now_ms: int) -> Outbox:
        """Take what happened, ended by the new standing of every account it touched."""
        outbox, self._outbox = self._outbox, Outbox()
        outbox.events.extend(self._account_events(now_ms))
        return outbox

    def deposit(
        self, account: str, asset: str, amount_e8: int, now_ms: int, *, initial: bool = False
    ) -> None:
        self._check_transfer(account, asset, amount_e8)
        record = Deposited(
            time_ms=now_ms, account=account, asset=asset, amount_e8=amount_e8, initial=initial
        )
        self._emit(record)
        self._report_transfer(record)

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
                self._report_rejection(request, error, now_ms)
            raise
        order = self._accept(request, quantity_e8, now_ms)
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
        # Each match is settled before the next is made: a fill may end or shrink other orders.
        for match in self.books[symbol].trade(price_e8, quantity_e8, buyer_is_maker=buyer_is_maker):
            order = self.state.orders[symbol][match.order_id]
            left_e8 -= match.quantity_e8
            self._fill(order, match.price_e8, match.quantity_e8, now_ms, maker=True)
        if left_e8:
            self._print(symbol, price_e8, left_e8, now_ms, buyer_is_maker=buyer_is_maker)

    @abstractmethod
    def _check(self, request: OrderRequest) -> int:
        """Refuse what the market refuses; return the base quantity."""

    @abstractmethod
    def _check_transfer(self, account: str, asset: str, amount_e8: int) -> None:
        """Refuse to take out more than there is."""

    @abstractmethod
    def _terms(self, order: Order, quantity_e8: int, quote_e8: int, *, maker: bool) -> Terms:
        """Fee and realised profit of a fill that is about to happen."""

    @abstractmethod
    def _report(self, order: Order, execution: str, now_ms: int, *, cancel_id: str = "") -> None:
        """Tell the account's user stream of an order."""

    @abstractmethod
    def _report_rejection(self, request: OrderRequest, error: VenueError, now_ms: int) -> None:
        """Tell the account's user stream of a refused replacement."""

    @abstractmethod
    def _report_transfer(self, record: Deposited) -> None:
        """Tell the account's user stream of a transfer."""

    @abstractmethod
    def _account_events(self, now_ms: int) -> list[tuple[str, dict[str, Any]]]:
        """The standing of every account touched since the last call."""

    def _executable_e8(self, order: Order) -> int:
        """How much of an order may still trade."""
        return order.remaining_e8

    def _filled(self, order: Order, now_ms: int) -> None:
        """What a fill means for the other orders of its account."""

    def _reference_price_e8(self, symbol: str) -> int | None:
        """The last price, or the best displayed one before the first trade."""
        bid, ask = self.books[symbol].best()
        return self.last_price_e8.get(symbol) or bid[0] or ask[0] or None

    def _accept(self, request: OrderRequest, quantity_e8: int, now_ms: int) -> Order:
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
            reduce_only=request.reduce_only,
        )
        self._emit(record)
        return self.state.orders[record.symbol][record.order_id]

    def _match(self, order: Order, now_ms: int) -> None:
        """Take what the order may take; rest or expire what is left."""
        book = self.books[order.symbol]
        limit_e8 = None if order.type is OrderType.MARKET else order.price_e8
        wanted_e8 = self._executable_e8(order)
        if (
            order.time_in_force is TimeInForce.FOK
            and book.available_e8(order.side, limit_e8) < wanted_e8
        ):
            self._expire(order, Status.EXPIRED, now_ms)
            return
        taken = book.take(order.account, order.side, limit_e8, wanted_e8)
        for order_id in taken.met_own:
            met = self.state.orders[order.symbol][order_id]
            self._expire(met, Status.EXPIRED_IN_MATCH, now_ms)
        for price_e8, quantity_e8 in taken.parts:
            self._fill(order, price_e8, quantity_e8, now_ms, maker=False)
        if not order.is_open:
            return
        if limit_e8 is not None and order.time_in_force in _RESTING:
            self._rest(book, order)
        else:
            self._expire(order, Status.EXPIRED, now_ms)

    def _rest(self, book: Book, order: Order) -> None:
        book.rest(
            order.order_id, order.account, order.side, order.price_e8, self._executable_e8(order)
        )

    def _fill(
        self, order: Order, price_e8: int, quantity_e8: int, now_ms: int, *, maker: bool
    ) -> None:
        buying = order.side.is_buy
        trade_id = self._print(
            order.symbol, price_e8, quantity_e8, now_ms, buyer_is_maker=buying is maker
        )
        self._emit_fill(order, trade_id, price_e8, quantity_e8, now_ms, maker=maker)
        self._report(order, "TRADE", now_ms)
        self._filled(order, now_ms)

    def _emit_fill(
        self,
        order: Order,
        trade_id: int,
        price_e8: int,
        quantity_e8: int,
        now_ms: int,
        *,
        maker: bool,
    ) -> None:
        quote_e8 = notional_e8(price_e8, quantity_e8)
        terms = self._terms(order, quantity_e8, quote_e8, maker=maker)
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
                fee_e8=terms.fee_e8,
                fee_asset=terms.fee_asset,
                maker=maker,
                realised_e8=terms.realised_e8,
            )
        )

    def _expire(self, order: Order, status: Status, now_ms: int) -> None:
        self.books[order.symbol].discard(order.order_id)
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
        trade_id = self._take_trade_id(symbol)
        self.last_price_e8[symbol] = price_e8
        self._outbox.trades.append(
            PublicTrade(symbol, trade_id, price_e8, quantity_e8, now_ms, buyer_is_maker)
        )
        return trade_id

    def _take_trade_id(self, symbol: str) -> int:
        trade_id = self._next_trade_id[symbol]
        self._next_trade_id[symbol] = trade_id + 1
        return trade_id

    def _emit(self, record: Record) -> None:
        self.state.apply(record)
        self._outbox.records.append(record)

"""The futures market's terms: margin instead of balances, positions, funding, liquidation."""

from typing import Any

from simulator import wire_futures, wire_futures_account
from simulator.config import Limits
from simulator.errors import FuturesError, VenueError
from simulator.futures_filters import check_futures_filters
from simulator.futures_state import FuturesState
from simulator.margin import Standing, standing
from simulator.positions import LEVERAGE_MAX, bankruptcy_price_e8, notional_max_e8
from simulator.records import (
    CountdownSet,
    Deposited,
    FundingPaid,
    FundingSettled,
    OrderAmended,
    OrderRequest,
    OrderType,
    PositionConfigured,
    Side,
    Status,
    TimeInForce,
)
from simulator.state import Order
from simulator.units import UNIT, ceil_div, fraction_e8, notional_e8
from simulator.venue import Terms, Venue

#: Client ids of the venue's own orders begin so.
LIQUIDATION_PREFIX = "autoclose-"
COUNTDOWN_PREFIX = "countdown-"


class FuturesVenue(Venue[FuturesState]):
    """Perpetual contracts in one-way mode, cross or isolated margin."""

    def __init__(self, state: FuturesState, limits: Limits, *, first_id: int) -> None:
        #: Mark prices, once the market has shown any.
        self.marks_e8: dict[str, int] = {}
        #: (account, reason) -> symbols whose positions an account event has to show.
        self._touched: dict[tuple[str, str], set[str]] = {}
        super().__init__(state, limits, first_id=first_id)

    def standing(self, account: str, asset: str) -> Standing:
        return standing(self.state, self.marks_e8, account, asset)

    def standings(self, account: str) -> dict[str, Standing]:
        return {asset: self.standing(account, asset) for asset in self.settlement_assets()}

    def settlement_assets(self) -> list[str]:
        return sorted({rules.quote for rules in self.state.rules.values()})

    def configure(
        self,
        account: str,
        symbol: str,
        now_ms: int,
        *,
        leverage: int | None = None,
        isolated: bool | None = None,
    ) -> None:
        """Choose leverage or margin type; refused where an open position forbids it."""
        position = self.state.position(account, symbol)
        if isolated is not None:
            if position.isolated is isolated:
                raise FuturesError.MARGIN_TYPE_KEPT.error()
            if self.state.open_orders_of(account, symbol):
                raise FuturesError.MARGIN_TYPE_HAS_ORDERS.error()
            if position.quantity_e8:
                raise FuturesError.MARGIN_TYPE_HAS_POSITION.error()
        if leverage is not None:
            if not 1 <= leverage <= LEVERAGE_MAX:
                raise FuturesError.LEVERAGE_INVALID.error(leverage)
            if position.isolated and position.quantity_e8 and leverage < position.leverage:
                raise FuturesError.LEVERAGE_REDUCTION.error()
            carried = self.standing(account, self.rules(symbol).quote).carried[symbol]
            if carried.exposure_e8 > notional_max_e8(leverage):
                raise FuturesError.POSITION_TOO_LARGE.error()
        self._emit(
            PositionConfigured(
                time_ms=now_ms,
                account=account,
                symbol=symbol,
                leverage=position.leverage if leverage is None else leverage,
                isolated=position.isolated if isolated is None else isolated,
            )
        )
        if leverage is not None:
            update = wire_futures_account.config_update(symbol, leverage, now_ms)
            self._outbox.events.append((account, update))

    def amend(self, order: Order, price_e8: int, quantity_e8: int, now_ms: int) -> None:
        """Change an open order in place; it keeps its queue only where it merely shrinks.

        A post-only order that would cross, and one whose new quantity is filled already, are
        cancelled, as on the venue.
        """
        if (price_e8, quantity_e8) == (order.price_e8, order.quantity_e8):
            raise FuturesError.NOTHING_TO_AMEND.error()
        request = OrderRequest(
            account=order.account,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            time_in_force=order.time_in_force,
            client_order_id=order.client_order_id,
            price_e8=price_e8,
            quantity_e8=quantity_e8,
            reduce_only=order.reduce_only,
        )
        self._check_filters(request)
        if quantity_e8 <= order.executed_e8:
            self.cancel(order, order.client_order_id, now_ms)
            return
        if not order.reduce_only:
            self._check_margin(request, quantity_e8 - order.executed_e8, replaced=order)
        book = self.books[order.symbol]
        if order.time_in_force is TimeInForce.GTX and book.would_take(
            order.account, order.side, price_e8
        ):
            self.cancel(order, order.client_order_id, now_ms)
            return
        shrinks = price_e8 == order.price_e8 and quantity_e8 < order.quantity_e8
        self._emit(
            OrderAmended(
                time_ms=now_ms,
                account=order.account,
                symbol=order.symbol,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                price_e8=price_e8,
                quantity_e8=quantity_e8,
            )
        )
        self._report(order, "AMENDMENT", now_ms)
        if shrinks:
            book.limit(order.order_id, self._executable_e8(order))
        else:
            book.remove(order.order_id)
            self._match(order, now_ms)

    def set_countdown(self, account: str, symbol: str, countdown_ms: int, now_ms: int) -> None:
        """Cancel all orders of the symbol unless this is called again in time; 0 stops it."""
        due_ms = now_ms + countdown_ms if countdown_ms else 0
        self._emit(CountdownSet(time_ms=now_ms, account=account, symbol=symbol, due_ms=due_ms))

    def run_countdowns(self, now_ms: int) -> None:
        for switch in list(self.state.countdowns.values()):
            if switch.due_ms <= now_ms:
                for order in self.state.open_orders_of(switch.account, switch.symbol):
                    self.cancel(order, f"{COUNTDOWN_PREFIX}{now_ms}", now_ms)
                self.set_countdown(switch.account, switch.symbol, 0, now_ms)

    def settle_funding(self, symbol: str, rate_e8: int, now_ms: int) -> None:
        """Longs pay the rate of their notional to shorts, or the other way where it is negative."""
        mark_e8 = self.marks_e8.get(symbol, 0)
        self._emit(
            FundingSettled(time_ms=now_ms, symbol=symbol, rate_e8=rate_e8, mark_price_e8=mark_e8)
        )
        for account in self.state.accounts():
            position = self.state.position(account, symbol)
            if position.quantity_e8 == 0:
                continue
            self._emit(
                FundingPaid(
                    time_ms=now_ms,
                    account=account,
                    symbol=symbol,
                    asset=self.rules(symbol).quote,
                    position_e8=position.quantity_e8,
                    rate_e8=rate_e8,
                    mark_price_e8=mark_e8,
                    amount_e8=-ceil_div(position.notional_e8(mark_e8) * rate_e8, UNIT),
                )
            )
            shown = {symbol} if position.isolated else set()
            self._touched.setdefault((account, "FUNDING_FEE"), set()).update(shown)

    def check_margins(self, now_ms: int) -> None:
        """Close what its margin no longer carries, one position after the other."""
        for account in self.state.accounts():
            held = any(item.quantity_e8 for item in self.state.positions(account).values())
            for asset in self.settlement_assets() if held else ():
                while ended := self.standing(account, asset).endangered():
                    for symbol in ended:
                        for order in self.state.open_orders_of(account, symbol):
                            self.cancel(order, f"{LIQUIDATION_PREFIX}{now_ms}", now_ms)
                    self._liquidate(account, ended[0], now_ms)

    def _liquidate(self, account: str, symbol: str, now_ms: int) -> None:
        rules = self.rules(symbol)
        position = self.state.position(account, symbol)
        backing_e8 = self.standing(account, rules.quote).backing_e8(symbol)
        quantity_e8 = abs(position.quantity_e8)
        request = OrderRequest(
            account=account,
            symbol=symbol,
            side=Side.SELL if position.quantity_e8 > 0 else Side.BUY,
            type=OrderType.LIQUIDATION,
            time_in_force=TimeInForce.IOC,
            client_order_id=f"{LIQUIDATION_PREFIX}{now_ms}",
            price_e8=bankruptcy_price_e8(position, backing_e8, rules.tick_e8),
            quantity_e8=quantity_e8,
            reduce_only=True,
        )
        order = self._accept(request, quantity_e8, now_ms)
        self._report(order, "NEW", now_ms)
        # Between the account and the venue: neither the book nor the tape sees this trade.
        trade_id = self._take_trade_id(symbol)
        self._emit_fill(order, trade_id, order.price_e8, quantity_e8, now_ms, maker=False)
        self._report(order, "CALCULATED", now_ms)
        event = wire_futures.force_order_event(order, now_ms)
        for stream in (f"{symbol.lower()}@forceOrder", "!forceOrder@arr"):
            self._outbox.announcements.append((stream, event))

    def _check(self, request: OrderRequest) -> int:
        rules = self.rules(request.symbol)
        self._check_filters(request)
        orders = self.state.open_orders_of(request.account, request.symbol)
        if len(orders) >= self._limits.open_orders_per_symbol:
            raise FuturesError.TOO_MANY_ORDERS.error()
        previous = self.state.order_by_client_id(
            request.account, request.symbol, request.client_order_id
        )
        if previous is not None and previous.is_open:
            raise FuturesError.DUPLICATE_CLIENT_ID.error()
        if request.reduce_only:
            position = self.state.position(request.account, rules.symbol)
            if request.quantity_e8 > position.closable_e8(request.side):
                raise FuturesError.REDUCE_ONLY.error()
        else:
            self._check_margin(request, request.quantity_e8)
        book = self.books[request.symbol]
        if request.time_in_force is TimeInForce.GTX and book.would_take(
            request.account, request.side, request.price_e8
        ):
            raise FuturesError.POST_ONLY.error()
        if (
            request.time_in_force is TimeInForce.FOK
            and book.available_e8(request.side, request.price_e8) < request.quantity_e8
        ):
            raise FuturesError.FILL_OR_KILL.error()
        return request.quantity_e8

    def _check_filters(self, request: OrderRequest) -> None:
        check_futures_filters(
            request,
            self.rules(request.symbol),
            reference_price_e8=self.marks_e8.get(request.symbol)
            or self._reference_price_e8(request.symbol),
        )

    def _check_margin(
        self, request: OrderRequest, quantity_e8: int, *, replaced: Order | None = None
    ) -> None:
        """Refuse what would need more initial margin than is free, or exceed the leverage's cap."""
        rules = self.rules(request.symbol)
        if request.type is OrderType.MARKET:
            quote_e8 = self.books[request.symbol].cost_e8(request.side, quantity_e8)
        else:
            quote_e8 = notional_e8(request.price_e8, quantity_e8)
        before = standing(self.state, self.marks_e8, request.account, rules.quote)
        after = standing(
            self.state,
            self.marks_e8,
            request.account,
            rules.quote,
            (request.symbol, request.side, quote_e8),
            without_order_id=(request.symbol, replaced.order_id) if replaced else None,
        )
        position = before.positions[request.symbol]
        exposure_e8 = after.carried[request.symbol].exposure_e8
        more_e8 = after.initial_e8 - before.initial_e8
        if more_e8 > 0 and exposure_e8 > notional_max_e8(position.leverage):
            raise FuturesError.POSITION_TOO_LARGE.error()
        fee_e8 = fraction_e8(quote_e8, rules.taker_fee_e8)
        if more_e8 > 0 and more_e8 + fee_e8 > before.available_e8:
            raise FuturesError.MARGIN_INSUFFICIENT.error()

    def _check_transfer(self, account: str, asset: str, amount_e8: int) -> None:
        if asset not in self.settlement_assets():
            msg = f"`asset` must be one that contracts settle in, was {asset}"
            raise ValueError(msg)
        if -amount_e8 > self.standing(account, asset).withdrawable_e8:
            raise FuturesError.MARGIN_INSUFFICIENT.error()

    def _terms(self, order: Order, quantity_e8: int, quote_e8: int, *, maker: bool) -> Terms:
        rules = self.state.rules[order.symbol]
        rate_e8 = rules.maker_fee_e8 if maker else rules.taker_fee_e8
        if order.type is OrderType.LIQUIDATION:
            rate_e8 = 0
        position = self.state.position(order.account, order.symbol)
        realised_e8 = position.realised_by(order.side, quantity_e8, quote_e8)
        return Terms(fraction_e8(quote_e8, rate_e8), rules.quote, realised_e8)

    def _executable_e8(self, order: Order) -> int:
        """A reduce-only order trades at most the position it reduces."""
        if not order.reduce_only:
            return order.remaining_e8
        position = self.state.position(order.account, order.symbol)
        return min(order.remaining_e8, position.closable_e8(order.side))

    def _filled(self, order: Order, now_ms: int) -> None:
        """Reduce-only orders follow the position: they shrink with it and end with it."""
        book = self.books[order.symbol]
        for other in self.state.open_orders_of(order.account, order.symbol):
            if other.reduce_only:
                executable_e8 = self._executable_e8(other)
                if executable_e8 == 0:
                    self._expire(other, Status.EXPIRED, now_ms)
                else:
                    book.limit(other.order_id, executable_e8)

    def _report(self, order: Order, execution: str, now_ms: int, *, cancel_id: str = "") -> None:
        if execution in {"TRADE", "CALCULATED"}:
            self._touched.setdefault((order.account, "ORDER"), set()).add(order.symbol)
        carried = self.standing(order.account, self.rules(order.symbol).quote).carried
        update = wire_futures.order_update(order, execution, carried[order.symbol], now_ms)
        self._outbox.events.append((order.account, update))

    def _report_rejection(self, request: OrderRequest, error: VenueError, now_ms: int) -> None:
        """Futures have no cancel-replace, so nobody is told."""

    def _report_transfer(self, record: Deposited) -> None:
        reason = "DEPOSIT" if record.amount_e8 >= 0 else "WITHDRAW"
        self._touched.setdefault((record.account, reason), set())

    def _account_events(self, now_ms: int) -> list[tuple[str, dict[str, Any]]]:
        events = [
            (
                account,
                wire_futures_account.account_update(
                    self.standings(account), reason, symbols, now_ms
                ),
            )
            for (account, reason), symbols in self._touched.items()
        ]
        self._touched.clear()
        return events

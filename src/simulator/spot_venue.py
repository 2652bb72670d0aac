"""The spot market's terms: balances pay for orders, buys pay their fee in base, sells in quote."""

from typing import Any

from simulator import wire
from simulator.config import Limits
from simulator.errors import VenueError, order_rejected
from simulator.filters import check_filters
from simulator.records import Deposited, OrderRequest, OrderType
from simulator.spot_state import SpotState
from simulator.state import Order
from simulator.units import fraction_e8, notional_e8
from simulator.venue import Terms, Venue


class SpotVenue(Venue[SpotState]):
    """Buys and sells of assets that an account has."""

    def __init__(self, state: SpotState, limits: Limits, *, first_id: int) -> None:
        super().__init__(state, limits, first_id=first_id)
        self._touched: dict[str, set[str]] = {}

    def _check(self, request: OrderRequest) -> int:
        """Refuse by filter, duplicate id, crossing or balance; return the base quantity."""
        rules = self.rules(request.symbol)
        book = self.books[request.symbol]
        quantity_e8 = request.quantity_e8
        if request.quote_quantity_e8:
            quantity_e8 = book.cost_to_quantity_e8(
                request.side, request.quote_quantity_e8, rules.step_e8
            )
        check_filters(
            request,
            rules,
            quantity_e8=quantity_e8,
            reference_price_e8=self._reference_price_e8(request.symbol),
            open_count=len(self.state.open_orders_of(request.account, request.symbol)),
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
        if not request.side.is_buy:
            short = balances[rules.base].free_e8 < quantity_e8
        elif request.type is OrderType.MARKET:
            short = balances[rules.quote].free_e8 < book.cost_e8(request.side, quantity_e8)
        else:
            cost_e8 = notional_e8(request.price_e8, quantity_e8)
            short = balances[rules.quote].free_e8 < cost_e8
        if short:
            raise _insufficient()
        return quantity_e8

    def _check_transfer(self, account: str, asset: str, amount_e8: int) -> None:
        if self.state.balances[account][asset].free_e8 + amount_e8 < 0:
            raise _insufficient()

    def _terms(self, order: Order, quantity_e8: int, quote_e8: int, *, maker: bool) -> Terms:
        rules = self.state.rules[order.symbol]
        rate_e8 = rules.maker_fee_e8 if maker else rules.taker_fee_e8
        if order.side.is_buy:
            return Terms(fraction_e8(quantity_e8, rate_e8), rules.base)
        return Terms(fraction_e8(quote_e8, rate_e8), rules.quote)

    def _report(self, order: Order, execution: str, now_ms: int, *, cancel_id: str = "") -> None:
        rules = self.state.rules[order.symbol]
        self._touched.setdefault(order.account, set()).update((rules.base, rules.quote))
        report = wire.execution_report(order, execution, now_ms, cancel_id=cancel_id)
        self._outbox.events.append((order.account, report))

    def _report_rejection(self, request: OrderRequest, error: VenueError, now_ms: int) -> None:
        report = wire.rejection_report(request, error.code, now_ms)
        self._outbox.events.append((request.account, report))

    def _report_transfer(self, record: Deposited) -> None:
        self._touched.setdefault(record.account, set()).add(record.asset)
        self._outbox.events.append((record.account, wire.balance_update(record)))

    def _account_events(self, now_ms: int) -> list[tuple[str, dict[str, Any]]]:
        events = [
            (account, wire.account_position(self.state.balances[account], assets, now_ms))
            for account, assets in self._touched.items()
        ]
        self._touched.clear()
        return events


def _insufficient() -> VenueError:
    return order_rejected("Account has insufficient balance for requested action.")

"""The venue: the simulator's own matching, balances and ledger records, called directly.

Everything here is what is true. What a process gets to know of it goes through `exchange.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from domain.ids import ClientOrderId, VenueOrderId
from domain.ids import Side as CoreSide
from domain.instrument import Instrument
from domain.market import Candle, Quote
from domain.orders import Intent, OrderReport, Trade, VenueStatus
from simulation.candles import Chart
from simulation.clock import EPOCH_MS
from simulation.loop import VirtualLoop
from simulation.symbol import Symbol
from simulation.trace import Trace
from simulator import prices
from simulator.config import Limits
from simulator.errors import VenueError, cancel_rejected, no_such_order
from simulator.records import (
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRequest,
    OrderType,
    Side,
    Status,
    TimeInForce,
    to_json,
)
from simulator.spot_state import SpotState
from simulator.spot_venue import SpotVenue
from simulator.state import Order
from simulator.symbols import Rules
from simulator.units import format_e8, parse_e8

#: The venue's name of the account, and ids that a person's orders begin with.
ACCOUNT = "main"
PERSON = "web_"
#: How often the market is looked at.
MARKET_EVERY_S = 0.25
#: Virtual runs are minutes: so are the candles, whatever the timeframe.
CANDLE_MS = 6_000

Event = OrderReport | Trade

_STATUSES = {
    Status.NEW: VenueStatus.OPEN,
    Status.PARTIALLY_FILLED: VenueStatus.OPEN,
    Status.FILLED: VenueStatus.FILLED,
    Status.CANCELED: VenueStatus.CANCELLED,
    Status.EXPIRED: VenueStatus.CANCELLED,
    Status.EXPIRED_IN_MATCH: VenueStatus.CANCELLED,
    Status.REJECTED: VenueStatus.REJECTED,
}


class SimulatedVenue:
    """One symbol's market, one account, and what was told to whom so far."""

    def __init__(
        self,
        loop: VirtualLoop,
        trace: Trace,
        symbol: Symbol,
        *,
        seed: int,
    ) -> None:
        config = symbol.market
        self._loop = loop
        self._trace = trace
        self._symbol = symbol.instrument.symbol
        self._name = config.name
        self._shown_e8 = parse_e8(format(config.displayed_quantity, "f"))
        self._venue = SpotVenue(
            SpotState({config.name: Rules.of(config)}), Limits(), first_id=1_000
        )
        self._chart = Chart(CANDLE_MS)
        self._feed = prices.Feed(prices.synthetic(config, seed=seed), Rules.of(config).tick_e8)
        self._person = Random(f"{seed}:person")
        self._person_orders = 0
        #: The account's ledger, as the auditor reads it.
        self.ledger: list[dict[str, Any]] = []
        self.on_event: Callable[[Event], None] = lambda event: None
        self.on_quote: Callable[[Quote], None] = lambda quote: None
        #: No market moves while it is frozen.
        self.is_frozen = False
        for asset, amount in symbol.opening.items():
            amount_e8 = parse_e8(format(amount, "f"))
            self._venue.deposit(ACCOUNT, asset, amount_e8, self.now_ms(), initial=True)
        self._commit()
        self._move()

    def now_ms(self) -> int:
        return EPOCH_MS + self._loop.now_ms()

    @property
    def quote(self) -> Quote:
        """The best prices now."""
        (bid_e8, _), (ask_e8, _) = self._venue.books[self._name].best()
        return Quote(
            symbol=self._symbol,
            bid=Decimal(format_e8(bid_e8)),
            ask=Decimal(format_e8(ask_e8)),
            exchange_ms=self.now_ms(),
        )

    @property
    def trades(self) -> Sequence[Trade]:
        """The account's, oldest first."""
        return [self._trade(fill) for fill in self._venue.state.fills[ACCOUNT, self._name]]

    def trades_after(self, trade_id: str | None, order_id: str | None) -> list[Trade]:
        after = 0 if trade_id is None else int(trade_id)
        return [
            self._trade(fill)
            for fill in self._venue.state.fills[ACCOUNT, self._name]
            if fill.trade_id > after and order_id in {None, str(fill.order_id)}
        ]

    def open_orders(self) -> list[OrderReport]:
        return [_report(order, self._symbol) for order in self._open()]

    def order(self, client_order_id: ClientOrderId) -> OrderReport:
        """Raises the venue's own error where it has no such order."""
        order = self._venue.state.order_by_client_id(ACCOUNT, self._name, client_order_id)
        if order is None:
            raise no_such_order()
        return _report(order, self._symbol)

    def balances(self) -> dict[str, Decimal]:
        """Free plus locked."""
        return {
            asset: Decimal(format_e8(balance.free_e8 + balance.locked_e8))
            for asset, balance in self._venue.state.balances[ACCOUNT].items()
        }

    @property
    def position(self) -> Decimal:
        """What all trades of the account add up to, in base; sells are negative."""
        signs = {CoreSide.BUY: 1, CoreSide.SELL: -1}
        return sum((signs[each.side] * each.quantity for each in self.trades), Decimal(0))

    def candles(self, count: int) -> list[Candle]:
        """The last closed ones."""
        return self._chart.closed(self.now_ms(), count)

    def place(self, intent: Intent, instrument: Instrument) -> OrderReport:
        quantity = instrument.lots_to_quantity(intent.quantity_lots)
        price = instrument.ticks_to_price(intent.price_ticks)
        kind = OrderType.LIMIT_MAKER if intent.post_only else OrderType.LIMIT
        try:
            order = self._place(
                intent.client_order_id, Side(intent.side.value.upper()), kind, price, quantity
            )
        finally:
            self._commit()
        return _report(order, self._symbol)

    def cancel(self, client_order_id: ClientOrderId, *, by: str = "cancel") -> OrderReport:
        order = self._venue.state.order_by_client_id(ACCOUNT, self._name, client_order_id)
        if order is None or not order.is_open:
            raise cancel_rejected()
        self._venue.cancel(order, by, self.now_ms())
        self._commit()
        return _report(order, self._symbol)

    def person_trades(self) -> None:
        """Somebody buys or sells a little on the same account."""
        self._person_orders += 1
        side = self._person.choice((Side.BUY, Side.SELL))
        quantity = Decimal(self._person.randint(10, 200)) / 1_000
        try:
            name = f"{PERSON}{self._person_orders}"
            self._place(name, side, OrderType.MARKET, Decimal(0), quantity)
        except VenueError as error:
            self._trace.note(f"venue refuses a person: {error}")
        self._commit()

    def person_cancels(self) -> None:
        """Somebody cancels one of the account's orders."""
        orders = self._open()
        if orders:
            name = ClientOrderId(self._person.choice(orders).client_order_id)
            self.cancel(name, by=f"{PERSON}cancel")

    def jump(self, distance: Decimal) -> None:
        """Move the price at once, trading through every order between."""
        steps_e8 = parse_e8(format(distance, "f"))
        before_e8 = self._feed.mid_e8
        if before_e8 is None or before_e8 + steps_e8 <= 0:
            return
        quote = self._feed.move_to(before_e8 + steps_e8)
        rising = steps_e8 > 0
        passed = self._venue.books[self._name].passed_by(before_e8 + steps_e8, rising=rising)
        for resting in passed:
            self._venue.trade(
                self._name,
                resting.price_e8,
                resting.queue_ahead_e8 + resting.remaining_e8,
                self.now_ms(),
                buyer_is_maker=not rising,
            )
        self._show(quote)
        self._commit()

    def _move(self) -> None:
        if not self.is_frozen:
            for event in self._feed.advance(MARKET_EVERY_S * 1000):
                if isinstance(event, prices.Quote):
                    self._show(event)
                else:
                    self._venue.trade(
                        self._name,
                        event.price_e8,
                        event.quantity_e8,
                        self.now_ms(),
                        buyer_is_maker=event.buyer_is_maker,
                    )
            self._commit()
        self.on_quote(self.quote)
        self._loop.later(MARKET_EVERY_S, self._move)

    def _show(self, quote: prices.Quote) -> None:
        tick_e8 = self._venue.rules(self._name).tick_e8
        self._venue.books[self._name].display(*prices.ladder(quote, tick_e8, self._shown_e8))

    def _place(
        self, client_order_id: str, side: Side, kind: OrderType, price: Decimal, quantity: Decimal
    ) -> Order:
        request = OrderRequest(
            account=ACCOUNT,
            symbol=self._name,
            side=side,
            type=kind,
            time_in_force=TimeInForce.GTC,
            client_order_id=client_order_id,
            price_e8=parse_e8(format(price, "f")),
            quantity_e8=parse_e8(format(quantity, "f")),
        )
        return self._venue.place(request, self.now_ms())

    def _commit(self) -> None:
        """Write the ledger, then tell the account's streams."""
        outbox = self._venue.drain(self.now_ms())
        for trade in outbox.trades:
            self._chart.add(trade.time_ms, Decimal(format_e8(trade.price_e8)))
        for record in outbox.records:
            document = to_json(record)
            seq = len(self.ledger) + 1
            self.ledger.append({"seq": seq, "written_ms": self.now_ms(), **document})
            self._trace.note(f"venue {' '.join(map(str, document.values()))}")
            if isinstance(record, OrderAccepted | OrderFilled | OrderCancelled | OrderExpired):
                order = self._venue.state.orders[self._name][record.order_id]
                self.on_event(_report(order, self._symbol))
            if isinstance(record, OrderFilled):
                self.on_event(self._trade(record))

    def _open(self) -> list[Order]:
        return list(self._venue.state.open_orders[self._name].values())

    def _trade(self, fill: OrderFilled) -> Trade:
        return Trade(
            symbol=self._symbol,
            trade_id=str(fill.trade_id),
            venue_order_id=VenueOrderId(str(fill.order_id)),
            side=CoreSide(fill.side.lower()),
            price=Decimal(format_e8(fill.price_e8)),
            quantity=Decimal(format_e8(fill.quantity_e8)),
            fee=Decimal(format_e8(fill.fee_e8)),
            fee_asset=fill.fee_asset,
            is_maker=fill.maker,
            traded_ms=fill.time_ms,
        )


def accepted_orders(ledger: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Records of the orders that no person placed."""
    for record in ledger:
        if record["kind"] == "order_accepted" and not record["client_order_id"].startswith(PERSON):
            yield record


def _report(order: Order, symbol: str) -> OrderReport:
    return OrderReport(
        symbol=symbol,
        client_order_id=ClientOrderId(order.client_order_id),
        venue_order_id=VenueOrderId(str(order.order_id)),
        status=_STATUSES[order.status],
        filled=Decimal(format_e8(order.executed_e8)),
        side=CoreSide(order.side.lower()),
        price=Decimal(format_e8(order.price_e8)),
        quantity=Decimal(format_e8(order.quantity_e8)),
    )

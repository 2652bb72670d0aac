"""The venue: the simulator's own matching, accounts and ledger records, called directly.

Everything here is what is true. What a process gets to know of it goes through `exchange.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any, Generic, TypeVar

from domain.contracts import Income, Position
from domain.ids import ClientOrderId, VenueOrderId
from domain.ids import Side as CoreSide
from domain.instrument import Instrument, Rounding
from domain.market import Candle, Quote
from domain.orders import Intent, OrderReport, Trade, VenueStatus
from exchanges.id_codecs import Base62Codec
from exchanges.queries import NEWEST_ORDERS
from ports.exchange import WalletMoved
from simulation.clock import EPOCH_MS
from simulation.loop import VirtualLoop
from simulation.market import Market
from simulation.portfolio import Portfolio
from simulation.trace import Trace
from simulator import prices
from simulator.errors import VenueError, cancel_rejected, no_such_order
from simulator.records import (
    Deposited,
    FundingPaid,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRequest,
    OrderType,
    Record,
    Side,
    Status,
    TimeInForce,
    to_json,
)
from simulator.state import Order, State
from simulator.units import format_e8, parse_e8
from simulator.venue import Venue

#: The venue's name of the account, and ids that a person's orders begin with.
ACCOUNT = "main"
PERSON = "web_"
#: How often the market is looked at.
MARKET_EVERY_S = 0.25
#: How long a request, its reply and what is written of it may take in calm.
QUIET_MS = 250
#: Ids of trades begin here.
FIRST_ID = 1_000

Event = OrderReport | Trade | WalletMoved
Core = TypeVar("Core", bound=Venue[Any])

_STATUSES = {
    Status.NEW: VenueStatus.OPEN,
    Status.PARTIALLY_FILLED: VenueStatus.OPEN,
    Status.FILLED: VenueStatus.FILLED,
    Status.CANCELED: VenueStatus.CANCELLED,
    Status.EXPIRED: VenueStatus.CANCELLED,
    Status.EXPIRED_IN_MATCH: VenueStatus.CANCELLED,
    Status.REJECTED: VenueStatus.REJECTED,
}


class SimulatedVenue(ABC, Generic[Core]):
    """The markets of one account, and what was told to whom so far."""

    #: The ledger's name of this kind of market.
    market_name: str

    def __init__(
        self, core: Core, loop: VirtualLoop, trace: Trace, portfolio: Portfolio, *, seed: int
    ) -> None:
        self._core = core
        self._loop = loop
        self._trace = trace
        self.markets = {symbol.name: Market(symbol, seed) for symbol in portfolio.symbols}
        self._instruments = {symbol.name: symbol.instrument for symbol in portfolio.symbols}
        self._unified = {market.name: symbol for symbol, market in self.markets.items()}
        self._person = Random(f"{seed}:person")
        self._person_orders = 0
        #: The account's ledger, as the auditor reads it.
        self.ledger: list[dict[str, Any]] = []
        self.on_event: Callable[[Event], None] = lambda event: None
        self.on_quote: Callable[[Quote], None] = lambda quote: None
        #: No market moves while it is frozen.
        self.is_frozen = False
        for asset, amount in portfolio.opening.items():
            amount_e8 = to_e8(amount)
            self._core.deposit(ACCOUNT, asset, amount_e8, self.now_ms(), initial=True)
        self._commit()
        self._move()

    def now_ms(self) -> int:
        return EPOCH_MS + self._loop.now_ms()

    def quote(self, symbol: str) -> Quote:
        """The best prices now; an empty side as adapters name it."""
        (bid_e8, _), (ask_e8, _) = self._core.books[self.markets[symbol].name].best()
        return Quote(
            symbol=symbol,
            bid=of_e8(bid_e8) if bid_e8 else None,
            ask=of_e8(ask_e8) if ask_e8 else None,
            exchange_ms=self.now_ms(),
        )

    def instrument(self, symbol: str) -> Instrument:
        """The trading rules that the venue publishes now."""
        rules = self._core.rules(self.markets[symbol].name)
        now = replace(
            self._instruments[symbol], tick_size=of_e8(rules.tick_e8), lot_size=of_e8(rules.step_e8)
        )
        least_lots = now.quantity_to_lots(of_e8(rules.min_quantity_e8), Rounding.CEIL)
        return replace(now, min_quantity_lots=least_lots, min_notional=of_e8(rules.min_notional_e8))

    def change_rules(self, symbol: str, filters: Mapping[str, str]) -> None:
        """From now on; what rests stays as it is."""
        self._core.change_rules(self.markets[symbol].name, dict(filters), self.now_ms())
        self._commit()

    def trades_after(
        self, symbol: str, trade_id: str | None = None, order_id: str | None = None
    ) -> list[Trade]:
        """The account's, oldest first."""
        after = 0 if trade_id is None else int(trade_id)
        return [
            self._trade(fill)
            for fill in self._state.fills[ACCOUNT, self.markets[symbol].name]
            if fill.trade_id > after and order_id in {None, str(fill.order_id)}
        ]

    def open_orders(self, symbol: str) -> list[OrderReport]:
        return [_report(order, symbol) for order in self._open(symbol)]

    def newest_orders(self, symbol: str) -> list[OrderReport]:
        orders = self._state.orders[self.markets[symbol].name].values()
        mine = [order for order in orders if order.account == ACCOUNT]
        return [_report(order, symbol) for order in mine[-NEWEST_ORDERS:]]

    def order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        """Raises the venue's own error where it has no such order."""
        order = self._find(symbol, client_order_id)
        if order is None:
            raise no_such_order()
        return _report(order, symbol)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was asked of it for a moment that led to anything."""
        last_ms: int = self.ledger[-1]["written_ms"]
        return self.now_ms() - last_ms > QUIET_MS

    @abstractmethod
    def balances(self) -> dict[str, Decimal]:
        """Free plus locked; of contracts the wallet."""

    def position(self, symbol: str) -> Position:
        """Spot has none."""
        return Position()

    def income(self, after_ms: int) -> list[Income]:
        """What moved wallets beside trades; nobody asks for it on spot."""
        return []

    def candles(self, symbol: str, count: int) -> list[Candle]:
        """The last closed ones."""
        return self.markets[symbol].chart.closed(self.now_ms(), count)

    def place(self, intent: Intent, instrument: Instrument) -> OrderReport:
        try:
            order = self._core.place(self._request(intent, instrument), self.now_ms())
        finally:
            self._commit()
        return _report(order, instrument.symbol)

    def why_refused(self, intent: Intent, instrument: Instrument) -> VenueError | None:
        """What the venue would say against an order now; it is not placed."""
        try:
            self._core._check(self._request(intent, instrument))
        except VenueError as error:
            return error
        return None

    def cancel(
        self, symbol: str, client_order_id: ClientOrderId, *, by: str = "cancel"
    ) -> OrderReport:
        order = self._find(symbol, client_order_id)
        if order is None or not order.is_open:
            raise cancel_rejected()
        self._core.cancel(order, by, self.now_ms())
        self._commit()
        return _report(order, symbol)

    def countdown_s(self, wanted_s: int, symbols: float) -> int:
        """As `ports.exchange.DeadManSwitch`: spot has none."""
        return 0

    def set_dead_man_switch(self, symbol: str, countdown_s: int) -> None:
        raise NotImplementedError(f"{symbol}: no dead-man switch")

    def person_trades(self) -> None:
        """Somebody buys or sells a little on the same account."""
        self._person_orders += 1
        request = OrderRequest(
            account=ACCOUNT,
            symbol=self._person.choice(list(self._unified)),
            side=self._person.choice((Side.BUY, Side.SELL)),
            type=OrderType.MARKET,
            time_in_force=TimeInForce.GTC,
            client_order_id=f"{PERSON}{self._person_orders}",
            quantity_e8=to_e8(Decimal(self._person.randint(10, 200)) / 1_000),
        )
        try:
            self._core.place(request, self.now_ms())
        except VenueError as error:
            self._trace.note(f"venue refuses a person: {error}")
        self._commit()

    def person_cancels(self) -> None:
        """Somebody cancels one of the account's orders."""
        symbol = self._person.choice(list(self.markets))
        orders = self._open(symbol)
        if orders:
            name = ClientOrderId(self._person.choice(orders).client_order_id)
            self.cancel(symbol, name, by=f"{PERSON}cancel")

    def person_transfers(self) -> None:
        """Somebody pays money in, or takes out what is free."""
        asset = self._person.choice(list(self.balances()))
        amount = Decimal(self._person.randint(-400, 600)) / self._person.choice((1, 10, 100))
        try:
            self._core.deposit(ACCOUNT, asset, to_e8(amount), self.now_ms())
        except (VenueError, ValueError) as error:
            self._trace.note(f"venue refuses a person: {error}")
        self._commit()

    def jump(self, symbol: str, steps: int) -> None:
        """Move the price at once by so many levels, trading through every order between."""
        market = self.markets[symbol]
        before_e8 = market.feed.mid_e8
        if before_e8 is None or before_e8 + steps * market.step_e8 <= 0:
            return
        price_e8, rising = before_e8 + steps * market.step_e8, steps > 0
        quote = market.feed.move_to(price_e8)
        for resting in self._core.books[market.name].passed_by(price_e8, rising=rising):
            self._core.trade(
                market.name,
                resting.price_e8,
                resting.queue_ahead_e8 + resting.remaining_e8,
                self.now_ms(),
                buyer_is_maker=not rising,
            )
        self._show(market, quote)
        self._moved()
        self._commit()

    @property
    def _state(self) -> State:
        state: State = self._core.state
        return state

    def _move(self) -> None:
        if not self.is_frozen:
            for market in self.markets.values():
                rules = self._core.rules(market.name)
                for raw in market.feed.advance(MARKET_EVERY_S * 1000):
                    event = prices.snapped(raw, rules)
                    if isinstance(event, prices.Quote):
                        self._show(market, event)
                    else:
                        self._core.trade(
                            market.name,
                            event.price_e8,
                            event.quantity_e8,
                            self.now_ms(),
                            buyer_is_maker=event.buyer_is_maker,
                        )
            self._moved()
            self._commit()
        for symbol in self.markets:
            self.on_quote(self.quote(symbol))
        self._loop.later(MARKET_EVERY_S, self._move)

    def _show(self, market: Market, quote: prices.Quote) -> None:
        rules = self._core.rules(market.name)
        shown = prices.ladder(prices.snapped(quote, rules), rules.tick_e8, market.shown_e8)
        self._core.books[market.name].display(*shown)

    def _moved(self) -> None:
        """What moved prices lead to."""

    def _request(self, intent: Intent, instrument: Instrument) -> OrderRequest:
        kind, time_in_force = self._limit(post_only=intent.post_only)
        return OrderRequest(
            account=ACCOUNT,
            symbol=self.markets[instrument.symbol].name,
            side=Side(intent.side.value.upper()),
            type=kind,
            time_in_force=time_in_force,
            client_order_id=intent.client_order_id,
            price_e8=to_e8(instrument.ticks_to_price(intent.price_ticks)),
            quantity_e8=to_e8(instrument.lots_to_quantity(intent.quantity_lots)),
            reduce_only=intent.reduce_only,
        )

    @abstractmethod
    def _limit(self, *, post_only: bool) -> tuple[OrderType, TimeInForce]:
        """How this market spells a limit order."""

    def _commit(self) -> None:
        """Write the ledger, then tell the account's streams."""
        outbox = self._core.drain(self.now_ms())
        for trade in outbox.trades:
            market = self.markets[self._unified[trade.symbol]]
            market.chart.add(trade.time_ms, of_e8(trade.price_e8))
        for record in outbox.records:
            document = to_json(record)
            head = {"seq": len(self.ledger) + 1, "written_ms": self.now_ms()}
            self.ledger.append({**head, "market": self.market_name, **document})
            self._trace.note(f"venue {' '.join(map(str, document.values()))}")
            self._tell(record)

    def _tell(self, record: Record) -> None:
        match record:
            case OrderAccepted() | OrderFilled() | OrderCancelled() | OrderExpired():
                order = self._state.orders[record.symbol][record.order_id]
                self.on_event(_report(order, self._unified[record.symbol]))
                if isinstance(record, OrderFilled):
                    self.on_event(self._trade(record))
            case FundingPaid() | Deposited():
                self.on_event(WalletMoved())
            case _:
                pass  # nothing of this account's

    def _find(self, symbol: str, client_order_id: str) -> Order | None:
        name = self.markets[symbol].name
        return self._state.order_by_client_id(ACCOUNT, name, client_order_id)

    def _open(self, symbol: str) -> list[Order]:
        return list(self._state.open_orders[self.markets[symbol].name].values())

    def _trade(self, fill: OrderFilled) -> Trade:
        return Trade(
            symbol=self._unified[fill.symbol],
            trade_id=str(fill.trade_id),
            venue_order_id=VenueOrderId(str(fill.order_id)),
            side=CoreSide(fill.side.lower()),
            price=of_e8(fill.price_e8),
            quantity=of_e8(fill.quantity_e8),
            fee=of_e8(fill.fee_e8),
            fee_asset=fill.fee_asset,
            is_maker=fill.maker,
            traded_ms=fill.time_ms,
            realised=of_e8(fill.realised_e8),
        )


def accepted_orders(ledger: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Records of the orders that an installation placed."""
    for record in ledger:
        if record["kind"] == "order_accepted" and not is_foreign(record["client_order_id"]):
            yield record


def shard_of(client_order_id: str) -> int | None:
    """Whose order it is; `None` of a foreign one."""
    tag = None if is_foreign(client_order_id) else Base62Codec().decode(client_order_id)
    return None if tag is None else tag.shard


def is_foreign(client_order_id: str) -> bool:
    """Whether a person placed the order, or the venue itself."""
    return client_order_id.startswith((PERSON, "autoclose-"))


def to_e8(amount: Decimal) -> int:
    return parse_e8(format(amount, "f"))


def of_e8(amount_e8: int) -> Decimal:
    return Decimal(format_e8(amount_e8))


def _report(order: Order, symbol: str) -> OrderReport:
    return OrderReport(
        symbol=symbol,
        client_order_id=ClientOrderId(order.client_order_id),
        venue_order_id=VenueOrderId(str(order.order_id)),
        status=_STATUSES[order.status],
        filled=of_e8(order.executed_e8),
        side=CoreSide(order.side.lower()),
        price=of_e8(order.price_e8),
        quantity=of_e8(order.quantity_e8),
    )

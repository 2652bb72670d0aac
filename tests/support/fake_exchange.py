"""An exchange in memory behind the exchange port: quick, and as wrong as a test wants it to be."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial

from domain.contracts import Income, Position
from domain.errors import OrderNotFound, OwnershipLost, TransientVenueError
from domain.ids import ClientOrderId, OrderTag, Side, VenueOrderId, decode_tag, encode_tag
from domain.instrument import Instrument
from domain.market import Candle, Quote
from domain.orders import Intent, OrderRecord, OrderReport, Trade, VenueStatus
from domain.plans import CommittedPlan
from ext.engine import Lull
from ports.exchange import (
    Accepted,
    Capabilities,
    NotSent,
    Outcome,
    Outcomes,
    Refused,
    SendGuard,
    StreamLost,
    StreamRestored,
    Undetermined,
)

BTC = Instrument(
    account="sim",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.0001"),
    taker_fee=Decimal("0.0001"),
)


class HexIds:
    """The 104-bit integer in hexadecimal."""

    def encode(self, tag: OrderTag) -> ClientOrderId:
        return ClientOrderId(f"{encode_tag(tag):026x}")

    def decode(self, client_order_id: str) -> OrderTag | None:
        try:
            return decode_tag(int(client_order_id, 16))
        except ValueError:
            return None


@dataclass
class FakeRate:
    """Keeps what it is told of the account's rate limits."""

    #: Every part it was given: nodes, and until when.
    shares: list[tuple[int, int]] = field(default_factory=list)
    #: The longest of the pauses that others were told.
    paused_s: float = 0.0
    told_pause_s: float = 0.0
    part: float = 1.0
    level: float = 1.0
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def share(self, nodes: int, until_boot_ms: int) -> None:
        self.shares.append((nodes, until_boot_ms))

    def pause_with(self, seconds: float) -> None:
        self.paused_s = max(self.paused_s, seconds)

    async def was_told(self) -> None:
        await self.told.wait()
        self.told.clear()


@dataclass
class FakeExchange:
    """Orders rest until `trade` fills them; `lose_replies` makes outcomes unknown."""

    instrument: Instrument = BTC
    account: str = "sim"
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(request_expiry_ms=50, clock_skew_ms=50)
    )
    ids: HexIds = field(default_factory=HexIds)
    rate: FakeRate = field(default_factory=FakeRate)
    orders: dict[ClientOrderId, OrderReport] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    balances: dict[str, Decimal] = field(
        default_factory=lambda: {"USDT": Decimal(1_000_000), "BTC": Decimal(0)}
    )
    #: All closed, oldest first.
    candles: list[Candle] = field(default_factory=list)
    #: Of contracts.
    leverage: int = 1
    position: Position = field(default_factory=Position)
    income: list[Income] = field(default_factory=list)
    #: Replies to the next so many placed orders are lost; the order rests or not.
    lost_replies: int = 0
    lost_orders_rest: bool = True
    #: Orders whose replies were lost and that do not rest: requests still under way.
    under_way: dict[ClientOrderId, OrderReport] = field(default_factory=dict)
    #: Queries that get no answer, by their names in the port.
    failing: set[str] = field(default_factory=set)
    #: Every query that was asked, in order.
    asked: list[str] = field(default_factory=list)
    #: What happens between a request's signing and the guard's question.
    while_signing: Callable[[], None] = lambda: None
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _quote: Quote | None = None
    _quotes: asyncio.Queue[Quote] = field(default_factory=asyncio.Queue)
    _events: asyncio.Queue[OrderReport | Trade | StreamLost | StreamRestored] = field(
        default_factory=asyncio.Queue
    )

    def set_price(self, bid: str, ask: str, exchange_ms: int) -> None:
        self._quote = Quote(
            symbol=self.instrument.symbol,
            bid=Decimal(bid),
            ask=Decimal(ask),
            exchange_ms=exchange_ms,
        )
        self._quotes.put_nowait(self._quote)

    def trade(self, client_order_id: ClientOrderId, quantity: str, *, silent: bool = False) -> None:
        """Fill part of a resting order at its price; `silent` keeps it from the stream."""
        order = self.orders[client_order_id]
        amount = Decimal(quantity)
        filled = order.filled + amount
        status = VenueStatus.FILLED if filled == order.quantity else VenueStatus.OPEN
        report = replace(order, filled=filled, status=status)
        self.orders[client_order_id] = report
        is_buy = order.side is Side.BUY
        fee = (amount if is_buy else amount * order.price) * self.instrument.maker_fee
        trade = Trade(
            symbol=order.symbol,
            trade_id=str(next(self._ids)),
            venue_order_id=order.venue_order_id,
            side=order.side,
            price=order.price,
            quantity=amount,
            fee=fee.quantize(Decimal("0.00000001")),
            fee_asset=self.instrument.base if is_buy else self.instrument.quote,
            is_maker=True,
            traded_ms=0,
        )
        self.trades.append(trade)
        sign = 1 if is_buy else -1
        self.balances[self.instrument.base] += sign * amount
        self.balances[self.instrument.quote] -= sign * amount * order.price
        self.balances[trade.fee_asset] -= trade.fee
        if not silent:
            self._events.put_nowait(report)
            self._events.put_nowait(trade)

    def say(self, event: StreamLost | StreamRestored) -> None:
        """Have the account's stream say that it is lost or back."""
        self._events.put_nowait(event)

    def arrive(self, client_order_id: ClientOrderId, *, silent: bool = False) -> None:
        """A request that was under way reaches the venue after all, and its order rests."""
        report = self.under_way.pop(client_order_id)
        self.orders[client_order_id] = report
        if not silent:
            self._events.put_nowait(report)

    def open_orders(self) -> list[OrderReport]:
        return [order for order in self.orders.values() if order.status is VenueStatus.OPEN]

    async def load_instruments(self) -> Mapping[str, Instrument]:
        return {self.instrument.symbol: self.instrument}

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        cancels = await self.cancel(
            instrument.symbol, [cancel.client_order_id for cancel in plan.plan.cancels], guard
        )
        places = [
            self._send(guard, partial(self._place, place.intent, instrument))
            for place in plan.plan.places
        ]
        return Outcomes(cancels, tuple(places))

    async def cancel(
        self, symbol: str, client_order_ids: Sequence[ClientOrderId], guard: SendGuard
    ) -> tuple[Outcome, ...]:
        return tuple(
            self._send(guard, partial(self._cancel, client_order_id))
            for client_order_id in client_order_ids
        )

    async def fetch_open_orders(self, symbol: str) -> Sequence[OrderReport]:
        self._ask("fetch_open_orders")
        return self.open_orders()

    async def fetch_newest_orders(self, symbol: str) -> Sequence[OrderReport]:
        self._ask("fetch_newest_orders")
        return [order for order in self.orders.values() if order.symbol == symbol]

    async def fetch_orders(self, symbol: str) -> Sequence[OrderRecord]:
        self._ask("fetch_orders")
        return [
            OrderRecord(report=order, post_only=True, reduce_only=False, placed_ms=0, changed_ms=0)
            for order in self.orders.values()
        ]

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        self._ask("fetch_order")
        if client_order_id not in self.orders:
            raise OrderNotFound(client_order_id)
        return self.orders[client_order_id]

    async def fetch_trades(
        self,
        symbol: str,
        *,
        after_trade_id: str | None = None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[Trade]:
        self._ask("fetch_trades")
        after = int(after_trade_id or 0)
        return [
            trade
            for trade in self.trades
            if int(trade.trade_id) > after and venue_order_id in {None, trade.venue_order_id}
        ]

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        return self.trades[-1].trade_id if self.trades else None

    async def fetch_quote(self, symbol: str) -> Quote:
        assert self._quote is not None
        return self._quote

    async def fetch_candles(self, symbol: str, timeframe: str, count: int) -> Sequence[Candle]:
        self._ask("fetch_candles")
        return self.candles[-count:]

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        self._ask("fetch_balances")
        return dict(self.balances)

    def countdown_s(self, wanted_s: int, symbols: int) -> int:
        """There is no dead-man switch."""
        return 0

    async def set_dead_man_switch(self, symbol: str, countdown_s: int, guard: SendGuard) -> None:
        raise AssertionError(f"{symbol}: there is no dead-man switch")

    async def prepare_symbol(self, symbol: str) -> int:
        self._ask("prepare_symbol")
        return self.leverage

    async def fetch_position(self, symbol: str) -> Position:
        self._ask("fetch_position")
        return self.position

    async def fetch_income(self, after_ms: int) -> Sequence[Income]:
        self._ask("fetch_income")
        return [each for each in self.income if each.booked_ms >= after_ms]

    async def watch_quotes(
        self, symbol: str, lull: Lull | None = None
    ) -> AsyncGenerator[Quote | StreamLost | StreamRestored, None]:
        if self._quote is not None:
            yield self._quote
        while True:
            quote = await self._quotes.get()
            if lull is None or not keeps(lull, quote):
                yield quote

    async def watch_account(
        self,
    ) -> AsyncGenerator[OrderReport | Trade | StreamLost | StreamRestored, None]:
        while True:
            yield await self._events.get()

    async def close(self) -> None:
        """Nothing is open."""

    def _ask(self, query: str) -> None:
        self.asked.append(query)
        if query in self.failing:
            raise TransientVenueError(f"{query}: no answer")

    def _send(self, guard: SendGuard, request: Callable[[], Outcome]) -> Outcome:
        self.while_signing()
        try:
            guard()
        except OwnershipLost as error:
            return NotSent(str(error))
        return request()

    def _place(self, intent: Intent, instrument: Instrument) -> Outcome:
        report = OrderReport(
            symbol=instrument.symbol,
            client_order_id=intent.client_order_id,
            venue_order_id=VenueOrderId(f"v{next(self._ids)}"),
            status=VenueStatus.OPEN,
            filled=Decimal(0),
            side=intent.side,
            price=instrument.ticks_to_price(intent.price_ticks),
            quantity=instrument.lots_to_quantity(intent.quantity_lots),
        )
        assert intent.client_order_id not in self.orders
        if self.lost_replies > 0:
            self.lost_replies -= 1
            rested = self.orders if self.lost_orders_rest else self.under_way
            rested[intent.client_order_id] = report
            return Undetermined("no reply")
        self.orders[intent.client_order_id] = report
        return Accepted(report)

    def _cancel(self, client_order_id: ClientOrderId) -> Outcome:
        order = self.orders.get(client_order_id)
        if order is None or order.status is not VenueStatus.OPEN:
            return Refused("not_found", "Unknown order sent.")
        self.orders[client_order_id] = replace(order, status=VenueStatus.CANCELLED)
        return Accepted(self.orders[client_order_id])


def keeps(lull: Lull, quote: Quote) -> bool:
    """Offer a quote to whoever lets quiet ones be kept, as it would be written."""
    return lull.keeps(str(quote.bid), str(quote.ask), quote.exchange_ms)

"""The exchange as one process sees it: the true venue behind a network that cannot be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

from domain.contracts import Income, Position
from domain.errors import OrderNotFound, OwnershipLost, TransientVenueError
from domain.ids import ClientOrderId, VenueOrderId
from domain.instrument import Instrument
from domain.market import Candle, Quote
from domain.orders import OrderReport, Trade
from domain.plans import CommittedPlan
from exchanges.id_codecs import Base62Codec
from ext.engine import Lull
from ports.clock import Clock
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
from simulation.fate import Fate
from simulation.link import Chances, Link, NoAnswerError
from simulation.venue import Event, SimulatedVenue
from simulator.errors import VenueError
from support.fake_exchange import FakeRate, keeps

USUAL_WAY_S = 0.02
TIMEOUT_S = 3.0
#: How long an order may wait for the rate budget before it is signed.
ADMISSION_MAX_S = 1.0
#: How much more likely an accident is while a request is on its way.
LEAVING = 8.0
#: Longest outage of a stream; events in it are never told.
OUTAGE_MAX_S = 6.0
#: The venue refuses requests stamped this far ahead of its clock.
AHEAD_MAX_MS = 1_000

Answer = TypeVar("Answer")
AccountEvent = Event | StreamLost | StreamRestored
QuoteEvent = Quote | StreamLost | StreamRestored


class ExpiredError(Exception):
    """The request's stamp is outside the window: it was refused before anything was done."""


class _Feed:
    """Events on their way to one process; each has a delay of its own, so they overtake."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.queue: asyncio.Queue[Event | Quote | StreamLost | StreamRestored] = asyncio.Queue()
        self._restored_s = 0.0

    def tell(
        self,
        event: Event | Quote,
        *,
        lost: float,
        repeated: float,
        slow: float,
        broken: float,
    ) -> None:
        now_s = self._fate.loop.time()
        if self._fate.strikes(broken) and now_s >= self._restored_s:
            outage_s = self._fate.dice.uniform(0.1, OUTAGE_MAX_S)
            self._restored_s = now_s + outage_s
            self.queue.put_nowait(StreamLost("connection reset"))
            self._fate.loop.later(outage_s, self.queue.put_nowait, StreamRestored())
        if now_s < self._restored_s or self._fate.strikes(lost):
            return
        for _ in range(2 if self._fate.strikes(repeated) else 1):
            longest_s = 3.0 if self._fate.strikes(slow) else USUAL_WAY_S
            self._fate.loop.later(
                self._fate.dice.uniform(0.001, longest_s), self.queue.put_nowait, event
            )


class SimulatedExchange:
    """Implements `ports.exchange.ExchangePort` for one process."""

    def __init__(
        self,
        fate: Fate,
        venue: SimulatedVenue,
        clock: Clock,
        capabilities: Capabilities,
        instrument: Instrument,
    ) -> None:
        self._fate = fate
        self._venue = venue
        self._clock = clock
        self._capabilities = capabilities
        self._instrument = instrument
        self._account_feed = _Feed(fate)
        self._quote_feed = _Feed(fate)
        self._rate = FakeRate()
        self.link = Link(fate, self._chances, usual_s=USUAL_WAY_S, timeout_s=TIMEOUT_S)

    @property
    def account(self) -> str:
        return self._instrument.account

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def ids(self) -> Base62Codec:
        return Base62Codec()

    @property
    def rate(self) -> FakeRate:
        """Lets everything pass, and says now and then that little is left."""
        self._rate.level = self._fate.dice.random()
        return self._rate

    def hear(self, event: Event) -> None:
        """Something happened to the account; this process may or may not get to know."""
        weather = self._fate.weather()
        self._account_feed.tell(
            event,
            lost=1.0 if self.link.is_cut else weather.event_lost,
            repeated=weather.event_repeated,
            slow=weather.event_slow,
            broken=weather.stream_broken,
        )

    def see(self, quote: Quote) -> None:
        weather = self._fate.weather()
        if self._fate.strikes(weather.quote_senseless):
            quote = _distorted(quote, self._fate.dice)
        self._quote_feed.tell(
            quote,
            lost=1.0 if self.link.is_cut else weather.quote_lost,
            repeated=0.0,
            slow=weather.quote_slow,
            broken=0.0,
        )

    async def load_instruments(self) -> Mapping[str, Instrument]:
        return await self._ask(lambda: {self._instrument.symbol: self._instrument})

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        def cancel(name: ClientOrderId) -> Coroutine[None, None, Outcome]:
            return self._send(f"cancel {name}", lambda: self._venue.cancel(name), guard)

        async with asyncio.TaskGroup() as sending:
            cancels = [
                sending.create_task(cancel(action.client_order_id)) for action in plan.plan.cancels
            ]
        async with asyncio.TaskGroup() as sending:
            places = [
                sending.create_task(self._place(plan, number, instrument, guard))
                for number in range(len(plan.plan.places))
            ]
        return Outcomes(
            tuple(task.result() for task in cancels), tuple(task.result() for task in places)
        )

    async def fetch_open_orders(self, symbol: str) -> Sequence[OrderReport]:
        return await self._ask(self._venue.open_orders)

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        return await self._ask(lambda: self._venue.order(client_order_id))

    async def fetch_trades(
        self,
        symbol: str,
        *,
        after_trade_id: str | None = None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[Trade]:
        return await self._ask(lambda: self._venue.trades_after(after_trade_id, venue_order_id))

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        trades = await self._ask(lambda: self._venue.trades_after(None, None))
        return trades[-1].trade_id if trades else None

    async def fetch_quote(self, symbol: str) -> Quote:
        return await self._ask(lambda: self._venue.quote)

    async def fetch_candles(self, symbol: str, timeframe: str, count: int) -> Sequence[Candle]:
        return await self._ask(lambda: self._venue.candles(count))

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        return await self._ask(self._venue.balances)

    async def prepare_symbol(self, symbol: str) -> int:
        return 1

    async def fetch_position(self, symbol: str) -> Position:
        return await self._ask(lambda: Position(quantity=self._venue.position))

    async def fetch_income(self, after_ms: int) -> Sequence[Income]:
        """No funding is paid here, and nothing is transferred."""
        return ()

    async def watch_quotes(
        self, symbol: str, lull: Lull | None = None
    ) -> AsyncGenerator[QuoteEvent, None]:
        while True:
            event = await self._quote_feed.queue.get()
            if isinstance(event, Quote) and lull is not None and keeps(lull, event):
                continue
            if isinstance(event, Quote | StreamLost | StreamRestored):
                yield event

    async def watch_account(self) -> AsyncGenerator[AccountEvent, None]:
        yield StreamRestored()
        while True:
            event = await self._account_feed.queue.get()
            if not isinstance(event, Quote):
                yield event

    async def close(self) -> None:
        """Nothing is open."""

    def _chances(self) -> Chances:
        weather = self._fate.weather()
        return Chances(
            weather.request_lost, weather.reply_lost, weather.request_slow, weather.reply_slow
        )

    async def _ask(self, query: Callable[[], Answer]) -> Answer:
        """A query: a venue that does not answer, or refuses, has done nothing."""

        def limited() -> Answer:
            if self._fate.strikes(self._fate.weather().rate_limited):
                raise VenueError(-1003, "Too many requests.")
            return query()

        self._fate.hazard(1.0)
        try:
            return await self.link.call(limited)
        except NoAnswerError as error:
            raise TransientVenueError(str(error)) from error
        except VenueError as error:
            kind = OrderNotFound if error.code == -2013 else TransientVenueError
            raise kind(str(error)) from error

    async def _place(
        self, plan: CommittedPlan, number: int, instrument: Instrument, guard: SendGuard
    ) -> Outcome:
        intent = plan.plan.places[number].intent

        def place() -> OrderReport:
            if self._fate.strikes(self._fate.weather().no_funds):
                raise VenueError(-2010, "Account has insufficient balance for requested action.")
            return self._venue.place(intent, instrument)

        return await self._send(f"place {intent.client_order_id}", place, guard)

    async def _send(
        self, what: str, request: Callable[[], OrderReport], guard: SendGuard
    ) -> Outcome:
        """Sign, ask the guard, write: in this order, with time passing before each."""
        weather = self._fate.weather()
        slow = self._fate.strikes(weather.request_slow)
        self._fate.hazard(LEAVING)
        await asyncio.sleep(self._fate.dice.uniform(0.0, ADMISSION_MAX_S if slow else 0.002))
        if self._fate.strikes(weather.not_sent):
            return NotSent("no connection")
        signed_ms = self._clock.now_ms()
        self._fate.hazard(LEAVING)
        await asyncio.sleep(self._fate.dice.uniform(0.0, 0.001))
        try:
            guard()
        except OwnershipLost as error:
            return NotSent(str(error))

        def arrive() -> OrderReport:
            self._check_stamp(signed_ms)
            if self._fate.strikes(self._fate.weather().rate_limited):
                raise VenueError(-1003, "Too many requests.")
            self._fate.trace.note(f"arrives {what}")
            return request()

        self._fate.trace.note(f"leaves {what}")
        self._fate.hazard(LEAVING)
        try:
            strays = self._fate.strikes(weather.order_strays)
            return Accepted(await self.link.call(arrive, strays=strays))
        except NoAnswerError as error:
            return Undetermined(str(error))
        except ExpiredError as error:
            return NotSent(str(error))
        except VenueError as error:
            return _refusal(error)

    def _check_stamp(self, signed_ms: int) -> None:
        age_ms = self._venue.now_ms() - signed_ms
        expiry_ms = self._capabilities.request_expiry_ms
        if age_ms < -AHEAD_MAX_MS or (expiry_ms is not None and age_ms > expiry_ms):
            raise ExpiredError(f"stamped {age_ms} ms ago")


def _refusal(error: VenueError) -> Outcome:
    match error.code:
        case -1003:
            return NotSent(error.message)
        case -2011:
            return Refused("not_found", error.message)
        case -1013:
            return Refused("filter", error.message)
    if "immediately match" in error.message:
        return Refused("would_cross", error.message)
    if "insufficient balance" in error.message:
        return Refused("insufficient_funds", error.message)
    if "Duplicate" in error.message:
        return Refused("duplicate", error.message)
    return Refused("other", error.message)


def _distorted(quote: Quote, dice: Random) -> Quote:
    """A quote as broken as venues send them: empty, one-sided, crossed or no number."""
    bid, ask = dice.choice(
        (
            (None, None),
            (quote.bid, None),
            (None, quote.ask),
            (quote.ask, quote.bid),
            (Decimal("NaN"), quote.ask),
            (Decimal(0), quote.ask),
        )
    )
    return Quote(symbol=quote.symbol, bid=bid, ask=ask, exchange_ms=quote.exchange_ms)

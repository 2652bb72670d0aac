"""The exchange as one process sees it: the true venue behind a network that cannot be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from domain.contracts import Income, Position
from domain.errors import OrderNotFound, OutcomeUnknown, OwnershipLost, TransientVenueError
from domain.ids import ClientOrderId, VenueOrderId
from domain.instrument import Instrument
from domain.market import Candle, Quote
from domain.orders import OrderReport, Trade
from domain.plans import CommittedPlan
from exchanges.capabilities import Call
from exchanges.id_codecs import Base62Codec
from exchanges.order_entry import ORDER_WAIT_MAX_S
from exchanges.rate_budget import Admission, Cost, RateBudget, Tier
from exchanges.session import QUERY_WAIT_MAX_S
from exchanges.venues.binance_linear import BINANCE_LINEAR
from ext.engine import Lull
from grid.role import OPENING
from ports.clock import Clock
from ports.exchange import (
    Accepted,
    Capabilities,
    NotSent,
    Outcome,
    Outcomes,
    SendGuard,
    StreamLost,
    StreamRestored,
    Undetermined,
)
from simulation.fate import Fate
from simulation.feeds import USUAL_WAY_S, AccountEvent, Feed, QuoteEvent, distorted
from simulation.link import Chances, Link, NoAnswerError
from simulation.refusals import no_funds, refusal_of
from simulation.silence import BANNED, TOO_MANY_REQUESTS, Silence
from simulation.symbol import ACCOUNT
from simulation.venue import Event, SimulatedVenue
from simulator.errors import VenueError
from support.fake_exchange import keeps

TIMEOUT_S = 3.0
#: Longest time between an order's admission and its signature.
ADMISSION_MAX_S = 1.0
#: For how long a venue that was asked too much wants silence.
SILENT_S = (0.5, 5.0)
BANNED_S = (6.0, 12.0)
#: How much more likely an accident is while a request is on its way.
LEAVING = 8.0
#: The venue refuses requests stamped this far ahead of its clock.
AHEAD_MAX_MS = 1_000

#: The rules are asked for a hundred times as often as usual, and at a fraction of their price.
COSTS = {**BINANCE_LINEAR.costs, Call.MARKETS: Cost(weight=1)}

Answer = TypeVar("Answer")


class ExpiredError(Exception):
    """The request's stamp is outside the window: it was refused before anything was done."""


class MoodyAdmission(Admission):
    """Says now and then that little of the budget is left."""

    def __init__(self, fate: Fate) -> None:
        super().__init__(RateBudget(BINANCE_LINEAR.limits), fate.loop.time)
        self._dice = fate.dice

    @property
    def level(self) -> float:
        return self._dice.random()


class SimulatedExchange:
    """Implements `ports.exchange.ExchangePort`, and its `DeadManSwitch`, for one process."""

    def __init__(
        self,
        fate: Fate,
        venue: SimulatedVenue[Any],
        clock: Clock,
        capabilities: Capabilities,
        *,
        silence: Silence,
        executor: str,
        on_send: Callable[[], None],
        on_look: Callable[[str], None],
    ) -> None:
        self._silence = silence
        self._executor = executor
        #: Called as an order or a cancel leaves.
        self._on_send = on_send
        #: Called as a symbol's open orders are asked for.
        self._on_look = on_look
        self._fate = fate
        self._venue = venue
        self._clock = clock
        self._capabilities = capabilities
        #: How far the venue's clock is ahead, and whether it refused a stamp made by that.
        self._ahead_ms = 0
        self._must_ask_time = False
        #: Whether nothing comes of the market, though requests are answered.
        self.is_mute = False
        self._account_feed = Feed(fate)
        self._quote_feeds = {symbol: Feed(fate) for symbol in venue.markets}
        self._rate = MoodyAdmission(fate)
        self.link = Link(fate, self._chances, usual_s=USUAL_WAY_S, timeout_s=TIMEOUT_S)

    @property
    def account(self) -> str:
        return ACCOUNT

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def ids(self) -> Base62Codec:
        return Base62Codec()

    @property
    def rate(self) -> Admission:
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
            quote = distorted(quote, self._fate.dice)
        self._quote_feeds[quote.symbol].tell(
            quote,
            lost=1.0 if self.link.is_cut or self.is_mute else weather.quote_lost,
            repeated=0.0,
            slow=weather.quote_slow,
            broken=0.0,
        )

    async def load_instruments(self) -> Mapping[str, Instrument]:
        def published() -> dict[str, Instrument]:
            return {symbol: self._venue.instrument(symbol) for symbol in self._venue.markets}

        return await self._ask(Call.MARKETS, published)

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        cancels = await self.cancel(
            instrument.symbol, [action.client_order_id for action in plan.plan.cancels], guard
        )
        async with asyncio.TaskGroup() as sending:
            places = [
                sending.create_task(self._place(plan, number, instrument, guard))
                for number in range(len(plan.plan.places))
            ]
        return Outcomes(cancels, tuple(task.result() for task in places))

    async def cancel(
        self, symbol: str, client_order_ids: Sequence[ClientOrderId], guard: SendGuard
    ) -> tuple[Outcome, ...]:
        def request(name: ClientOrderId) -> Coroutine[None, None, Outcome]:
            return self._send(
                Call.CANCEL, Tier.CANCEL, name, lambda: self._venue.cancel(symbol, name), guard
            )

        async with asyncio.TaskGroup() as sending:
            tasks = [sending.create_task(request(name)) for name in client_order_ids]
        return tuple(task.result() for task in tasks)

    async def fetch_open_orders(self, symbol: str) -> Sequence[OrderReport]:
        self._on_look(symbol)
        return await self._ask(Call.OPEN_ORDERS, lambda: self._venue.open_orders(symbol))

    async def fetch_newest_orders(self, symbol: str) -> Sequence[OrderReport]:
        return await self._ask(Call.ORDERS, lambda: self._venue.newest_orders(symbol))

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        return await self._ask(Call.ORDER, lambda: self._venue.order(symbol, client_order_id))

    async def fetch_trades(
        self,
        symbol: str,
        *,
        after_trade_id: str | None = None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[Trade]:
        return await self._ask(
            Call.TRADES, lambda: self._venue.trades_after(symbol, after_trade_id, venue_order_id)
        )

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        trades = await self._ask(Call.TRADES, lambda: self._venue.trades_after(symbol))
        return trades[-1].trade_id if trades else None

    async def fetch_quote(self, symbol: str) -> Quote:
        return await self._ask(Call.QUOTE, lambda: self._venue.quote(symbol))

    async def fetch_candles(self, symbol: str, timeframe: str, count: int) -> Sequence[Candle]:
        return await self._ask(Call.CANDLES, lambda: self._venue.candles(symbol, count))

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        return await self._ask(Call.BALANCES, self._venue.balances)

    async def prepare_symbol(self, symbol: str) -> int:
        return 1

    def countdown_s(self, wanted_s: int, symbols: int) -> int:
        part = self._rate.part
        return self._venue.countdown_s(wanted_s, symbols / part) if part else 0

    async def set_dead_man_switch(self, symbol: str, countdown_s: int, guard: SendGuard) -> None:
        await self._admit(Call.DEAD_MAN_SWITCH, Tier.REDUCE, QUERY_WAIT_MAX_S)
        try:
            signed_ms = await self._stamp_ms()
        except NoAnswerError as error:
            raise TransientVenueError(str(error)) from error
        self._fate.hazard(1.0)
        await asyncio.sleep(self._fate.dice.uniform(0.0, 0.001))
        guard()
        self._on_send()

        def arrive() -> None:
            self._check_stamp(signed_ms)
            self._check_rate()
            self._venue.set_dead_man_switch(symbol, countdown_s)

        try:
            await self.link.call(arrive)
        except NoAnswerError as error:
            raise OutcomeUnknown(str(error)) from error
        except ExpiredError as error:
            raise TransientVenueError(str(error)) from error
        except VenueError as error:
            self._heed(error)
            raise TransientVenueError(str(error)) from error

    async def fetch_position(self, symbol: str) -> Position:
        return await self._ask(Call.POSITION, lambda: self._venue.position(symbol))

    async def fetch_income(self, after_ms: int) -> Sequence[Income]:
        return await self._ask(Call.INCOME, lambda: self._venue.income(after_ms))

    async def watch_quotes(
        self, symbol: str, lull: Lull | None = None
    ) -> AsyncGenerator[QuoteEvent, None]:
        while True:
            event = await self._quote_feeds[symbol].queue.get()
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

    async def _ask(self, call: Call, query: Callable[[], Answer]) -> Answer:
        """A query: a venue that does not answer, or refuses, has done nothing."""

        def limited() -> Answer:
            self._check_rate()
            return query()

        self._fate.hazard(1.0)
        await self._admit(call, Tier.QUERY, QUERY_WAIT_MAX_S)
        try:
            return await self.link.call(limited)
        except NoAnswerError as error:
            raise TransientVenueError(str(error)) from error
        except VenueError as error:
            self._heed(error)
            kind = OrderNotFound if error.code == -2013 else TransientVenueError
            raise kind(str(error)) from error

    async def _place(
        self, plan: CommittedPlan, number: int, instrument: Instrument, guard: SendGuard
    ) -> Outcome:
        intent = plan.plan.places[number].intent

        def place() -> OrderReport:
            if self._fate.strikes(self._fate.weather().no_funds):
                raise no_funds(instrument.kind)
            return self._venue.place(intent, instrument)

        tier = Tier.ENTRY if intent.tag.purpose in OPENING else Tier.REDUCE
        return await self._send(Call.PLACE, tier, intent.client_order_id, place, guard)

    async def _send(
        self,
        call: Call,
        tier: Tier,
        name: ClientOrderId,
        request: Callable[[], OrderReport],
        guard: SendGuard,
    ) -> Outcome:
        """Sign, ask the guard, write: in this order, with time passing before each."""
        weather, what = self._fate.weather(), f"{call} {name}"
        slow = self._fate.strikes(weather.request_slow)
        self._fate.hazard(LEAVING)
        try:
            await self._admit(call, tier, ORDER_WAIT_MAX_S)
        except TransientVenueError as error:
            return NotSent(str(error))
        await asyncio.sleep(self._fate.dice.uniform(0.0, ADMISSION_MAX_S if slow else 0.002))
        if self._fate.strikes(weather.not_sent):
            return NotSent("no connection")
        try:
            signed_ms = await self._stamp_ms()
        except NoAnswerError as error:
            return NotSent(str(error))
        self._fate.hazard(LEAVING)
        await asyncio.sleep(self._fate.dice.uniform(0.0, 0.001))
        try:
            guard()
        except OwnershipLost as error:
            return NotSent(str(error))

        def arrive() -> OrderReport:
            self._check_stamp(signed_ms)
            self._check_rate()
            self._fate.trace.note(f"arrives {what}")
            return request()

        self._fate.trace.note(f"leaves {what}")
        self._on_send()
        self._fate.hazard(LEAVING)
        try:
            strays = self._fate.strikes(weather.order_strays)
            return Accepted(await self.link.call(arrive, strays=strays))
        except NoAnswerError as error:
            return Undetermined(str(error))
        except ExpiredError as error:
            return NotSent(str(error))
        except VenueError as error:
            self._heed(error)
            return refusal_of(error)

    async def _admit(self, call: Call, tier: Tier, wait_max_s: float) -> None:
        await self._rate.admit(COSTS[call].of_tier(tier), wait_max_s=wait_max_s)
        self._silence.judge(self._executor)

    def _check_rate(self) -> None:
        """At the venue: the address may have asked too much."""
        weather = self._fate.weather()
        if self._fate.strikes(weather.rate_limited):
            self._silence.begin(self._fate.dice.uniform(*SILENT_S), TOO_MANY_REQUESTS)
        if self._fate.strikes(weather.banned):
            self._silence.begin(self._fate.dice.uniform(*BANNED_S), BANNED)
        self._silence.check()

    def _heed(self, error: VenueError) -> None:
        """As the adapter does of a reply with Retry-After."""
        if error.retry_after_s is not None:
            self._rate.pause(self._silence.tell(self._executor, error))

    async def _stamp_ms(self) -> int:
        """The venue's time, which is asked for once it refused a stamp."""
        if self._must_ask_time:
            venue_ms = await self.link.call(self._venue.now_ms)
            self._ahead_ms = venue_ms - self._clock.now_ms()
            self._must_ask_time = False
        return self._clock.now_ms() + self._ahead_ms

    def _check_stamp(self, signed_ms: int) -> None:
        age_ms = self._venue.now_ms() - signed_ms
        expiry_ms = self._capabilities.request_expiry_ms
        if age_ms < -AHEAD_MAX_MS or (expiry_ms is not None and age_ms > expiry_ms):
            self._must_ask_time = True
            raise ExpiredError(f"stamped {age_ms} ms ago")

"""Decisions and events a second with many busy symbols on one node, against DBOS alone.

The node is wired as `gridkeeper up` wires it, but for an exchange in memory that answers at once.
Every symbol is always busy: its next price comes while its last decision is still being recorded.
In turn with that, as many bare workflows of one empty step run at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import median

import psycopg

from cli.local_system import add_symbols
from domain.ids import VenueOrderId
from domain.instrument import Instrument
from domain.market import Quote
from domain.orders import OrderReport, Trade
from domain.plans import CommittedPlan
from ext.engine import Lull
from measurement import Result
from ports.exchange import Outcomes, SendGuard, StreamLost, StreamRestored
from ports.failpoints import Failpoint
from support.fake_exchange import BTC, FakeExchange
from wired_node import wired_node

COUNTS = (20, 100)
#: How long decisions and bare workflows run in turn, and how often.
PHASE_S = 3.0
PHASES = 5
WARM_UP = 1
#: Fills that one symbol gets at once, two events each; and how often.
FILLS = 40
ROUNDS = 5
SLICE = "0.00001"
WAIT_S = 60.0
POLL_S = 0.01

#: Beyond the window of the last decision: it cancels two orders and places two. Up and down over so
#: many moves, so that a grid has no more slots than a day's trading gives it.
LEVELS_A_MOVE = 5
MOVES_UP = 8
SPEC: dict[str, object] = {
    "spacing": {"kind": "arithmetic", "step": "1"},
    "range": {"kind": "window", "buy_window": 2, "sell_window": 2},
    "order_size": {"kind": "quote", "amount": "600"},
    "budget_quote": "100000",
}


class Tally:
    """Implements `ports.failpoints.Failpoints`: passes, and counts decisions and workflows."""

    def __init__(self) -> None:
        self.decisions = 0
        self.workflows = 0
        self.last_s = 0.0

    def __call__(self, point: Failpoint) -> None:
        if point is Failpoint.PLAN_BEFORE_RETURN:
            self.decisions += 1

    def end(self) -> None:
        """Of a workflow: no decision counts as made before the last of them has ended."""
        self.workflows += 1
        self.last_s = time.perf_counter()


class BusyExchange(FakeExchange):
    """Many markets; each price moves on as soon as its orders have left, while `is_moving`."""

    def __init__(self, count: int) -> None:
        super().__init__(instrument=replace(BTC, maker_fee=Decimal(0), taker_fee=Decimal(0)))
        self.is_moving = False
        self.instruments = {
            f"C{number:02}/USDT": replace(
                self.instrument, symbol=f"C{number:02}/USDT", base=f"C{number:02}"
            )
            for number in range(count)
        }
        self.balances["USDT"] = Decimal(1_000_000_000)
        self.balances |= {i.base: Decimal(0) for i in self.instruments.values()}
        self._moves = dict.fromkeys(self.instruments, 0)
        self._markets: dict[str, asyncio.Queue[Quote]] = {
            symbol: asyncio.Queue() for symbol in self.instruments
        }
        for symbol in self.instruments:
            self.move(symbol)

    def move(self, symbol: str) -> None:
        self._moves[symbol] += 1
        self._markets[symbol].put_nowait(self._quote_of(symbol))

    def fill(self, symbol: str, count: int) -> int:
        """Fill orders of a symbol in small slices; how many trades that made."""
        self.instrument = self.instruments[symbol]
        made = 0
        for order in self._open(symbol):
            left = int((order.quantity - order.filled) / Decimal(SLICE))
            for _ in range(min(count - made, left)):
                self.trade(order.client_order_id, SLICE)
                made += 1
        return made

    def _open(self, symbol: str) -> list[OrderReport]:
        return [order for order in self.open_orders() if order.symbol == symbol]

    def _quote_of(self, symbol: str) -> Quote:
        height = MOVES_UP - abs(self._moves[symbol] % (2 * MOVES_UP) - MOVES_UP)
        bid = Decimal(60_000 + LEVELS_A_MOVE * height)
        now_ms = time.time_ns() // 1_000_000
        return Quote(symbol=symbol, bid=bid, ask=bid + BTC.tick_size, exchange_ms=now_ms)

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        outcomes = await super().submit(plan, instrument, guard)
        for cancel in plan.plan.cancels:
            del self.orders[cancel.client_order_id]
        if self.is_moving:
            self.move(instrument.symbol)
        return outcomes

    async def load_instruments(self) -> Mapping[str, Instrument]:
        return self.instruments

    async def fetch_open_orders(self, symbol: str) -> Sequence[OrderReport]:
        return self._open(symbol)

    async def fetch_trades(
        self,
        symbol: str,
        *,
        after_trade_id: str | None = None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[Trade]:
        told = await super().fetch_trades(
            symbol, after_trade_id=after_trade_id, venue_order_id=venue_order_id
        )
        return [trade for trade in told if trade.symbol == symbol]

    async def fetch_quote(self, symbol: str) -> Quote:
        return self._quote_of(symbol)

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        return None

    async def watch_quotes(
        self, symbol: str, lull: Lull | None = None
    ) -> AsyncGenerator[Quote | StreamLost | StreamRestored, None]:
        while True:
            yield await self._markets[symbol].get()


async def measure() -> Sequence[Result]:
    results: list[Result] = []
    for count in COUNTS:
        exchange, tally = BusyExchange(count), Tally()
        async with (
            wired_node(exchange, tally, tally.end) as (running, dsn, one_step),
            await psycopg.AsyncConnection.connect(dsn, autocommit=True) as bare,
        ):
            await add_symbols(running.database, list(exchange.instruments), SPEC)
            results += await _measure(exchange, tally, bare, one_step)
    return results


async def _measure(
    exchange: BusyExchange,
    tally: Tally,
    bare: psycopg.AsyncConnection,
    one_step: Callable[[], Awaitable[None]],
) -> Sequence[Result]:
    count = len(exchange.instruments)
    decision_s, workflow_s = [], []
    for phase in range(WARM_UP + PHASES):
        decision, workflow = await _decide(exchange, tally), await _run_bare(one_step, count)
        if phase >= WARM_UP:
            decision_s.append(decision)
            workflow_s.append(workflow)
    event_s = [await _take_fills(exchange, bare) for _ in range(ROUNDS)]
    baseline = f"one of {count} workflows of one empty step"
    return [
        Result(
            case=f"one decision of {count} symbols that all decide",
            case_s=median(decision_s),
            baseline=baseline,
            baseline_s=median(workflow_s),
            repetitions=PHASES,
            aim=1 / 0.9,
        ),
        Result(
            case=f"one order event of {count} symbols",
            case_s=median(event_s),
            baseline=baseline,
            baseline_s=median(workflow_s),
            repetitions=ROUNDS,
            aim=1 / 5,
        ),
    ]


async def _decide(exchange: BusyExchange, tally: Tally) -> float:
    """Seconds a decision while all symbols decide at once, until the last one is through."""
    exchange.is_moving = True
    for symbol in exchange.instruments:
        exchange.move(symbol)
    before, started_s = tally.decisions, time.perf_counter()
    await asyncio.sleep(PHASE_S)
    exchange.is_moving = False
    await _settled(tally)
    return (tally.last_s - started_s) / (tally.decisions - before)


async def _settled(tally: Tally) -> None:
    """Wait until no more decisions are made and all their workflows have ended."""
    seen = (-1, -1)
    while seen != (tally.decisions, tally.workflows):
        seen = (tally.decisions, tally.workflows)
        await asyncio.sleep(0.5)


async def _run_bare(one_step: Callable[[], Awaitable[None]], at_a_time: int) -> float:
    """Seconds a bare workflow, so many at a time."""
    made = 0
    started_s = time.perf_counter()

    async def loop() -> None:
        nonlocal made
        while time.perf_counter() - started_s < PHASE_S:
            await one_step()
            made += 1

    async with asyncio.TaskGroup() as loops:
        for _ in range(at_a_time):
            loops.create_task(loop())
    return (time.perf_counter() - started_s) / made


async def _take_fills(exchange: BusyExchange, bare: psycopg.AsyncConnection) -> float:
    """Seconds an event, from the first on the stream until the last is in Postgres."""
    recorded = await _recorded(bare)
    started_s = time.perf_counter()
    made = sum(exchange.fill(symbol, FILLS) for symbol in exchange.instruments)
    async with asyncio.timeout(WAIT_S):
        while await _recorded(bare) < recorded + made:  # noqa: ASYNC110  # another connection
            await asyncio.sleep(POLL_S)
    return (time.perf_counter() - started_s) / (2 * made)


async def _recorded(bare: psycopg.AsyncConnection) -> int:
    row = await (await bare.execute("SELECT count(*) FROM fills WHERE origin = 'own'")).fetchone()
    assert row is not None
    return int(row[0])

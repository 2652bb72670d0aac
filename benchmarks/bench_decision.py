"""A durable decision of four orders on the production node, against a bare commit.

The node is wired as `gridkeeper up` wires it, but for an exchange that answers at once and a
stopwatch in place of the failpoints, which mark the boundaries of every step.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from statistics import median

import psycopg

from domain.orders import VenueStatus
from measurement import Result
from orchestrator.bootstrap import RunningNode, new_request_id
from ports.failpoints import Failpoint
from support.fake_exchange import FakeExchange
from wired_node import wired_node

#: A symbol may place 600 orders a minute.
REPETITIONS = 120
WARM_UP = 20
BASELINE_COMMITS = 3
ORDERS = 4
WAIT_S = 20.0

ABOVE = ("61000.00", "61000.01")
BELOW = ("59000.00", "59000.01")
SPEC: dict[str, object] = {
    "spacing": {"kind": "arithmetic", "step": "100"},
    "range": {"kind": "fixed", "lower": "60000", "upper": "60400"},
    "order_size": {"kind": "quote", "amount": "50"},
    "budget_quote": "1000",
}

_INSTANTS = {
    "committed": Failpoint.PLAN_AFTER_COMMIT,
    "leaving": Failpoint.PLAN_BEFORE_SEND,
    "recorded": Failpoint.PLAN_AFTER_OUTCOMES,
    "free": Failpoint.PLAN_BEFORE_RETURN,
}
#: Title, name of what is timed, aim.
_CASES = (
    ("DBOS alone: a workflow of one empty step", "one step", None),
    ("tick until 4 intents are committed", "committed", None),
    ("tick until the 4 orders leave", "leaving", 10),
    ("tick until the 4 outcomes are recorded", "recorded", 22),
    ("tick until the shard goes on: its workflow is written down too", "free", 22),
    ("tick until DBOS has written that the workflow ended", "ended", None),
)


class Stopwatch:
    """Implements `ports.failpoints.Failpoints`: passes, and notes the instant."""

    def __init__(self) -> None:
        self.seen_s: dict[Failpoint, float] = {}
        self.ended_s = 0.0
        self.decided = asyncio.Event()

    def __call__(self, point: Failpoint) -> None:
        self.seen_s[point] = time.perf_counter()

    def end(self) -> None:
        self.ended_s = time.perf_counter()
        self.decided.set()


class InstantExchange(FakeExchange):
    """Answers at once, and can end all orders of its own accord."""

    def expire_orders(self) -> None:
        for order in self.open_orders():
            expired = replace(order, status=VenueStatus.CANCELLED)
            self.orders[order.client_order_id] = expired
            self._events.put_nowait(expired)

    def quote(self, prices: tuple[str, str]) -> None:
        self.set_price(*prices, exchange_ms=time.time_ns() // 1_000_000)


async def measure() -> Sequence[Result]:
    stopwatch, exchange = Stopwatch(), InstantExchange()
    exchange.quote(ABOVE)
    async with wired_node(exchange, stopwatch, stopwatch.end) as (running, dsn, one_step):
        with psycopg.connect(dsn, autocommit=True) as bare:
            bare.execute("CREATE TABLE bare_commits (id bigserial PRIMARY KEY, note text)")
            await _start_trading(running, stopwatch)
            return await _measure(running, exchange, stopwatch, bare, one_step)


async def _measure(
    running: RunningNode,
    exchange: InstantExchange,
    stopwatch: Stopwatch,
    bare: psycopg.Connection,
    one_step: Callable[[], Awaitable[None]],
) -> Sequence[Result]:
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for repetition in range(WARM_UP + REPETITIONS):
        if repetition == WARM_UP:
            seconds.clear()
        await _clear_the_book(running, exchange)
        for _ in range(BASELINE_COMMITS):
            started_s = time.perf_counter()
            bare.execute("INSERT INTO bare_commits (note) VALUES (%s)", ("one row",))
            seconds["bare"].append(time.perf_counter() - started_s)
        started_s = time.perf_counter()
        await one_step()
        seconds["one step"].append(time.perf_counter() - started_s)
        stopwatch.decided.clear()
        started_s = time.perf_counter()
        exchange.quote(ABOVE)
        await _decided(stopwatch)
        assert len(exchange.open_orders()) == ORDERS
        for name, point in _INSTANTS.items():
            seconds[name].append(stopwatch.seen_s[point] - started_s)
        seconds["ended"].append(stopwatch.ended_s - started_s)
    return [
        Result(
            case=case,
            case_s=median(seconds[name]),
            baseline="raw psycopg INSERT, committed",
            baseline_s=median(seconds["bare"]),
            repetitions=REPETITIONS,
            aim=aim,
        )
        for case, name, aim in _CASES
    ]


async def _start_trading(running: RunningNode, stopwatch: Stopwatch) -> None:
    requests = running.database.requests
    request = await requests.add("BTC/USDT", SPEC, new_request_id())
    progress = await requests.wait(request, WAIT_S)
    if progress.result is None or progress.result["outcome"] != "done":
        raise RuntimeError(f"the symbol was not added: {progress}")
    await _decided(stopwatch)


async def _clear_the_book(running: RunningNode, exchange: InstantExchange) -> None:
    """Leave no order, and a price below the whole grid at which it wants none."""
    exchange.quote(BELOW)
    exchange.expire_orders()
    async with asyncio.timeout(WAIT_S):
        while not _is_clear(running):  # noqa: ASYNC110  # views announce nothing
            await asyncio.sleep(0.001)


def _is_clear(running: RunningNode) -> bool:
    (view,) = running.node.views.values()
    is_below = view.book is not None and view.book.bid_ticks == 5_900_000
    return is_below and not view.live_orders


async def _decided(stopwatch: Stopwatch) -> None:
    async with asyncio.timeout(WAIT_S):
        await stopwatch.decided.wait()

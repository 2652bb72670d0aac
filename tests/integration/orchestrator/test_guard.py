"""What keeps failing is given up on after a bounded number of tries, and resumed by operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.market import BookTop
from integration.store.factories import EXECUTOR, add_symbol, ask, execute, join_node, value
from integration.symbol_manager.harness import eventually
from orchestrator import guard as guard_module
from orchestrator.guard import (
    CHANGE_STARTS_MAX,
    CRASHES_MAX,
    STARTS_DOUBTED,
    STARTS_MAX,
    STARTS_SUSPECT,
    Guard,
)
from ports.store import Desired, Status
from store.registry import Registry
from store.runs import Runs
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.view import ShardView
from telemetry.clock import SystemClock

SYMBOL = "BTC/USDT"
REQUEST = "add:sim-BTC-USDT:1"


def stay() -> bool:
    return False


@dataclass
class Runner:
    """A shard that gets through its first round, or crashes."""

    shard: int
    is_poisoned: bool = False
    symbol: str = SYMBOL
    mailbox: Mailbox = field(
        default_factory=lambda: Mailbox(Wishes(Desired.RUNNING, is_killed=False))
    )
    view: ShardView | None = None
    runs: int = 0
    removed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        self.runs += 1
        if self.is_poisoned:
            raise ZeroDivisionError("poison")
        await self.removed.wait()

    def get_through(self) -> None:
        self.view = ShardView(
            symbol=self.symbol,
            epoch=1,
            status=Status.RUNNING,
            reason="",
            book=BookTop(1, 2, 3),
            live_orders={},
            parked_trades=0,
        )


@dataclass
class Bench:
    engine: AsyncEngine
    guard: Guard
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    steps: list[asyncio.Task[str]] = field(default_factory=list)

    def run(self, runner: Runner, is_leaving: Callable[[], bool] = stay) -> asyncio.Task[None]:
        running = self.guard.run(runner, is_leaving=is_leaving)  # type: ignore[arg-type]
        self.tasks.append(asyncio.create_task(running))
        return self.tasks[-1]

    def request(
        self,
        step: Callable[[], Awaitable[str]],
        *,
        is_leaving: Callable[[], bool] = stay,
        only_waits: bool = False,
    ) -> asyncio.Task[str]:
        async def give_up(starts: int) -> str:
            return f"given up after {starts} starts"

        running = self.guard.run_step(
            REQUEST, step, instead=give_up, is_leaving=is_leaving, only_waits=only_waits
        )
        self.steps.append(asyncio.create_task(running))
        return self.steps[-1]

    async def died(self, starts: int) -> None:
        """As many processes began the request and did not live to end it."""
        for number in range(starts):
            await Runs(self.engine, f"node-1:dead-{number}").begin_change(REQUEST)

    async def change_starts(self) -> int:
        return int(await value(self.engine, "SELECT coalesce(sum(starts), 0) FROM change_starts"))

    async def starts(self) -> int:
        return int(await value(self.engine, "SELECT starts FROM shards"))

    async def reason(self) -> str:
        return str(await value(self.engine, "SELECT status_reason FROM shards"))

    async def is_quarantined(self) -> bool:
        return bool(await value(self.engine, "SELECT quarantined_at IS NOT NULL FROM shards"))


@pytest.fixture
async def bench(clean_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(guard_module, "CRASH_WAIT_S", 0.0)
    monkeypatch.setattr(guard_module, "LOOK_EVERY_S", 0.01)
    await join_node(clean_engine)
    guard = Guard(Registry(clean_engine), Runs(clean_engine, EXECUTOR), SystemClock())
    bench = Bench(clean_engine, guard)
    yield bench
    for task in (*bench.tasks, *bench.steps):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def shard(clean_engine: AsyncEngine) -> int:
    return await add_symbol(clean_engine)


async def test_symbol_that_crashes_again_and_again_is_quarantined_until_resumed(
    bench: Bench, shard: int
) -> None:
    runner = Runner(shard, is_poisoned=True)
    running = bench.run(runner)
    await eventually(bench.is_quarantined)
    assert runner.runs == CRASHES_MAX
    assert await bench.reason() == (
        f"quarantined until resumed: it crashed {CRASHES_MAX} times: ZeroDivisionError('poison')"
    )
    assert await value(bench.engine, "SELECT status FROM shards") == "halted"

    runner.is_poisoned = False
    resume = await ask(bench.engine, "resume:1")
    assert await Registry(bench.engine).desire("sim", SYMBOL, Desired.RUNNING, resume)

    async def runs_again() -> bool:
        return runner.runs == CRASHES_MAX + 1

    await eventually(runs_again)
    assert not await bench.is_quarantined()
    runner.removed.set()
    await running


async def test_quarantine_outlives_the_process(bench: Bench, shard: int) -> None:
    bench.run(Runner(shard, is_poisoned=True))
    await eventually(bench.is_quarantined)
    after_restart = Runner(shard)
    waiting = bench.run(after_restart)
    await asyncio.wait([waiting], timeout=0.2)
    assert after_restart.runs == 0
    after_restart.mailbox.put_wishes(Wishes(Desired.RUNNING, is_killed=True))

    async def tries_once_to_obey_the_kill() -> bool:
        return after_restart.runs == 1

    await eventually(tries_once_to_obey_the_kill)


async def test_start_counts_until_the_first_round_is_through(bench: Bench, shard: int) -> None:
    runner = Runner(shard)
    bench.run(runner)

    async def counted() -> bool:
        return await bench.starts() == 1

    await eventually(counted)
    runner.get_through()

    async def forgiven() -> bool:
        return await bench.starts() == 0

    await eventually(forgiven)


async def test_start_that_is_called_off_is_forgiven(bench: Bench, shard: int) -> None:
    running = bench.run(runner := Runner(shard))

    async def runs() -> bool:
        return bool(runner.runs)

    await eventually(runs)
    running.cancel()
    await asyncio.wait([running])
    assert await bench.starts() == 0


async def test_symbol_whose_starts_killed_their_process_is_quarantined_unstarted(
    bench: Bench, shard: int
) -> None:
    await execute(bench.engine, "UPDATE shards SET starts = :n", n=STARTS_MAX)
    runner = Runner(shard)
    bench.run(runner)
    await eventually(bench.is_quarantined)
    assert runner.runs == 0
    assert f"in the first round of each of {STARTS_MAX} starts" in await bench.reason()


async def test_suspects_start_one_at_a_time(bench: Bench, shard: int) -> None:
    await execute(bench.engine, "UPDATE shards SET starts = :n", n=STARTS_SUSPECT)
    first, second = Runner(shard), Runner(shard)
    bench.run(first)

    async def first_runs() -> bool:
        return bool(first.runs)

    await eventually(first_runs)
    waiting = bench.run(second)
    await asyncio.wait([waiting], timeout=0.2)
    assert second.runs == 0
    first.get_through()

    async def second_runs() -> bool:
        return bool(second.runs)

    await eventually(second_runs)


async def test_suspects_start_all_at_once_when_the_kill_switch_is_thrown(
    bench: Bench, shard: int
) -> None:
    """Whoever waits for its turn has orders that are to be cancelled now."""
    await execute(bench.engine, "UPDATE shards SET starts = :n", n=STARTS_SUSPECT)
    first, second = Runner(shard), Runner(shard)
    bench.run(first)

    async def first_runs() -> bool:
        return first.runs == 1

    await eventually(first_runs)
    waiting = bench.run(second)
    await asyncio.wait([waiting], timeout=0.2)
    assert second.runs == 0
    second.mailbox.put_wishes(Wishes(Desired.RUNNING, is_killed=True))

    async def second_runs() -> bool:
        return second.runs == 1

    await eventually(second_runs)
    assert first.view is None


@pytest.mark.parametrize("is_killed", [False, True])
async def test_doubted_symbol_waits_uncounted_until_its_process_has_lasted(
    bench: Bench, shard: int, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    """Processes that are killed from outside soon after their start say nothing of the symbol."""
    monkeypatch.setattr(guard_module, "LOOKS_UNTIL_PROVEN", 100_000)
    await execute(bench.engine, "UPDATE shards SET starts = :n", n=STARTS_DOUBTED)
    runner = Runner(shard)
    runner.mailbox.put_wishes(Wishes(Desired.RUNNING, is_killed))
    waiting = bench.run(runner)
    await asyncio.wait([waiting], timeout=0.5)
    assert runner.runs == 0
    assert await bench.starts() == STARTS_DOUBTED
    waiting.cancel()
    monkeypatch.setattr(guard_module, "LOOKS_UNTIL_PROVEN", 0)
    bench.run(runner)

    async def runs() -> bool:
        return bool(runner.runs)

    await eventually(runs)


async def test_doubted_symbols_start_one_at_a_time_although_the_kill_switch_is_thrown(
    bench: Bench, shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once has ended the process before, and would give up on all for what one does."""
    monkeypatch.setattr(guard_module.Guard, "_until_process_lasts", _at_once)
    monkeypatch.setattr(guard_module, "LOOKS_UNTIL_PROVEN", 100_000)
    await execute(bench.engine, "UPDATE shards SET starts = :n", n=STARTS_DOUBTED)
    runners = [Runner(shard) for _ in range(2)]
    for runner in runners:
        runner.mailbox.put_wishes(Wishes(Desired.RUNNING, is_killed=True))
    waiting = [bench.run(runner) for runner in runners]

    async def one_runs() -> bool:
        return any(runner.runs for runner in runners)

    await eventually(one_runs)
    await asyncio.wait(waiting, timeout=0.5)
    assert sum(runner.runs for runner in runners) == 1


async def test_quarantined_symbol_leaves_when_it_is_moved(bench: Bench, shard: int) -> None:
    await execute(bench.engine, "UPDATE shards SET quarantined_at = clock_timestamp()")
    moved = bench.run(Runner(shard), is_leaving=lambda: True)
    await asyncio.wait([moved], timeout=5)
    assert moved.cancelled()


async def _at_once(guard: Guard, is_leaving: Callable[[], bool]) -> None:
    return


async def do() -> str:
    return "done"


async def test_request_that_ended_with_its_process_each_time_is_given_up_unstarted(
    bench: Bench,
) -> None:
    await bench.died(CHANGE_STARTS_MAX)
    begun = asyncio.Event()

    async def step() -> str:
        begun.set()
        return "done"

    assert await bench.request(step) == f"given up after {CHANGE_STARTS_MAX} starts"
    assert not begun.is_set()


async def test_request_interrupted_less_often_is_done_and_forgiven(bench: Bench) -> None:
    await bench.died(CHANGE_STARTS_MAX - 1)
    assert await bench.request(do) == "done"
    assert await bench.change_starts() == 0


async def test_suspect_request_waits_uncounted_until_its_process_has_lasted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends processes soon after their start, it is not this request."""
    monkeypatch.setattr(guard_module, "LOOKS_UNTIL_PROVEN", 100_000)
    await bench.died(STARTS_SUSPECT)
    waiting = bench.request(do)
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()
    assert await bench.change_starts() == STARTS_SUSPECT
    monkeypatch.setattr(guard_module, "LOOKS_UNTIL_PROVEN", 0)
    assert await bench.request(do) == "done"


async def test_suspect_request_that_waits_is_left_to_another_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "LOOKS_UNTIL_PROVEN", 100_000)
    await bench.died(STARTS_SUSPECT)
    is_leaving = asyncio.Event()
    waiting = bench.request(do, is_leaving=is_leaving.is_set)
    await asyncio.wait([waiting], timeout=0.1)
    is_leaving.set()
    await asyncio.wait([waiting], timeout=5)
    assert waiting.cancelled()


async def test_request_that_lasts_is_forgiven_while_it_goes_on(bench: Bench) -> None:
    """What waits for a long time may be interrupted as often as that happens."""
    await bench.died(CHANGE_STARTS_MAX - 1)
    counted = []

    async def step() -> str:
        counted.append(await bench.change_starts())

        async def forgiven() -> bool:
            return await bench.change_starts() == 0

        await eventually(forgiven)
        return "done"

    assert await bench.request(step) == "done"
    assert counted == [CHANGE_STARTS_MAX]


async def test_request_begun_again_by_the_same_process_counts_once(bench: Bench) -> None:
    runs = Runs(bench.engine, EXECUTOR)
    for _ in range(CHANGE_STARTS_MAX + 1):  # as after outages of Postgres
        await runs.begin_change(REQUEST)
    assert await bench.change_starts() == 1
    assert await runs.change_starts(REQUEST) == 0


async def test_suspect_request_and_suspect_symbol_start_one_at_a_time(
    bench: Bench, shard: int
) -> None:
    await execute(bench.engine, "UPDATE shards SET starts = :n", n=STARTS_SUSPECT)
    await bench.died(STARTS_SUSPECT)
    runner = Runner(shard)
    bench.run(runner)

    async def symbol_runs() -> bool:
        return bool(runner.runs)

    await eventually(symbol_runs)
    waiting = bench.request(do)
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    runner.get_through()
    assert await waiting == "done"
    assert await bench.request(do) == "done"


async def test_suspect_request_that_waits_for_a_symbol_does_not_keep_it_waiting(
    bench: Bench, shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "LOOKS_UNTIL_PROVEN", 100_000)
    await execute(bench.engine, "UPDATE shards SET starts = :n", n=STARTS_SUSPECT)
    await bench.died(STARTS_SUSPECT)
    runner = Runner(shard)

    async def step() -> str:
        bench.run(runner)

        async def symbol_runs() -> bool:
            return bool(runner.runs)

        await eventually(symbol_runs)
        return f"waited at start {await bench.change_starts()}"

    assert await bench.request(step, only_waits=True) == f"waited at start {STARTS_SUSPECT + 1}"

"""Keeps one symbol's failures away from the others, and gives up on what keeps failing.

A crash is counted in memory, where it is known to be the symbol's own. A start that ends with its
whole process is counted in Postgres ahead of it, and forgiven once the symbol got through its first
round, or a request through its step. Symbols and requests whose starts were not forgiven start one
at a time, so that the one that kills its process is soon the only one counted; such a request, and
a symbol before the last starts that it has, also wait until their process has lasted, so that ends
that others bring about do not count. Once the kill switch is thrown, suspects start all at once:
their orders are to be cancelled now. A symbol before its last starts does not: those that start
together are given up together, and then nobody cancels.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TypeVar

import structlog

from domain.errors import OwnershipLost, StoreUnavailable
from orchestrator.rows import RunRows, SymbolRows
from ports.clock import Clock
from store.engine import until_store_answers
from symbol_manager.shard import Shard

#: A shard that keeps failing for reasons nobody foresaw is given up on after this many tries.
CRASHES_MAX = 5
CRASH_WAIT_S = 1.0
#: A shard that ran this long before it crashed starts counting anew.
CRASHES_FORGOTTEN_MS = 600_000
#: Starts that may end with their process before the symbol is given up on.
STARTS_MAX = 6
#: Starts of a request that may: fewer, lest a symbol be taken for what a request does.
CHANGE_STARTS_MAX = 5
#: From this many on a symbol or a request starts alone.
STARTS_SUSPECT = 2
#: From this many on a symbol starts only in a process that has lasted, and alone, a kill or not:
#: ends in quick succession, each in somebody's first round, must not end in quarantine.
STARTS_DOUBTED = 4
LOOK_EVERY_S = 0.25
#: A start that lasts so many looks (10 s) did not kill its process, first round or not; and a
#: process that does was not ended by what starts with it.
LOOKS_UNTIL_PROVEN = 40

T = TypeVar("T")

log = structlog.get_logger("orchestrator")


class Guard:
    """Runs the shards and the requests of one node."""

    def __init__(self, registry: SymbolRows, runs: RunRows, clock: Clock) -> None:
        self._registry = registry
        self._runs = runs
        self._clock = clock
        self._began_ms = clock.boot_ms()
        self._suspects = asyncio.Lock()

    async def run(self, runner: Shard, *, is_leaving: Callable[[], bool]) -> None:
        """Run a shard until its symbol is removed.

        Raises
        ------
        OwnershipLost
            If the symbol cannot be claimed.
        asyncio.CancelledError
            If it is to be left to another process.
        """
        await self._look_before_start(runner, is_leaving)
        crashes = 0
        while True:
            started_ms = self._clock.boot_ms()
            try:
                await self._start(runner, is_leaving)
            except (OwnershipLost, asyncio.CancelledError):
                raise
            except Exception as error:  # the border of one symbol's task: others go on
                if self._clock.boot_ms() - started_ms > CRASHES_FORGOTTEN_MS:
                    crashes = 0
                crashes += 1
                log.exception("shard_crashed", symbol=runner.symbol, crashes=crashes)
                if crashes == CRASHES_MAX:
                    await self._quarantine(runner, f"it crashed {crashes} times: {error!r}")
                    await self._wait_for_operator(runner, is_leaving)
                    crashes = 0
                else:
                    await self._halt(runner, f"crash {crashes} of {CRASHES_MAX}: {error!r}")
                    await asyncio.sleep(CRASH_WAIT_S * crashes)
            else:
                return

    async def run_step(
        self,
        workflow_id: str,
        step: Callable[[], Awaitable[T]],
        *,
        instead: Callable[[int], Awaitable[T]],
        is_leaving: Callable[[], bool],
        only_waits: bool = False,
    ) -> T:
        """Do a step of a request, or something else if every start of it ended with its process.

        Parameters
        ----------
        instead : callable of the number of starts
            What is done once there are too many.
        is_leaving : callable
            Whether this process is to leave the request to another one.
        only_waits : bool
            It never starts alone: what it waits for may be a symbol that has to.

        Raises
        ------
        asyncio.CancelledError
            If it does.
        """
        starts = await until_store_answers(lambda: self._runs.change_starts(workflow_id))
        if starts >= CHANGE_STARTS_MAX:
            log.error("request_given_up", workflow_id=workflow_id, starts=starts)
            return await instead(starts)
        is_suspect = starts >= STARTS_SUSPECT and not only_waits
        if is_suspect:
            await self._until_process_lasts(is_leaving)
        counted = self._counted(
            is_suspect=is_suspect,
            is_leaving=is_leaving,
            is_urgent=lambda: False,
            begin=lambda: self._runs.begin_change(workflow_id),
            is_through=lambda: False,
            forgive=lambda: self._runs.end_change(workflow_id),
        )
        async with counted:
            return await step()

    async def _look_before_start(self, runner: Shard, is_leaving: Callable[[], bool]) -> None:
        """Wait for an operator if the symbol was given up on, or is to be now."""
        seen = await until_store_answers(lambda: self._registry.symbol(runner.shard))
        if seen.starts >= STARTS_MAX and not seen.is_quarantined:
            await self._quarantine(
                runner, f"its process ended in the first round of each of {seen.starts} starts"
            )
        if seen.starts >= STARTS_MAX or seen.is_quarantined:
            await self._wait_for_operator(runner, is_leaving)

    async def _start(self, runner: Shard, is_leaving: Callable[[], bool]) -> None:
        seen = await until_store_answers(lambda: self._registry.symbol(runner.shard))

        def is_urgent() -> bool:
            return runner.mailbox.wishes.is_killed and seen.starts < STARTS_DOUBTED

        if seen.starts >= STARTS_DOUBTED:
            log.warning("shard_start_waits", symbol=runner.symbol, starts=seen.starts)
            await self._until_process_lasts(is_leaving)
        counted = self._counted(
            is_suspect=seen.starts >= STARTS_SUSPECT,
            is_leaving=is_leaving,
            is_urgent=is_urgent,
            begin=lambda: self._runs.begin_start(runner.shard),
            is_through=lambda: runner.view is not None,
            forgive=lambda: self._runs.end_start(runner.shard),
        )
        async with counted:
            await runner.run()

    @asynccontextmanager
    async def _counted(
        self,
        *,
        is_suspect: bool,
        is_leaving: Callable[[], bool],
        is_urgent: Callable[[], bool],
        begin: Callable[[], Awaitable[object]],
        is_through: Callable[[], bool],
        forgive: Callable[[], Awaitable[None]],
    ) -> AsyncIterator[None]:
        """Count a start; a suspect keeps the others waiting until its start is proven."""
        with ExitStack() as turn:
            if is_suspect and await self._takes_turn(is_leaving, is_urgent):
                turn.callback(self._suspects.release)
            await until_store_answers(begin)
            proving = asyncio.create_task(_prove(is_through, turn, forgive))
            try:
                yield
            finally:
                proving.cancel()
                with suppress(asyncio.CancelledError):
                    await proving
                with suppress(StoreUnavailable):  # whatever came of it, the process outlived it
                    await forgive()

    async def _until_process_lasts(self, is_leaving: Callable[[], bool]) -> None:
        """A process that ends sooner was ended by something else, such as a limit of memory."""
        lasts_ms = self._began_ms + LOOKS_UNTIL_PROVEN * LOOK_EVERY_S * 1_000
        while self._clock.boot_ms() < lasts_ms:
            if is_leaving():
                raise asyncio.CancelledError
            await asyncio.sleep(LOOK_EVERY_S)

    async def _takes_turn(
        self, is_leaving: Callable[[], bool], is_urgent: Callable[[], bool]
    ) -> bool:
        """Wait until others wait for this start; what is urgent goes beside them at once."""
        while self._suspects.locked():
            if is_urgent():
                return False
            if is_leaving():
                raise asyncio.CancelledError
            await asyncio.sleep(LOOK_EVERY_S)
        await self._suspects.acquire()
        return True

    async def _quarantine(self, runner: Shard, reason: str) -> None:
        log.error("shard_quarantined", symbol=runner.symbol, reason=reason)
        await until_store_answers(
            lambda: self._runs.halt(
                runner.shard, f"quarantined until resumed: {reason}", is_quarantined=True
            )
        )

    async def _wait_for_operator(self, runner: Shard, is_leaving: Callable[[], bool]) -> None:
        """Until the symbol is resumed; another wish, such as a kill, is worth one try as well."""
        wishes = runner.mailbox.wishes
        while runner.mailbox.wishes == wishes:
            if is_leaving():
                raise asyncio.CancelledError
            seen = await until_store_answers(lambda: self._registry.symbol(runner.shard))
            if not seen.is_quarantined:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _halt(self, runner: Shard, reason: str) -> None:
        with suppress(StoreUnavailable):
            await self._runs.halt(runner.shard, reason)


async def _prove(
    is_through: Callable[[], bool], turn: ExitStack, forgive: Callable[[], Awaitable[None]]
) -> None:
    """Forgive a start once it got through, or has lasted; the next suspect has its turn."""
    for _ in range(LOOKS_UNTIL_PROVEN):
        if is_through():
            break
        await asyncio.sleep(LOOK_EVERY_S)
    turn.close()
    await until_store_answers(forgive)

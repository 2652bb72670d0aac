"""Keeps one symbol's failures away from the others, and gives up on what keeps failing.

A crash is counted in memory, where it is known to be the symbol's own. A start that ends with its
whole process is counted in Postgres ahead of it, and forgiven once the symbol got through its first
round. Symbols whose starts were not forgiven start one at a time, so that the one that kills its
process is soon the only one counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from domain.errors import OwnershipLost, StoreUnavailable
from ports.clock import Clock
from store.engine import until_store_answers
from store.registry import Registry
from store.runs import Runs
from symbol_manager.shard import Shard

#: A shard that keeps failing for reasons nobody foresaw is given up on after this many tries.
CRASHES_MAX = 5
CRASH_WAIT_S = 1.0
#: A shard that ran this long before it crashed starts counting anew.
CRASHES_FORGOTTEN_MS = 600_000
#: Starts that may end with their process before the symbol is given up on.
STARTS_MAX = 6
#: From this many on a symbol starts alone.
STARTS_SUSPECT = 2
LOOK_EVERY_S = 0.25
#: A start that lasts so many looks (10 s) did not kill its process, first round or not.
LOOKS_UNTIL_PROVEN = 40

log = structlog.get_logger("orchestrator")


class Guard:
    """Runs the shards of one node."""

    def __init__(self, registry: Registry, runs: Runs, clock: Clock) -> None:
        self._registry = registry
        self._runs = runs
        self._clock = clock
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
        """Run the shard; a suspect keeps the others waiting until its start is proven."""
        seen = await until_store_answers(lambda: self._registry.symbol(runner.shard))
        turn = None
        if seen.starts >= STARTS_SUSPECT:
            turn = await self._take_turn(is_leaving)
        await until_store_answers(lambda: self._runs.begin_start(runner.shard))
        proving = asyncio.create_task(self._prove(runner, turn))
        try:
            await runner.run()
        finally:
            proving.cancel()
            with suppress(asyncio.CancelledError):
                await proving
            with suppress(StoreUnavailable):  # whatever came of it, the process outlived it
                await self._runs.end_start(runner.shard)

    async def _take_turn(self, is_leaving: Callable[[], bool]) -> asyncio.Lock:
        while self._suspects.locked():
            if is_leaving():
                raise asyncio.CancelledError
            await asyncio.sleep(LOOK_EVERY_S)
        await self._suspects.acquire()
        return self._suspects

    async def _prove(self, runner: Shard, turn: asyncio.Lock | None) -> None:
        try:
            for _ in range(LOOKS_UNTIL_PROVEN):
                if runner.view is not None:
                    break
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            if turn is not None:
                turn.release()
        await until_store_answers(lambda: self._runs.end_start(runner.shard))

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

"""What DBOS is to one process: it runs the workflows that wait in the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from domain.errors import RequestGivenUp, StoreUnavailable
from orchestrator.workflows import CHANGES_QUEUE, Document, Handlers, queue_of
from simulation.fate import Fate
from simulation.store import SimulatedStore
from simulation.tables import ChangeRow, ShardRow
from store.nodes import ExecutorId

QUEUE_S = 0.5
RETRY_S = 0.5
#: Longest time between a plan's commit and its start.
PLAN_WAITS_MAX_S = 4.0
#: Longest time between a plan's commit and the end of a workflow that breaks off.
PLAN_BREAKS_MAX_S = 0.05

Answer = TypeVar("Answer")


class Durable:
    """Calls a node's handlers as the workflows of `orchestrator/workflows.py` do.

    What is cancelled stays pending, and plans run late, twice or break off.
    """

    def __init__(
        self,
        handlers: Handlers,
        store: SimulatedStore,
        me: ExecutorId,
        fate: Fate,
        fail: Callable[[str], None],
    ) -> None:
        self._handlers = handlers
        self._store = store
        self._database = store.database
        self._me = me
        self._fate = fate
        self._fail = fail
        self._running: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None

    async def launch(self) -> None:
        """Register the process's own queue, and take from it and from that of all."""
        queues = self._database.queues
        await self._until_answered(lambda: queues.update({queue_of(self._me): None}))
        self._polling = self._spawn(self._poll)

    def destroy(self) -> None:
        """Take nothing any more; what runs goes on until its process ends."""
        if self._polling is not None:
            self._polling.cancel()

    async def execute_plan(self, batch: Document) -> Document:
        """Maybe later, maybe once more after it is done, maybe not to its end."""
        weather, dice = self._fate.weather(), self._fate.dice
        names = [str(plan["decision_id"]) for plan in batch["plans"]]
        await self._store.ask(lambda: self._database.plans.update({names[0]: self._me}))
        try:
            if self._fate.strikes(weather.plan_broken):
                await asyncio.sleep(dice.uniform(0.0, PLAN_BREAKS_MAX_S))
                raise StoreUnavailable("the plan's workflow broke off")
            if self._fate.strikes(weather.plan_slow):
                await asyncio.sleep(dice.uniform(0.0, PLAN_WAITS_MAX_S))
            with self._handlers.executing(batch):
                results = await self._handlers.submit_plans(batch)
            if self._fate.strikes(weather.plan_again):
                with self._handlers.executing(batch):
                    again = await self._handlers.submit_plans(batch)
                if any(told != {"plan": "stale: not sent"} for told in again["orders"].values()):
                    self._fail(f"plans {names} were sent a second time")
            return results
        finally:
            self._database.plans.pop(names[0], None)

    async def _poll(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                for queue in (queue_of(self._me), CHANGES_QUEUE):
                    for row in await self._take(partial(self._database.dequeue, queue)):
                        self._spawn(partial(self._run_shard, row))
                for change in await self._take(self._database.dequeue_changes):
                    self._spawn(partial(self._apply_change, change))
            await asyncio.sleep(QUEUE_S)

    async def _take(self, dequeue: Callable[[str], Answer]) -> Answer:
        return await self._store.ask(partial(dequeue, self._me))

    async def _run_shard(self, row: ShardRow) -> None:
        with self._handlers.busy_with(row.workflow_id):
            await self._handlers.run_shard(row.shard, row.workflow_id)
        await self._until_answered(lambda: self._database.finish(row.shard, self._me))

    async def _apply_change(self, row: ChangeRow) -> None:
        """Step by step; what is recorded is not done again."""
        name = row.workflow_id
        with self._handlers.busy_with(name):
            try:
                result = await self._result_of(row)
            except RequestGivenUp as error:
                result = {"outcome": "given up", "reason": str(error)}
            await self._until_answered(lambda: self._database.finish_change(name, result))

    async def _result_of(self, row: ChangeRow) -> Document:
        name, change, handlers = row.workflow_id, row.change, self._handlers
        prepared = await self._step(row, "prepare", lambda: handlers.prepare_change(change, name))
        if prepared["outcome"] == "refused":
            return prepared
        recorded = await self._step(
            row, "record", lambda: handlers.record_change(change, prepared, name)
        )
        if recorded["outcome"] == "refused":
            return recorded
        return await self._step(
            row, "converge", lambda: handlers.await_change(change, recorded, name)
        )

    async def _step(
        self, row: ChangeRow, step: str, act: Callable[[], Awaitable[Document]]
    ) -> Document:
        if step in row.steps:
            return row.steps[step]
        made: Document = json.loads(json.dumps(await act()))
        kept = await self._until_answered(
            lambda: self._database.note_step(row.workflow_id, step, made)
        )
        if kept != made:  # another process runs it as well, and was faster
            raise asyncio.CancelledError
        return kept

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - nothing may fail unforeseen
                self._fail(f"{self._me} crashed: {error!r}")

        task = asyncio.create_task(guarded())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _until_answered(self, act: Callable[[], Answer]) -> Answer:
        while True:
            try:
                return await self._store.ask(act)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

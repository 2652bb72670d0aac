"""The rows of the nodes and the workflows, behind a connection that breaks.

What production's `Membership` beats against, and what its `Watchdog` reads and mends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from domain.errors import StoreUnavailable
from orchestrator.workflows import APPLY_CHANGE, EXECUTE_PLAN, RUN_SHARD
from simulation.store import SimulatedStore
from simulation.tables import NodeRow
from store.engine import TRANSACTION_TIMEOUT_S, cancellations
from store.nodes import Beat, ExecutorId, Member, Placed, Process


class SimulatedNodes:
    """Stands for `store.nodes.Nodes`; implements `orchestrator.takeover.NodeRows`.

    Parameters
    ----------
    has_ended : callable
        Whether the process of an executor is dead, whose locks the server takes back at once.
    break_off : callable
        Close the connections of an executor's process.
    """

    def __init__(
        self,
        store: SimulatedStore,
        executor: str,
        host: str,
        has_ended: Callable[[str], bool],
        break_off: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        self._store = store
        self._database = store.database
        self._executor = executor
        self._host = host
        self._has_ended = has_ended
        self._break_off = break_off
        self._note = note

    async def join(
        self, executor_id: ExecutorId, name: str, process: Process, capacity: int
    ) -> None:
        await self._store.ask(
            lambda: self._database.join(executor_id, self._host, name=name, capacity=capacity)
        )

    async def beat(
        self,
        executor_id: ExecutorId,
        *,
        reaches_exchange: bool,
        account: str,
        told_pause_s: float,
    ) -> Beat | None:
        def beat() -> Beat | None:
            if not self._database.beat(
                executor_id,
                reaches_exchange=reaches_exchange,
                told_pause_ms=int(told_pause_s * 1000),
            ):
                return None
            return Beat(members=self._members(), paused_for_s=self._database.paused_for_ms / 1000)

        return await self._store.ask(beat)

    async def end_sessions(self, lost: Sequence[Member]) -> Sequence[str]:
        def end() -> list[str]:
            ended = [*self._still_silent(lost), *self._database.too_long]
            for executor_id in ended:
                self._note(f"{self._executor} ends the sessions of {executor_id}")
                self._database.end_sessions(executor_id)
                self._break_off(executor_id)
            return ended

        return await self._store.ask(end)

    async def remove(self, lost: Sequence[Member]) -> Sequence[ExecutorId]:
        def remove() -> list[ExecutorId]:
            removed = self._still_silent(lost)
            self._database.leave(*removed)
            for executor_id in removed:
                self._note(f"{self._executor} removes {executor_id}")
            return removed

        return await self._store.ask(remove)

    async def leave(self, executor_id: ExecutorId) -> None:
        await self._store.ask(lambda: self._database.leave(executor_id))

    async def members(self) -> Sequence[Member]:
        return await self._store.ask(self._members)

    async def drain(self, executor_id: str, *, is_draining: bool) -> None:
        await self._store.ask(lambda: self._database.drain(executor_id, is_draining=is_draining))

    @asynccontextmanager
    async def only_one(self) -> AsyncIterator[bool]:
        """One transaction around the round, as long as any."""
        before = cancellations()
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT_S):
                is_mine = await self._store.ask(
                    lambda: self._database.lock_round(self._executor, self._has_ended)
                )
                try:
                    yield is_mine
                finally:
                    if is_mine:
                        await self._store.ask(lambda: self._database.unlock_round(self._executor))
        except (StoreUnavailable, TimeoutError) as error:
            if cancellations() > before:
                raise asyncio.CancelledError from error
            raise StoreUnavailable(f"the round: {error}") from error

    async def placed(self) -> Sequence[Placed]:
        return await self._store.ask(self._database.placed)

    async def place(self, homes: Mapping[int, ExecutorId]) -> None:
        def place() -> None:
            self._database.place(homes)
            for shard, home in homes.items():
                self._note(f"{self._executor} places {shard} on {home}")

        await self._store.ask(place)

    def _still_silent(self, lost: Sequence[Member]) -> list[ExecutorId]:
        return [
            member.executor_id
            for member in lost
            if self._database.is_silent_since(
                member.executor_id, round(member.heartbeat_at.timestamp() * 1000)
            )
        ]

    def _members(self) -> list[Member]:
        rows = self._database.nodes.values()
        return [member_of(row) for row in rows]


class SimulatedWork:
    """Stands for `orchestrator.durable_work.DurableWork`."""

    def __init__(self, store: SimulatedStore, executor: str, note: Callable[[str], None]) -> None:
        self._store = store
        self._database = store.database
        self._executor = executor
        self._note = note

    async def stranded(
        self, names: Sequence[str], *, of: ExecutorId | None = None
    ) -> Mapping[str, str]:
        def stranded() -> dict[str, str]:
            database = self._database
            if of is not None:
                shards, changes = database.pending(of), database.pending_changes(of)
                plans: list[str] = []
            else:
                shards, changes = database.left_behind(), database.changes_left_behind()
                plans = database.stale_plans()
            found = (plans, EXECUTE_PLAN), (changes, APPLY_CHANGE), (shards, RUN_SHARD)
            return {each: name for ids, name in found if name in names for each in ids}

        return await self._store.ask(stranded)

    async def cancel(self, workflow_ids: Sequence[str]) -> None:
        await self._store.ask(lambda: self._database.cancel_plans(workflow_ids))

    async def resume(self, workflow_ids: Sequence[str], queue: str) -> None:
        def resume() -> None:
            self._note(f"{self._executor} resumes {' '.join(workflow_ids)} on {queue}")
            self._database.resume(workflow_ids, queue)

        await self._store.ask(resume)

    async def queues(self, prefix: str) -> Sequence[str]:
        return await self._store.ask(
            lambda: [queue for queue in self._database.queues if queue.startswith(prefix)]
        )

    async def drop_queue(self, queue: str) -> None:
        await self._store.ask(lambda: self._database.queues.pop(queue, None))

    async def run_orphans_again(self) -> None:
        await self._store.ask(self._database.run_orphans_again)


def member_of(row: NodeRow) -> Member:
    """A row as all nodes read it; its boot id tells the simulation whose process it is."""
    exchange_ms = row.exchange_ms
    return Member(
        executor_id=ExecutorId(row.executor),
        name=row.name,
        process=Process(host=row.host, boot_id=row.executor, pid=0, pid_started=0),
        heartbeat_at=datetime.fromtimestamp(row.heartbeat_ms / 1000, UTC),
        capacity=row.capacity,
        is_draining=row.is_draining,
        exchange_lost_s=None if exchange_ms is None else (row.heartbeat_ms - exchange_ms) / 1000,
    )

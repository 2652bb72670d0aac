"""The rows of the nodes, behind a connection that breaks: what `Membership` beats against."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from simulation.store import SimulatedStore
from simulation.tables import NodeRow
from store.nodes import Beat, ExecutorId, Member, Process


class SimulatedNodes:
    """Stands for `store.nodes.Nodes`, as far as a node keeps its own row."""

    def __init__(self, store: SimulatedStore, host: str) -> None:
        self._store = store
        self._database = store.database
        self._host = host

    async def join(
        self, executor_id: ExecutorId, name: str, process: Process, capacity: int
    ) -> None:
        await self._store.ask(lambda: self._database.join(executor_id, self._host))

    async def beat(
        self,
        executor_id: ExecutorId,
        *,
        reaches_exchange: bool,
        account: str,
        told_pause_s: float,
    ) -> Beat | None:
        def beat() -> Beat | None:
            if not self._database.beat(executor_id, told_pause_ms=int(told_pause_s * 1000)):
                return None
            members = [_member(row) for row in self._database.nodes.values()]
            return Beat(members=members, paused_for_s=self._database.paused_for_ms / 1000)

        return await self._store.ask(beat)

    async def remove(self, executor_ids: Sequence[ExecutorId]) -> None:
        for executor_id in executor_ids:
            await self._store.ask(partial(self._database.leave, executor_id))


def _member(row: NodeRow) -> Member:
    """Of other processes nothing is known but that they are on a host of their own."""
    return Member(
        executor_id=ExecutorId(row.executor),
        name=row.executor,
        process=Process(host=row.executor, boot_id="", pid=0, pid_started=0),
        silent_s=0.0,
        capacity=1,
        is_draining=False,
        exchange_lost_s=0.0,
    )

"""The rows of the symbols as a node's orchestrator reads and writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ports.store import Status
from simulation.store import SimulatedStore
from simulation.tables import ShardRow
from store.registry import RegisteredSymbol


class SimulatedSymbols:
    """Stands for `store.registry.Registry`."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._database = store.database
        self.specs = None

    async def symbol(self, shard: int) -> RegisteredSymbol:
        return await self._store.ask(lambda: _registered(self._database.shards[shard]))

    async def active_symbols(self) -> Sequence[RegisteredSymbol]:
        return await self._store.ask(
            lambda: [
                _registered(row)
                for row in self._database.shards.values()
                if row.status is not Status.REMOVED
            ]
        )


class SimulatedKillSwitch:
    """Stands for `store.kill_switch.KillSwitch`."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._database = store.database

    async def is_engaged(self) -> bool:
        return await self._store.ask(lambda: self._database.is_killed)


class SimulatedRuns:
    """Stands for `store.runs.Runs`; whatever is halted here crashed, which nothing may."""

    def __init__(self, store: SimulatedStore, executor: str, fail: Callable[[str], None]) -> None:
        self._store = store
        self._database = store.database
        self._executor = executor
        self._fail = fail

    async def release(self, shard: int) -> None:
        await self._store.ask(lambda: self._database.release(shard, self._executor))

    async def begin_start(self, shard: int) -> None:
        await self._store.ask(lambda: self._database.begin_start(shard))

    async def end_start(self, shard: int) -> None:
        await self._store.ask(lambda: self._database.end_start(shard))

    async def change_starts(self, workflow_id: str) -> int:
        raise NotImplementedError

    async def begin_change(self, workflow_id: str) -> None:
        raise NotImplementedError

    async def end_change(self, workflow_id: str) -> None:
        raise NotImplementedError

    async def halt(self, shard: int, reason: str, *, is_quarantined: bool = False) -> None:
        self._fail(f"shard {shard} is halted: {reason}")
        await self._store.ask(
            lambda: self._database.halt(
                shard, reason, self._executor, is_quarantined=is_quarantined
            )
        )


def _registered(row: ShardRow) -> RegisteredSymbol:
    return RegisteredSymbol(
        shard=row.shard,
        key=row.key,
        account=row.account,
        symbol=row.symbol,
        desired=row.desired,
        status=row.status,
        reason=row.reason,
        awaits_reconcile=False,
        owner=row.owner,
        placed_on=row.placed_on,
        starts=row.starts,
        is_quarantined=row.is_quarantined,
    )

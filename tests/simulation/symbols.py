"""The rows of the symbols as a node reads them, behind a connection that breaks."""

from __future__ import annotations

from collections.abc import Sequence

from ports.store import Status
from simulation.store import SimulatedStore
from simulation.tables import ShardRow
from store.registry import RegisteredSymbol


class SimulatedSymbols:
    """Stands for `Registry`, `KillSwitch` and `Runs` of `store`, as far as `Residents` asks."""

    def __init__(self, store: SimulatedStore, executor: str) -> None:
        self._store = store
        self._database = store.database
        self._executor = executor

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

    async def is_engaged(self) -> bool:
        return await self._store.ask(lambda: self._database.is_killed)

    async def release(self, shard: int) -> None:
        await self._store.ask(lambda: self._database.release(shard, self._executor))


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
    )

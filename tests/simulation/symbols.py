"""The rows of the symbols as a node's orchestrator reads and writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from grid.edits import Edit, Standing
from grid.spec import GridSpec
from ports.store import Desired, Status
from risk.reservations import PortfolioLimits
from simulation.store import SimulatedStore
from simulation.tables import ShardRow
from store.registry import NewSymbol, RegisteredSymbol
from store.reservations import Room
from store.specs import Look, MadeVersion, SpecRequest


class SimulatedSymbols:
    """Stands for `store.registry.Registry`."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._database = store.database
        self.specs = SimulatedSpecs(store)

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

    async def add_symbol(
        self,
        new: NewSymbol,
        run: Mapping[str, str],
        run_id_prefix: str,
        limits: PortfolioLimits,
    ) -> int:
        return await self._store.ask(lambda: self._database.add_symbol(new, run_id_prefix, limits))

    async def desire(
        self, account: str, symbol: str, desired: Desired, workflow_id: str
    ) -> RegisteredSymbol | None:
        def desire() -> RegisteredSymbol | None:
            asked_ms = self._database.changes[workflow_id].asked_ms
            return _if_found(self._database.desire(account, symbol, desired, asked_ms))

        return await self._store.ask(desire)

    async def ask_reconcile(self, account: str, symbol: str) -> RegisteredSymbol | None:
        return await self._store.ask(
            lambda: _if_found(self._database.ask_reconcile(account, symbol))
        )

    async def pin(self, account: str, symbol: str, node: str | None) -> RegisteredSymbol | None:
        return await self._store.ask(
            lambda: _if_found(self._database.pin_to(account, symbol, node))
        )

    async def mark_of(
        self, account: str, symbol: str, workflow_id: str
    ) -> tuple[RegisteredSymbol, bool] | None:
        def look() -> tuple[RegisteredSymbol, bool] | None:
            row, is_marked = self._database.mark_of(account, symbol, workflow_id)
            return None if row is None else (_registered(row), is_marked)

        return await self._store.ask(look)

    async def held_inventory(self, account: str, base: str) -> Decimal:
        return await self._store.held_inventory(account, base)

    async def node_of(self, shard: int) -> str | None:
        return await self._store.ask(lambda: self._database.node_of(shard))


class SimulatedSpecs:
    """Stands for `store.specs.Specs`."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._database = store.database

    async def look(self, account: str, symbol: str) -> Look | None:
        def look() -> Look | None:
            database = self._database
            row = database.active(account, symbol)
            if row is None or row.desired in {Desired.CLOSED, Desired.REMOVED}:
                return None
            claim = database.claim_of(row)
            return Look(
                claim=claim,
                loaded=database.load(claim),
                standing=database.standing(row),
                desired=row.desired,
                is_killed=database.is_killed,
                book=None,
            )

        return await self._store.ask(look)

    async def spec(self, shard: int, version: int) -> GridSpec | None:
        def spec() -> GridSpec | None:
            row = self._database.specs.get((shard, version))
            return None if row is None else row.spec

        return await self._store.ask(spec)

    async def update(
        self, asked: SpecRequest, edit: Callable[[Standing], Edit], room: Room
    ) -> MadeVersion:
        return await self._store.ask(lambda: self._database.update_spec(asked, edit, room))


class SimulatedKillSwitch:
    """Stands for `store.kill_switch.KillSwitch`."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._database = store.database

    async def is_engaged(self) -> bool:
        return await self._store.ask(lambda: self._database.is_killed)

    async def rearm(self, *, reason: str, workflow_id: str) -> None:
        await self._store.ask(
            lambda: self._database.rearm(self._database.changes[workflow_id].asked_ms)
        )

    async def live_order_count(self) -> int:
        return await self._store.ask(lambda: self._database.live_order_count)


class SimulatedRuns:
    """Stands for `store.runs.Runs`; what is halted by it crashed, which few may."""

    def __init__(
        self,
        store: SimulatedStore,
        executor: str,
        may_halt: Callable[[str, str], bool],
        fail: Callable[[str], None],
    ) -> None:
        self._store = store
        self._database = store.database
        self._executor = executor
        self._may_halt = may_halt
        self._fail = fail

    async def release(self, shard: int) -> None:
        await self._store.ask(lambda: self._database.release(shard, self._executor))

    async def begin_start(self, shard: int) -> None:
        await self._store.ask(lambda: self._database.begin_start(shard))

    async def end_start(self, shard: int) -> None:
        await self._store.ask(lambda: self._database.end_start(shard))

    async def change_starts(self, workflow_id: str) -> int:
        return await self._store.ask(
            lambda: self._database.change_starts_of_others(workflow_id, self._executor)
        )

    async def begin_change(self, workflow_id: str) -> None:
        await self._store.ask(lambda: self._database.begin_change(workflow_id, self._executor))

    async def end_change(self, workflow_id: str) -> None:
        await self._store.ask(lambda: self._database.end_change(workflow_id))

    async def halt(self, shard: int, reason: str, *, is_quarantined: bool = False) -> None:
        symbol = self._database.shards[shard].symbol
        if not self._may_halt(symbol, reason):
            self._fail(f"{symbol} is halted: {reason}")
        await self._store.ask(
            lambda: self._database.halt(
                shard, reason, self._executor, is_quarantined=is_quarantined
            )
        )


def _if_found(row: ShardRow | None) -> RegisteredSymbol | None:
    return None if row is None else _registered(row)


def _registered(row: ShardRow) -> RegisteredSymbol:
    return RegisteredSymbol(
        shard=row.shard,
        key=row.key,
        account=row.account,
        symbol=row.symbol,
        desired=row.desired,
        status=row.status,
        reason=row.reason,
        awaits_reconcile=row.compare_asked_ms is not None
        and row.reconciled_ms < row.compare_asked_ms,
        spec_version=row.spec_version,
        taken_version=row.taken_version,
        owner=row.owner,
        placed_on=row.placed_on,
        starts=row.starts,
        is_quarantined=row.is_quarantined,
    )

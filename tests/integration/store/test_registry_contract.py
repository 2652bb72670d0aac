"""What Postgres and the simulated registry, kill switch and counted starts do alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Protocol

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigurationError, RequestRefused
from grid.edits import Edit, Standing, edit_grid
from integration.store.factories import RUN, ask, execute, join_node, new_symbol, value
from integration.store.memory import prompt_store
from orchestrator.rows import KillSwitchRow, RunRows, SymbolRows
from orchestrator.workflows import RUN_SHARD
from ports.store import Desired, Status
from risk.reservations import PortfolioLimits
from simulation.database import Database
from simulation.loop import VirtualLoop
from simulation.symbols import SimulatedKillSwitch, SimulatedRuns, SimulatedSymbols
from store.kill_switch import KillSwitch
from store.registry import NewSymbol, Registry
from store.reservations import Room
from store.runs import Runs
from store.specs import SpecRequest
from support.fake_exchange import BTC
from unit.symbol_manager.factories import make_spec

ME, OTHER = "node-1:start-1", "node-2:start-1"
NEW = new_symbol("add:1")
OF_IT = NEW.account, NEW.symbol
LONG_AGO_MS = 60_000


class Backend(Protocol):
    symbols: SymbolRows
    kill_switch: KillSwitchRow

    def runs(self, executor: str) -> RunRows: ...

    async def ask(self, workflow_id: str, *, ago_ms: int = 0) -> str:
        """Have made a request so long ago."""
        ...

    async def join(self, executor: str) -> None: ...

    async def engage(self) -> None: ...

    async def set(self, shard: int, *, status: Status, owner: str | None) -> None: ...


class PostgresBackend:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.symbols = Registry(engine)
        self.kill_switch = KillSwitch(engine)

    def runs(self, executor: str) -> RunRows:
        return Runs(self._engine, executor)

    async def ask(self, workflow_id: str, *, ago_ms: int = 0) -> str:
        return await ask(self._engine, workflow_id, ago_ms=ago_ms)

    async def join(self, executor: str) -> None:
        await join_node(self._engine, executor)

    async def engage(self) -> None:
        number = await value(self._engine, "SELECT count(*) FROM kill_switch_log")
        await self.kill_switch.engage(reason="test", request_id=f"kill:{number}")

    async def set(self, shard: int, *, status: Status, owner: str | None) -> None:
        await execute(
            self._engine,
            "UPDATE shards SET status = :status, owner = :owner WHERE shard = :shard",
            status=status.value,
            owner=owner,
            shard=shard,
        )


class MemoryBackend:
    def __init__(self, loop: VirtualLoop) -> None:
        times = count(1_000_000)
        self._database = Database(lambda: next(times), nonce=7)
        self._store = prompt_store(loop, self._database, ME)
        self.symbols = SimulatedSymbols(self._store)
        self.kill_switch = SimulatedKillSwitch(self._store)

    def runs(self, executor: str) -> RunRows:
        return SimulatedRuns(
            self._store, executor, may_halt=lambda symbol, reason: True, fail=pytest.fail
        )

    async def ask(self, workflow_id: str, *, ago_ms: int = 0) -> str:
        self._database.ask(workflow_id, {})
        row = self._database.changes[workflow_id]
        self._database.changes[workflow_id] = replace(row, asked_ms=row.asked_ms - ago_ms)
        return workflow_id

    async def join(self, executor: str) -> None:
        self._database.join(executor, "here", name=executor.partition(":")[0])

    async def engage(self) -> None:
        self._database.engage()

    async def set(self, shard: int, *, status: Status, owner: str | None) -> None:
        row = self._database.shards[shard]
        self._database.shards[shard] = replace(row, status=status, owner=owner)


@pytest.fixture(params=["postgres", "memory"])
async def backend(
    request: pytest.FixtureRequest, clean_engine: AsyncEngine
) -> AsyncIterator[Backend]:
    if request.param == "postgres":
        yield PostgresBackend(clean_engine)
        return
    loop = VirtualLoop(steps_max=1)
    yield MemoryBackend(loop)
    loop.end()


async def add(backend: Backend, new: NewSymbol = NEW) -> int:
    await backend.ask(new.requested_by)
    prefix = f"{RUN_SHARD}:{new.key}"
    return await backend.symbols.add_symbol(new, RUN, prefix, PortfolioLimits())


@pytest.fixture
async def shard(backend: Backend) -> int:
    await backend.join(ME)
    return await add(backend)


async def test_add_symbol_twice_is_one_symbol_and_another_request_is_refused(
    backend: Backend, shard: int
) -> None:
    assert await add(backend) == shard
    with pytest.raises(RequestRefused, match="already: remove it first"):
        await add(backend, replace(NEW, requested_by="add:2"))


async def test_add_symbol_that_the_account_cannot_pay_is_refused(backend: Backend) -> None:
    poor = replace(NEW, balances={BTC.base: Decimal(0), BTC.quote: Decimal(1)})
    with pytest.raises(ConfigurationError, match="budget_quote"):
        await add(backend, poor)
    assert await backend.symbols.active_symbols() == []


async def test_add_symbol_after_its_removal_is_another_life(backend: Backend, shard: int) -> None:
    await backend.set(shard, status=Status.REMOVED, owner=None)
    again = await add(backend, replace(NEW, requested_by="add:2"))
    assert again > shard
    assert [seen.shard for seen in await backend.symbols.active_symbols()] == [again]


async def desired_after(backend: Backend, *wishes: tuple[Desired, int]) -> list[bool]:
    """Whether each of several wishes was taken, each made so many ms ago, applied in order."""
    taken = []
    for number, (desired, ago_ms) in enumerate(wishes):
        workflow_id = await backend.ask(f"wish:{number}", ago_ms=ago_ms)
        seen = await backend.symbols.desire(*OF_IT, desired, workflow_id)
        taken.append(seen is not None)
    return taken


async def test_desire_that_was_asked_for_before_another_does_not_undo_it(
    backend: Backend, shard: int
) -> None:
    await backend.set(shard, status=Status.RUNNING, owner=ME)
    wishes = (Desired.PAUSED, -2 * LONG_AGO_MS), (Desired.RUNNING, -LONG_AGO_MS)
    assert await desired_after(backend, *wishes) == [True, True]
    assert (await backend.symbols.symbol(shard)).desired is Desired.PAUSED


@pytest.mark.parametrize(
    ("first", "then", "is_taken", "stands"),
    [
        (Desired.REMOVED, Desired.RUNNING, False, Desired.REMOVED),
        (Desired.REMOVED, Desired.CLOSED, False, Desired.REMOVED),
        (Desired.CLOSED, Desired.PAUSED, False, Desired.CLOSED),
        (Desired.CLOSED, Desired.REMOVED, True, Desired.REMOVED),
        (Desired.PAUSED, Desired.RUNNING, True, Desired.RUNNING),
    ],
)
async def test_desire_undoes_no_removal(
    backend: Backend, shard: int, first: Desired, then: Desired, is_taken: bool, stands: Desired
) -> None:
    wishes = (first, -LONG_AGO_MS), (then, -2 * LONG_AGO_MS)
    assert await desired_after(backend, *wishes) == [True, is_taken]
    assert (await backend.symbols.symbol(shard)).desired is stands


async def test_desire_lifts_a_quarantine_and_forgives_starts(backend: Backend, shard: int) -> None:
    runs = backend.runs(ME)
    for _ in range(3):
        await runs.begin_start(shard)
    await runs.halt(shard, "it fails", is_quarantined=True)
    seen = await backend.symbols.symbol(shard)
    assert (seen.starts, seen.is_quarantined, seen.status) == (3, True, Status.HALTED)
    await desired_after(backend, (Desired.RUNNING, -LONG_AGO_MS))
    seen = await backend.symbols.symbol(shard)
    assert (seen.starts, seen.is_quarantined) == (0, False)


async def test_starts_are_counted_until_one_is_forgiven(backend: Backend, shard: int) -> None:
    for runs in (backend.runs(ME), backend.runs(OTHER)):
        await runs.begin_start(shard)
    assert (await backend.symbols.symbol(shard)).starts == 2
    await backend.runs(ME).end_start(shard)
    assert (await backend.symbols.symbol(shard)).starts == 0


@pytest.mark.parametrize(
    ("status", "owner", "halted"),
    [
        (Status.RUNNING, ME, Status.HALTED),
        (Status.RUNNING, "gone", Status.HALTED),
        (Status.RUNNING, OTHER, Status.RUNNING),
        (Status.REMOVING, ME, Status.REMOVING),
        (Status.REMOVED, ME, Status.REMOVED),
    ],
)
async def test_halt_is_not_for_what_another_node_runs(
    backend: Backend, shard: int, status: Status, owner: str, halted: Status
) -> None:
    await backend.join(OTHER)
    await backend.set(shard, status=status, owner=owner)
    await backend.runs(ME).halt(shard, "it fails")
    assert (await backend.symbols.symbol(shard)).status is halted


async def test_release_is_only_for_ones_own(backend: Backend, shard: int) -> None:
    await backend.set(shard, status=Status.RUNNING, owner=ME)
    await backend.runs(OTHER).release(shard)
    assert (await backend.symbols.symbol(shard)).owner == ME
    assert await backend.symbols.node_of(shard) == "node-1"
    await backend.runs(ME).release(shard)
    assert (await backend.symbols.symbol(shard)).owner is None
    assert await backend.symbols.node_of(shard) is None


async def test_change_starts_counts_the_processes_of_others(backend: Backend) -> None:
    me, other = backend.runs(ME), backend.runs(OTHER)
    await me.begin_change("add:1")
    await me.begin_change("add:1")
    assert (await me.change_starts("add:1"), await other.change_starts("add:1")) == (0, 1)
    await other.begin_change("add:1")
    assert (await me.change_starts("add:1"), await other.change_starts("add:1")) == (2, 1)
    await me.end_change("add:1")
    assert await me.change_starts("add:1") == 0


@pytest.mark.parametrize(("ago_ms", "is_engaged"), [(LONG_AGO_MS, True), (-LONG_AGO_MS, False)])
async def test_rearm_undoes_no_kill_that_is_newer(
    backend: Backend, ago_ms: int, is_engaged: bool
) -> None:
    await backend.engage()
    workflow_id = await backend.ask("rearm:1", ago_ms=ago_ms)
    await backend.kill_switch.rearm(reason="test", workflow_id=workflow_id)
    assert await backend.kill_switch.is_engaged() is is_engaged
    assert await backend.kill_switch.live_order_count() == 0


async def test_pin_is_only_to_a_node_that_takes_symbols(backend: Backend, shard: int) -> None:
    assert await backend.symbols.pin(*OF_IT, "node-1") is not None
    assert await backend.symbols.pin(*OF_IT, None) is not None
    assert await backend.symbols.pin(NEW.account, "ZZZ/USDT", "node-1") is None
    with pytest.raises(RequestRefused, match="no node node-9 takes symbols"):
        await backend.symbols.pin(*OF_IT, "node-9")


async def test_ask_reconcile_is_seen_until_one_is_made(backend: Backend, shard: int) -> None:
    assert not (await backend.symbols.symbol(shard)).awaits_reconcile
    assert await backend.symbols.ask_reconcile(NEW.account, "ZZZ/USDT") is None
    seen = await backend.symbols.ask_reconcile(*OF_IT)
    assert seen is not None
    assert seen.awaits_reconcile


def edited(budget: str) -> Callable[[Standing], Edit]:
    def edit(now: Standing) -> Edit:
        return edit_grid(now, make_spec(budget_quote=budget), BTC, Decimal(100))

    return edit


async def update(
    backend: Backend, name: str, budget: str, expected_version: int | None = None
) -> int:
    request = SpecRequest(
        account=NEW.account,
        symbol=NEW.symbol,
        note="",
        expected_version=expected_version,
        workflow_id=name,
    )
    room = Room(balances={BTC.quote: Decimal(1_000)}, limits=PortfolioLimits())
    made = await backend.symbols.specs.update(request, edited(budget), room)
    return made.version


async def test_update_by_the_same_request_is_one_version_and_an_older_one_is_refused(
    backend: Backend, shard: int
) -> None:
    await backend.ask("update:new", ago_ms=-2 * LONG_AGO_MS)
    await backend.ask("update:old", ago_ms=-LONG_AGO_MS)
    for _ in range(2):
        assert await update(backend, "update:new", "80") == 2
    with pytest.raises(RequestRefused, match="version 2 of BTC/USDT was asked for after this one"):
        await update(backend, "update:old", "70")
    seen = await backend.symbols.symbol(shard)
    assert (seen.spec_version, seen.taken_version) == (2, None)
    spec = await backend.symbols.specs.spec(shard, 2)
    assert spec is not None
    assert spec.budget_quote == 80
    assert await backend.symbols.specs.spec(shard, 3) is None


async def test_update_of_another_version_or_beyond_the_money_is_refused(
    backend: Backend, shard: int
) -> None:
    await backend.ask("update:1", ago_ms=-LONG_AGO_MS)
    with pytest.raises(ConfigurationError, match="expected_version"):
        await update(backend, "update:1", "80", expected_version=7)
    with pytest.raises(ConfigurationError, match="budget_quote"):
        await update(backend, "update:1", "5000000")
    assert (await backend.symbols.symbol(shard)).spec_version == 1


async def test_mark_of_knows_what_a_request_left(backend: Backend, shard: int) -> None:
    await backend.ask("pause:other", ago_ms=LONG_AGO_MS)
    found = await backend.symbols.mark_of(*OF_IT, "add:1")
    assert found is not None
    assert (found[0].shard, found[1]) == (shard, True)
    found = await backend.symbols.mark_of(*OF_IT, "pause:other")
    assert found is not None
    assert not found[1]
    assert await backend.symbols.mark_of(NEW.account, "ZZZ/USDT", "add:1") is None

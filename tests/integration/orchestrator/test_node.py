"""A node runs each symbol once, and lets no symbol be without somebody to run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from domain.ids import Side
from integration.store.factories import (
    EXECUTOR,
    add_symbol,
    execute,
    join_node,
    new_symbol,
    no_room_for,
    select,
    start_workflow,
    value,
)
from integration.symbol_manager.harness import WatchedExchange, eventually
from orchestrator import durable_work as durable_work_module
from orchestrator import node as node_module
from orchestrator import upkeep as upkeep_module
from orchestrator.changes import Changes
from orchestrator.dead_man import Feeder
from orchestrator.durable_work import DurableWork
from orchestrator.membership import Membership
from orchestrator.node import Node, NodePorts, NodeSettings
from orchestrator.takeover import is_gone
from orchestrator.upkeep import Upkeep
from orchestrator.workflows import Document, Workflows, run_shard_again, run_shard_id
from ports.exchange import SendGuard, StreamLost, StreamRestored
from risk.reservations import PortfolioLimits
from store.kill_switch import KillSwitch
from store.nodes import Nodes
from store.registry import RegisteredSymbol, Registry
from store.repository import Repository
from store.reservations import are_balances_old
from store.runs import Runs
from symbol_manager.lease import Lease
from symbol_manager.tenure import ShardSettings
from telemetry.clock import SystemClock
from unit.symbol_manager.factories import PassedFailpoints

ENTRIES = {-1, -2, -3}
OTHER = "node-2:start-1"
SYMBOL, FOREIGN = new_symbol().symbol, "ZZZ/USDT"


class CountingRegistry(Registry):
    """Counts the rounds of the watchdog."""

    rounds = 0

    async def orphans(self) -> Sequence[RegisteredSymbol]:
        found = await super().orphans()
        self.rounds += 1
        return found


@dataclass
class Switch:
    """A venue's dead-man switch, with what was true when it was set."""

    engine: AsyncEngine
    #: A symbol that it does not answer for until told to.
    silent_for: str | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    sets: list[tuple[str, int]] = field(default_factory=list)
    #: Whether the node had begun to drain, and who owned the symbol.
    seen: list[tuple[bool, object]] = field(default_factory=list)

    def countdown_s(self, wanted_s: int, symbols: int) -> int:
        return 60

    async def set_dead_man_switch(self, symbol: str, countdown_s: int, guard: SendGuard) -> None:
        if symbol == self.silent_for:
            await self.answers.wait()
        guard()
        is_draining = bool(await value(self.engine, "SELECT bool_or(is_draining) FROM nodes"))
        owner = await value(self.engine, "SELECT owner FROM shards ORDER BY shard LIMIT 1")
        self.seen.append((is_draining, owner))
        self.sets.append((symbol, countdown_s))


@dataclass
class Place:
    """A node that has joined, and one registered symbol."""

    node: Node
    exchange: WatchedExchange
    registry: CountingRegistry
    engine: AsyncEngine
    shard: int
    switch: Switch
    #: Feeds only when told to.
    feeder: Feeder
    upkeep: Upkeep

    @property
    def workflow_id(self) -> str:
        return run_shard_id(new_symbol().key, self.shard)

    async def reaches(self) -> bool:
        return self.node.reaches_exchange()

    async def does_not_reach(self) -> bool:
        return not self.node.reaches_exchange()

    def run(self) -> asyncio.Task[Document]:
        return asyncio.create_task(self.node.run_shard(self.shard, self.workflow_id))

    async def until(self, side: Side, slots: set[int]) -> None:
        async def has_them() -> bool:
            return set(self.exchange.by_slot(side)) == slots

        await eventually(has_them)

    async def runs(self) -> list[tuple[str, str]]:
        rows = await select(
            self.engine,
            "SELECT workflow_uuid, status FROM dbos.workflow_status"
            " WHERE name = 'run_shard' ORDER BY 1",
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def place(clean_engine: AsyncEngine) -> Place:
    registry, exchange = CountingRegistry(clean_engine), WatchedExchange(engine=clean_engine)
    exchange.set_price("99.49", "99.51", time.time_ns() // 1_000_000)
    await registry.installation_nonce()
    clock = SystemClock()
    lease = Lease(clock, 60_000)
    nodes = Nodes(clean_engine)
    membership = Membership(nodes, EXECUTOR, clock, lease, exchange)
    await membership.join("node-1", capacity=10)
    switch = Switch(clean_engine)
    feeder = Feeder(switch, membership, clock, lease, wanted_s=0)
    kill_switch, failpoints = KillSwitch(clean_engine), PassedFailpoints()
    upkeep = Upkeep(clean_engine, exchange, keep_history_days=30.0)
    node = Node(
        NodeSettings(
            executor_id=EXECUTOR,
            heartbeat_s=1.0,
            dead_after_s=10.0,
            rules_every_s=900.0,
            cancel_on_stop=False,
            shard=ShardSettings(reconcile_every_ms=200),
        ),
        NodePorts(
            store=Repository(clean_engine, EXECUTOR),
            registry=registry,
            kill_switch=kill_switch,
            nodes=nodes,
            runs=Runs(clean_engine, EXECUTOR),
            work=DurableWork(nodes, registry),
            exchange=exchange,
            clock=clock,
            lease=lease,
            membership=membership,
            changes=Changes(registry, kill_switch, exchange, failpoints),
            upkeep=upkeep,
            failpoints=failpoints,
            is_gone=partial(is_gone, me=membership.process),
            feeder=feeder,
        ),
    )

    async def apply_change(change: Document) -> Document:
        raise NotImplementedError

    async def run_shard(shard: int) -> Document:
        raise NotImplementedError

    async def execute_plan(batch: Document) -> Document:
        with node.executing(batch):
            return await node.submit_plans(batch)

    node.bind(Workflows(run_shard, execute_plan, apply_change))
    shard = await add_symbol(clean_engine)
    return Place(node, exchange, registry, clean_engine, shard, switch, feeder, upkeep)


@pytest.fixture
async def running(place: Place) -> AsyncIterator[asyncio.Task[Document]]:
    await start_workflow(place.engine, place.workflow_id)
    running = place.run()
    await place.until(Side.BUY, ENTRIES)
    yield running
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_run_shard_started_a_second_time_leaves_the_first_alone(
    place: Place, running: asyncio.Task[Document]
) -> None:
    second = place.run()
    await asyncio.wait([second], timeout=10)
    assert second.cancelled()
    assert not running.done()
    assert await value(place.engine, "SELECT epoch FROM shards") == 1

    place.exchange.fill(-1, silent=True)
    await place.until(Side.SELL, {-1})
    assert await value(place.engine, "SELECT epoch FROM shards") == 1
    assert list(place.node.views) == [place.shard]
    assert len(set(place.exchange.sent)) == len(place.exchange.sent) == 4


async def test_run_shard_of_a_removed_symbol_returns_at_once(place: Place) -> None:
    async with place.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE shards SET status = 'removed'")
    assert await place.run() == {"shard": place.shard, "status": "removed"}
    assert place.exchange.sent == []


async def test_run_shard_that_another_node_owns_ends_pending(place: Place) -> None:
    ended = place.run()  # its workflow was never started here
    await asyncio.wait([ended], timeout=10)
    assert ended.cancelled()
    assert place.node.views == {}


async def test_stop_ends_the_loop_and_says_what_rests_on(
    place: Place, running: asyncio.Task[Document]
) -> None:
    async def is_shown() -> bool:
        view = place.node.views.get(place.shard)
        return view is not None and sum(view.live_orders.values()) == 3

    await eventually(is_shown)
    assert await place.node.stop() == 3
    await asyncio.wait([running], timeout=10)
    assert running.cancelled()
    assert set(place.exchange.by_slot(Side.BUY)) == ENTRIES


@pytest.mark.parametrize(
    ("status", "again"),
    [
        pytest.param("ERROR", True, id="failed"),
        pytest.param("PENDING", False, id="running"),
        pytest.param("ENQUEUED", False, id="about to run"),
    ],
)
async def test_watchdog_runs_a_symbol_again_once_and_only_if_nobody_does(
    place: Place, monkeypatch: pytest.MonkeyPatch, status: str, again: bool
) -> None:
    monkeypatch.setattr(node_module, "WATCHDOG_EVERY_S", 0.01)
    await start_workflow(place.engine, place.workflow_id, status=status)
    serving = asyncio.create_task(place.node.serve())

    async def has_looked_often() -> bool:
        return place.registry.rounds >= 5

    await eventually(has_looked_often)
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    successor = [(f"{place.workflow_id}:2", "ENQUEUED")] if again else []
    assert await place.runs() == [(place.workflow_id, status), *successor]


async def test_work_that_a_late_resume_began_twice_is_not_idle_when_one_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "WATCHDOG_EVERY_S", 0.01)
    await start_workflow(place.engine, place.workflow_id)
    resumed: list[str] = []

    class Engine:
        async def resume_workflows_async(self, ids: list[str], *, queue_name: str) -> None:
            resumed.extend(ids)

    monkeypatch.setattr(durable_work_module, "DBOS", Engine())

    async def has_looked_often() -> bool:
        return place.registry.rounds >= 5

    with place.node.busy_with(place.workflow_id):
        with place.node.busy_with(place.workflow_id):
            pass
        serving = asyncio.create_task(place.node.serve())
        await eventually(has_looked_often)
        assert resumed == []

    async def is_found_idle() -> bool:
        return bool(resumed)

    await eventually(is_found_idle)
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    assert set(resumed) == {place.workflow_id}


async def test_run_shard_again_serves_the_symbol_under_its_own_id(place: Place) -> None:
    await start_workflow(place.engine, place.workflow_id, status="ERROR")
    (orphan,) = await place.registry.orphans()
    await place.registry.enqueue(run_shard_again(orphan))
    again = f"{place.workflow_id}:2"
    await start_workflow(place.engine, again)
    running = asyncio.create_task(place.node.run_shard(place.shard, again))
    await place.until(Side.BUY, ENTRIES)
    assert place.exchange.balances["USDT"] == Decimal(1_000_000)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def serving(
    place: Place, running: asyncio.Task[Document], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Task[None]]:
    """The node's periodic tasks beside its running symbol."""
    monkeypatch.setattr(node_module, "WATCHDOG_EVERY_S", 0.01)
    serving = asyncio.create_task(place.node.serve())
    yield serving
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


@pytest.mark.usefixtures("serving")
async def test_symbol_placed_elsewhere_is_released_with_its_orders_at_rest(
    place: Place, running: asyncio.Task[Document]
) -> None:
    await join_node(place.engine, OTHER)
    await execute(place.engine, "UPDATE shards SET placed_on = :other", other=OTHER)
    await asyncio.wait([running], timeout=10)
    assert running.cancelled()
    assert await value(place.engine, "SELECT owner FROM shards") is None
    assert set(place.exchange.by_slot(Side.BUY)) == ENTRIES
    assert place.node.views == {}


async def test_symbol_that_its_owner_has_not_released_is_claimed_once_it_is(place: Place) -> None:
    await join_node(place.engine, OTHER)
    await execute(
        place.engine,
        "UPDATE shards SET owner = :other, placed_on = :me",
        other=OTHER,
        me=EXECUTOR,
    )
    await start_workflow(place.engine, place.workflow_id)
    running = place.run()
    await asyncio.wait([running], timeout=0.5)
    assert not running.done()
    assert place.exchange.sent == []

    await execute(place.engine, "UPDATE shards SET owner = NULL")
    await place.until(Side.BUY, ENTRIES)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.usefixtures("serving")
async def test_node_reaches_the_exchange_by_stream_and_by_fresh_prices(
    place: Place, running: asyncio.Task[Document]
) -> None:
    assert not place.node.reaches_exchange()
    place.exchange.say(StreamRestored())
    await eventually(place.reaches)
    place.exchange.say(StreamLost("cut"))
    await eventually(place.does_not_reach)
    place.exchange.say(StreamRestored())
    await eventually(place.reaches)
    place.exchange.set_price("99.49", "99.51", 0)
    await eventually(place.does_not_reach)
    running.cancel()
    await asyncio.wait([running])
    assert not place.node.reaches_exchange()


async def test_stop_takes_a_switch_back_after_the_symbol_ended_and_while_it_owns_it(
    place: Place, running: asyncio.Task[Document]
) -> None:
    await place.feeder.feed(lambda: [SYMBOL])
    await place.node.stop()
    await asyncio.wait([running], timeout=10)
    assert place.switch.sets == [(SYMBOL, 60), (SYMBOL, 0)]
    assert place.switch.seen == [(False, EXECUTOR), (True, EXECUTOR)]
    assert await value(place.engine, "SELECT owner FROM shards") is None


async def test_stop_leaves_the_switch_of_a_symbol_that_another_node_took(
    place: Place, running: asyncio.Task[Document]
) -> None:
    await place.feeder.feed(lambda: [SYMBOL])
    await join_node(place.engine, OTHER)
    await execute(place.engine, "UPDATE shards SET owner = :other", other=OTHER)
    await place.node.stop()
    await asyncio.wait([running], timeout=10)
    assert running.cancelled()
    assert place.switch.sets == [(SYMBOL, 60)]


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize(
    ("is_added_again", "sets"),
    [
        pytest.param(False, [(SYMBOL, 60), (FOREIGN, 60), (SYMBOL, 0)], id="removed"),
        pytest.param(True, [(SYMBOL, 60), (FOREIGN, 60)], id="added again"),
    ],
)
async def test_switch_of_a_removed_symbol_is_taken_back_unless_it_was_added_again(
    place: Place,
    running: asyncio.Task[Document],
    is_added_again: bool,
    sets: list[tuple[str, int]],
) -> None:
    async def is_removed() -> bool:
        return place.node.views == {}

    await place.feeder.feed(lambda: [SYMBOL])
    place.switch.silent_for = FOREIGN
    feeding = asyncio.create_task(place.feeder.feed(lambda: [SYMBOL, FOREIGN]))
    await execute(place.engine, "UPDATE shards SET desired = 'removed'")
    await eventually(is_removed)
    if is_added_again:
        await add_symbol(place.engine, new_symbol("add:2"))
    place.switch.answers.set()
    await asyncio.wait_for(asyncio.gather(feeding, running), 10)
    assert place.switch.sets == sets


async def test_serving_node_purges_as_was_set_last_and_notes_balances(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged: list[float] = []

    async def purge(engine: AsyncEngine, keep_days: float) -> int:
        purged.append(keep_days)
        return 0

    async def has_purged() -> bool:
        return purged[-1:] == [place.upkeep.keep_history_days]

    async def has_noted() -> bool:
        return not await are_balances_old(place.engine, place.exchange.account, 60)

    monkeypatch.setattr(upkeep_module, "purge_history", purge)
    monkeypatch.setattr(upkeep_module, "PURGE_EVERY_S", 0.01)
    await execute(place.engine, "UPDATE balances SET read_at = read_at - interval '1 hour'")
    assert not await has_noted()
    serving = asyncio.create_task(place.node.serve())
    await eventually(has_purged)
    await eventually(has_noted)
    place.node.take_up(keep_history_days=7.0, cancel_on_stop=False, portfolio=PortfolioLimits())
    assert place.upkeep.keep_history_days == 7
    await eventually(has_purged)
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


@pytest.mark.usefixtures("serving", "running")
@pytest.mark.parametrize("wish", ["kill", "stop"])
async def test_orders_that_are_not_to_rest_are_cancelled_without_room_for_a_decision(
    place: Place, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    async def kill() -> None:
        await KillSwitch(place.engine).engage(reason="test", request_id="kill:1")

    async def nothing_rests() -> bool:
        return place.exchange.open_orders() == []

    async def is_known() -> bool:
        return await value(place.engine, "SELECT count(*) FROM orders WHERE ended_at IS NULL") == 0

    monkeypatch.setattr("orchestrator.last_resort.PATIENCE_MS", 100)
    place.node.take_up(keep_history_days=30.0, cancel_on_stop=True, portfolio=PortfolioLimits())
    decided = await value(place.engine, "SELECT count(*) FROM decisions")
    async with no_room_for(place.engine, "decisions"):
        with capture_logs() as logs:
            wishing = asyncio.create_task(kill() if wish == "kill" else place.node.stop())
            await eventually(nothing_rests)
        assert await value(place.engine, "SELECT count(*) FROM decisions") == decided
        assert await value(place.engine, "SELECT count(*) FROM orders WHERE cancel_requested") == 0
    cancels = [log for log in logs if log["event"] == "cancels_without_commit"]
    assert [(log["symbol"], log["orders"]) for log in cancels] == [(SYMBOL, len(ENTRIES))]
    await wishing
    await eventually(is_known)

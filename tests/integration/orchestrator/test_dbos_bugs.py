"""What DBOS is known to lose, block or do twice does not matter: the real engine and our guard.

Each test first lets DBOS alone show the bug, where it shows, and then our watchdog mend it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from dbos import DBOS
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import Side
from integration.orchestrator import test_node
from integration.orchestrator.test_node import ENTRIES, Place
from integration.store.factories import (
    EXECUTOR,
    ask,
    enqueue,
    execute,
    join_node,
    select,
    start_workflow,
    value,
)
from integration.symbol_manager.harness import eventually
from orchestrator import bootstrap
from orchestrator.durable_work import DurableWork
from orchestrator.takeover import Watchdog, is_gone, this_process
from orchestrator.workflows import (
    APPLY_CHANGE,
    CHANGES_QUEUE,
    Document,
    Handlers,
    Workflows,
    queue_of,
    register,
)
from store.nodes import ExecutorId, Nodes, sessions_of
from store.registry import Registry

place = test_node.place
GONE = ExecutorId("node-0:start-1")
#: DBOS polls its queues four times in it: what it has not done by then it does not do.
LONG_S = 1.0
CHANGE, OTHER_CHANGE = "pause:sim-BTC-USDT:one", "pause:sim-BTC-USDT:two"


@dataclass
class Refusing:
    """Handlers that refuse every change, and note whom they refused."""

    busy: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    #: A change of this id fails as nobody foresaw.
    poison: str = ""

    @contextmanager
    def busy_with(self, workflow_id: str) -> Iterator[None]:
        self.busy[workflow_id] += 1
        try:
            yield
        finally:
            self.busy[workflow_id] -= 1

    async def prepare_change(self, change: Document, workflow_id: str) -> Document:
        self.refused.append(workflow_id)
        if workflow_id == self.poison:
            raise ZeroDivisionError("poison")
        return {"outcome": "refused", "reason": "a test"}

    async def run_shard(self, shard: int, workflow_id: str) -> Document:
        raise NotImplementedError

    def executing(self, batch: Document) -> AbstractContextManager[None]:
        raise NotImplementedError

    async def submit_plans(self, batch: Document) -> Document:
        raise NotImplementedError

    async def record_change(
        self, change: Document, prepared: Document, workflow_id: str
    ) -> Document:
        raise NotImplementedError

    async def await_change(
        self, change: Document, recorded: Document, workflow_id: str
    ) -> Document:
        raise NotImplementedError


@asynccontextmanager
async def launched(dsn: str, handlers: Handlers) -> AsyncIterator[Workflows]:
    """DBOS as a node launches it."""
    DBOS(config=bootstrap._dbos_config(dsn, EXECUTOR))
    workflows = register(handlers)
    queues = [queue_of(EXECUTOR), CHANGES_QUEUE]
    DBOS.listen_queues(queues)
    await asyncio.to_thread(bootstrap._register_queues, dsn, sessions_of(EXECUTOR), queues)
    DBOS.launch()
    try:
        yield workflows
    finally:
        await bootstrap._destroy_dbos()
        DBOS.destroy(destroy_registry=True)


@dataclass
class Engine:
    """A launched DBOS, and the watchdog of the node that it belongs to."""

    engine: AsyncEngine
    handlers: Refusing
    watchdog: Watchdog

    async def status(self, workflow_id: str) -> str:
        return str(
            await value(
                self.engine,
                "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = :id",
                id=workflow_id,
            )
        )

    async def until(self, status: str, workflow_id: str) -> None:
        async def is_so() -> bool:
            return await self.status(workflow_id) == status

        await eventually(is_so)

    async def stays(self, status: str, workflow_id: str) -> None:
        """DBOS alone leaves it at that."""

        async def is_other() -> bool:
            return await self.status(workflow_id) != status

        with pytest.raises(TimeoutError):
            await eventually(is_other, timeout_s=LONG_S)


@pytest.fixture
async def dbos(clean_engine: AsyncEngine, shared_dsn: str) -> AsyncIterator[Engine]:
    await join_node(clean_engine)
    nodes = Nodes(clean_engine)
    work = DurableWork(nodes, Registry(clean_engine))
    watchdog = Watchdog(
        nodes,
        work,
        EXECUTOR,
        partial(is_gone, me=this_process()),
        silent_s=lambda _: 0.0,
        dead_after_s=10.0,
    )
    handlers = Refusing()
    async with launched(shared_dsn, handlers):
        yield Engine(clean_engine, handlers, watchdog)


async def strand(engine: AsyncEngine, workflow_id: str, executor_id: str) -> None:
    """Leave a change as if the executor had taken it from its queue and nothing came after."""
    aside = "aside"  # nobody polls that queue
    await enqueue(engine, APPLY_CHANGE, workflow_id, aside)
    await start_workflow(engine, workflow_id, executor_id)
    await execute(
        engine,
        "UPDATE dbos.workflow_status SET queue_name = :queue WHERE workflow_uuid = :id",
        queue=CHANGES_QUEUE,
        id=workflow_id,
    )


async def test_change_whose_start_was_lost_with_postgres_is_run_by_the_watchdog(
    dbos: Engine,
) -> None:
    """DBOS #716: a restart of Postgres in between leaves work PENDING for ever."""
    await strand(dbos.engine, CHANGE, EXECUTOR)
    await dbos.stays("PENDING", CHANGE)
    assert dbos.handlers.refused == []

    await dbos.watchdog.restart_idle(+dbos.handlers.busy)
    await dbos.stays("PENDING", CHANGE)  # what was just taken is not idle yet
    await dbos.watchdog.restart_idle(+dbos.handlers.busy)

    await dbos.until("SUCCESS", CHANGE)
    assert dbos.handlers.refused == [CHANGE]


async def test_change_of_an_executor_that_dies_after_our_launch_is_taken_over(
    dbos: Engine,
) -> None:
    """DBOS #804: it recovers at launch and never again."""
    await strand(dbos.engine, CHANGE, GONE)
    await dbos.stays("PENDING", CHANGE)

    await dbos.watchdog.make_rounds(trusts_silence=False)

    await dbos.until("SUCCESS", CHANGE)
    assert dbos.handlers.refused == [CHANGE]


async def test_change_that_is_stuck_keeps_no_other_waiting(dbos: Engine) -> None:
    """DBOS #805: what is PENDING blocks a queue of concurrency 1; ours have no such bound."""
    await strand(dbos.engine, CHANGE, GONE)
    await ask(dbos.engine, OTHER_CHANGE)

    await dbos.until("SUCCESS", OTHER_CHANGE)

    assert await dbos.status(CHANGE) == "PENDING"
    bounds = await select(dbos.engine, "SELECT concurrency, worker_concurrency FROM dbos.queues")
    assert {tuple(row) for row in bounds} == {(None, None)}


async def test_change_that_fails_unforeseen_is_tried_once_and_the_next_is_served(
    dbos: Engine,
) -> None:
    dbos.handlers.poison = CHANGE
    await ask(dbos.engine, CHANGE)
    await dbos.until("ERROR", CHANGE)
    await dbos.watchdog.make_rounds(trusts_silence=False)
    for _ in range(2):
        await dbos.watchdog.restart_idle(+dbos.handlers.busy)
    await ask(dbos.engine, OTHER_CHANGE)
    await dbos.until("SUCCESS", OTHER_CHANGE)
    assert dbos.handlers.refused == [CHANGE, OTHER_CHANGE]


async def test_shard_resumed_while_it_runs_is_not_run_twice(place: Place, shared_dsn: str) -> None:
    """DBOS #742: a recovery that comes late executes what runs a second time."""
    async with launched(shared_dsn, place.node) as workflows:
        place.node.bind(workflows)
        for _ in range(3):
            await DBOS.resume_workflows_async([place.workflow_id], queue_name=queue_of(EXECUTOR))
            await place.until(Side.BUY, ENTRIES)

            async def is_taken() -> bool:
                return await place.runs() == [(place.workflow_id, "PENDING")]

            await eventually(is_taken)
        place.exchange.fill(-1, silent=True)
        await place.until(Side.SELL, {-1})

        assert await value(place.engine, "SELECT epoch FROM shards") == 1
        assert list(place.node.views) == [place.shard]
        assert len(set(place.exchange.sent)) == len(place.exchange.sent) == 4
        await place.node.stop()

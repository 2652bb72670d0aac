"""A node is taken for dead only on evidence, and its work is handed on before it is forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import StoreUnavailable
from integration.store.factories import (
    EXECUTOR,
    add_symbol,
    enqueue,
    execute,
    join_node,
    new_symbol,
    select,
    start_workflow,
    value,
)
from orchestrator import durable_work
from orchestrator.durable_work import DurableWork
from orchestrator.takeover import Watchdog, is_gone, this_process
from orchestrator.workflows import queue_of, run_shard_id
from store.engine import TRANSACTION_TIMEOUT_S, create_engine, transaction
from store.nodes import ROUND_LOCK, ExecutorId, Member, Nodes, sessions_of
from store.registry import Registry
from support.system import eventually

ME = this_process()
DEAD_AFTER_S = 10.0
OTHER = ExecutorId("node-2:start-1")


@dataclass
class Handed:
    """What was asked of the workflow engine."""

    resumed: dict[str, list[str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    is_broken: bool = False

    async def resume_workflows_async(self, ids: Sequence[str], *, queue_name: str) -> None:
        if self.is_broken:
            raise ConnectionError
        self.resumed[queue_name] = list(ids)

    async def cancel_workflows_async(self, ids: Sequence[str]) -> None:
        self.cancelled += ids

    async def delete_queue_async(self, name: str) -> None:
        self.dropped.append(name)


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    handed = Handed()
    monkeypatch.setattr(durable_work, "DBOS", handed)
    return handed


@pytest.fixture
def zombie() -> Iterator[tuple[int, int]]:
    """Pid and start time of a process of ours that ended and was not waited for."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        started = started_ticks(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        yield child.pid, started


def started_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def watchdog(engine: AsyncEngine, silent_s: float = 0.0) -> Watchdog:
    return watchdog_of(Nodes(engine), engine, silent_s)


def watchdog_of(nodes: Nodes, engine: AsyncEngine, silent_s: float = 0.0) -> Watchdog:
    """One to which every node has been silent for so long."""
    work = DurableWork(nodes, Registry(engine))
    return Watchdog(
        nodes, work, EXECUTOR, partial(is_gone, me=ME), lambda _: silent_s, DEAD_AFTER_S
    )


async def run(engine: AsyncEngine, *, silent_s: float = 0.0, trusts_silence: bool = True) -> None:
    await watchdog(engine, silent_s).make_rounds(trusts_silence=trusts_silence)


async def nodes(engine: AsyncEngine) -> list[str]:
    rows = await select(engine, "SELECT executor_id FROM nodes ORDER BY executor_id")
    return [row.executor_id for row in rows]


HERE = {"host": ME.host, "boot_id": ME.boot_id, "pid": ME.pid, "pid_started": ME.pid_started}


@pytest.mark.parametrize(
    ("node", "silent_s", "is_dead"),
    [
        pytest.param({"host": "elsewhere"}, 9.0, False, id="elsewhere, heard of"),
        pytest.param({"host": "elsewhere"}, 11.0, True, id="elsewhere, silent"),
        pytest.param(HERE, 9.0, False, id="here, alive"),
        pytest.param(HERE, 11.0, True, id="here, stopped"),
        pytest.param(HERE | {"boot_id": "b"}, 9.0, False, id="another machine of this name"),
        pytest.param(HERE | {"boot_id": "b"}, 11.0, True, id="of this name, silent"),
        pytest.param(HERE | {"pid_started": 1}, 0.0, True, id="here, its pid is another's now"),
        pytest.param(HERE | {"pid": 2**22 + 1}, 0.0, True, id="here, no such process"),
    ],
)
async def test_watchdog_declares_dead_on_evidence_only(
    clean_engine: AsyncEngine, handed: Handed, node: dict[str, Any], silent_s: float, is_dead: bool
) -> None:
    await join_node(clean_engine, EXECUTOR, **HERE)
    await join_node(clean_engine, OTHER, **node)
    await run(clean_engine, silent_s=silent_s)
    assert await nodes(clean_engine) == ([EXECUTOR] if is_dead else [EXECUTOR, OTHER])


async def test_watchdog_zombie_of_this_host_is_dead(
    clean_engine: AsyncEngine, handed: Handed, zombie: tuple[int, int]
) -> None:
    pid, started = zombie
    await join_node(clean_engine, OTHER, **HERE | {"pid": pid, "pid_started": started})
    await run(clean_engine)
    assert await nodes(clean_engine) == []


async def test_watchdog_never_declares_itself_dead(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    """After an outage of Postgres our own heartbeat may be the late one."""
    await join_node(clean_engine, EXECUTOR, **HERE)
    await run(clean_engine, silent_s=3_600.0)
    assert await nodes(clean_engine) == [EXECUTOR]


class NodesOfTheStopped(Nodes):
    """A process is stopped after it has looked; meanwhile the one it found silent wakes."""

    async def members(self) -> Sequence[Member]:
        found = await super().members()
        await self.beat(OTHER, reaches_exchange=True, account="sim", told_pause_s=0.0)
        return found


async def test_watchdog_leaves_a_node_its_lease_that_was_heard_of_since_the_look(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await join_node(clean_engine, EXECUTOR, **HERE)
    await join_node(clean_engine, OTHER, host="elsewhere")
    late = watchdog_of(NodesOfTheStopped(clean_engine), clean_engine, silent_s=3_600.0)
    await late.make_rounds(trusts_silence=True)
    assert await nodes(clean_engine) == [EXECUTOR, OTHER]


async def test_watchdog_that_was_cut_off_itself_trusts_no_silence(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await join_node(clean_engine, EXECUTOR, **HERE)
    await join_node(clean_engine, OTHER, host="elsewhere")
    await run(clean_engine, silent_s=3_600.0, trusts_silence=False)
    assert await nodes(clean_engine) == [EXECUTOR, OTHER]


@dataclass
class Running:
    """A symbol that the other node runs."""

    shard: int
    workflow_id: str


@pytest.fixture
async def running(clean_engine: AsyncEngine) -> Running:
    shard = await add_symbol(clean_engine)
    workflow_id = run_shard_id(new_symbol().key, shard)
    await start_workflow(clean_engine, workflow_id, OTHER)
    await execute(clean_engine, "UPDATE shards SET owner = :other, placed_on = :other", other=OTHER)
    await join_node(clean_engine, EXECUTOR, **HERE)
    return Running(shard, workflow_id)


async def test_watchdog_places_what_a_dead_node_ran_and_resumes_its_changes_only(
    clean_engine: AsyncEngine, handed: Handed, running: Running
) -> None:
    for name, workflow_id in (
        ("apply_change", "pause:1"),
        ("execute_plan", "sim-BTC-USDT:1:1"),
        ("apply_change", "done:1"),
        ("apply_change", "waiting:1"),
    ):
        await enqueue(clean_engine, name, workflow_id)
    for workflow_id in ("pause:1", "sim-BTC-USDT:1:1"):
        await start_workflow(clean_engine, workflow_id, OTHER)
    await start_workflow(clean_engine, "done:1", OTHER, status="SUCCESS")
    await join_node(clean_engine, OTHER, host="elsewhere")

    await run(clean_engine, silent_s=11.0)

    assert handed.resumed == {
        "changes": ["pause:1"],
        queue_of(EXECUTOR): [running.workflow_id],
    }
    assert handed.cancelled == ["sim-BTC-USDT:1:1"]
    assert await nodes(clean_engine) == [EXECUTOR]
    assert await value(clean_engine, "SELECT placed_on FROM shards") == EXECUTOR


async def test_watchdog_has_the_workflow_of_a_removed_symbol_ended_whose_node_died_right_after(
    clean_engine: AsyncEngine, handed: Handed, running: Running
) -> None:
    """Nobody places it any more: whoever takes it says that the symbol is removed."""
    await execute(clean_engine, "UPDATE shards SET status = 'removed', owner = NULL")
    await run(clean_engine)
    assert handed.resumed == {"changes": [running.workflow_id]}


@pytest.mark.parametrize(
    ("queue", "is_left"),
    [("shards", True), (queue_of(OTHER), True), ("changes", False), (queue_of(EXECUTOR), False)],
)
async def test_watchdog_has_the_workflow_of_a_removed_symbol_ended_that_waits_where_no_node_is(
    clean_engine: AsyncEngine, handed: Handed, running: Running, queue: str, *, is_left: bool
) -> None:
    """A process that lost the symbol without knowing it may remove it while its workflow waits."""
    await execute(clean_engine, "UPDATE shards SET status = 'removed', owner = NULL")
    await execute(
        clean_engine,
        "UPDATE dbos.workflow_status SET status = 'ENQUEUED', queue_name = :queue",
        queue=queue,
    )
    await run(clean_engine)
    assert handed.resumed == ({"changes": [running.workflow_id]} if is_left else {})


async def test_watchdog_leaves_the_work_of_live_nodes_alone(
    clean_engine: AsyncEngine, handed: Handed, running: Running
) -> None:
    await enqueue(clean_engine, "apply_change", "pause:1")
    await start_workflow(clean_engine, "pause:1", OTHER)
    await join_node(clean_engine, OTHER, host="elsewhere")
    await run(clean_engine)
    assert handed == Handed()


async def test_watchdog_finds_work_whose_node_is_gone_already(
    clean_engine: AsyncEngine, handed: Handed, running: Running
) -> None:
    await enqueue(clean_engine, "apply_change", "pause:1")
    await start_workflow(clean_engine, "pause:1", "node-0:long-ago")
    await run(clean_engine)
    assert handed.resumed == {
        "changes": ["pause:1"],
        queue_of(EXECUTOR): [running.workflow_id],
    }


async def test_watchdog_that_fails_leaves_everything_to_be_found_again(
    clean_engine: AsyncEngine, handed: Handed, running: Running
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    handed.is_broken = True
    with pytest.raises(ConnectionError):
        await run(clean_engine, silent_s=11.0)

    handed.is_broken = False
    await run(clean_engine)
    assert handed.resumed == {queue_of(EXECUTOR): [running.workflow_id]}


async def test_watchdog_moves_a_symbol_only_after_its_owner_released_it(
    clean_engine: AsyncEngine, handed: Handed, running: Running
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    assert await Nodes(clean_engine).drain("node-2", is_draining=True) == [OTHER]
    await run(clean_engine)
    assert await value(clean_engine, "SELECT placed_on FROM shards") == EXECUTOR
    assert handed == Handed()

    await execute(clean_engine, "UPDATE shards SET owner = NULL")
    await run(clean_engine)
    assert handed.resumed == {queue_of(EXECUTOR): [running.workflow_id]}


async def test_watchdog_when_all_nodes_drain_leaves_a_symbol_on_the_move_to_its_owner(
    clean_engine: AsyncEngine, handed: Handed, running: Running
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    await execute(clean_engine, "UPDATE nodes SET is_draining = true")
    await execute(clean_engine, "UPDATE shards SET placed_on = :me", me=EXECUTOR)
    await run(clean_engine)
    assert await value(clean_engine, "SELECT placed_on FROM shards") == OTHER
    assert handed == Handed()


async def test_watchdog_while_another_node_makes_its_rounds_removes_nobody(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    async with Nodes(clean_engine).only_one() as is_only:
        assert is_only
        await run(clean_engine, silent_s=11.0)
        assert await nodes(clean_engine) == [OTHER]
    await run(clean_engine, silent_s=11.0)
    assert await nodes(clean_engine) == []


@contextmanager
def held(dsn: str, statement: str, begun: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction in which the other node was stopped: idle, or as half of a batch had left."""
    connection = psycopg.connect(dsn, application_name=sessions_of(OTHER))
    try:
        connection.execute(statement)
        if begun != "nothing":
            connection.pgconn.enter_pipeline_mode()
            if begun == "close":
                connection.pgconn.send_close_prepared(b"")
            else:
                connection.pgconn.send_prepare(b"", b"SELECT 1")
            connection.pgconn.flush()
        yield connection
    finally:
        connection.close()


SHARDS_HELD = "SELECT FROM shards FOR UPDATE"
HEARTBEAT_BEGUN = "UPDATE nodes SET heartbeat_at = clock_timestamp()"
ROUND_BEGUN = f"SELECT pg_advisory_xact_lock({ROUND_LOCK})"


@pytest.mark.parametrize("begun", ["nothing", "close", "prepare"])
async def test_watchdog_takes_from_a_silent_node_what_it_was_stopped_in(
    clean_engine: AsyncEngine, shared_dsn: str, handed: Handed, running: Running, begun: str
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    with held(shared_dsn, SHARDS_HELD, begun):
        await run(clean_engine, silent_s=11.0)
        assert await value(clean_engine, "SELECT placed_on FROM shards") == EXECUTOR


async def test_watchdog_whose_shards_wait_for_what_a_silent_node_holds_makes_its_rounds(
    clean_engine: AsyncEngine, shared_dsn: str, handed: Handed, running: Running
) -> None:
    """They take every connection of their pool: the watchdog has another."""
    await join_node(clean_engine, OTHER, host="elsewhere")
    watching = create_engine(shared_dsn, pool_size=2)

    async def wait_for_the_row() -> None:
        with suppress(StoreUnavailable):
            async with transaction(clean_engine) as connection:
                await connection.execute(text(SHARDS_HELD))

    with held(shared_dsn, SHARDS_HELD, "close"):
        waiting = [asyncio.create_task(wait_for_the_row()) for _ in range(12)]
        await asyncio.sleep(0.1)
        await run(watching, silent_s=11.0)
        assert await value(watching, "SELECT placed_on FROM shards") == EXECUTOR
        await asyncio.gather(*waiting)
    await watching.dispose()


async def test_watchdog_ends_whoever_is_in_a_transaction_for_too_long(
    clean_engine: AsyncEngine,
    shared_dsn: str,
    handed: Handed,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that was taken for dead, woke, and was stopped again: it is no node any more."""
    monkeypatch.setattr("store.nodes.TRANSACTION_TIMEOUT_S", 0.2)
    with held(shared_dsn, SHARDS_HELD, "close"):
        await asyncio.sleep(0.3)
        await run(clean_engine)
        assert await value(clean_engine, "SELECT placed_on FROM shards") == EXECUTOR


@pytest.mark.parametrize("name", ["gridkeeper", "gridkeeper-reports", "pg_dump"])
async def test_watchdog_leaves_long_transactions_that_are_of_no_node(
    clean_engine: AsyncEngine,
    shared_dsn: str,
    handed: Handed,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr("store.nodes.TRANSACTION_TIMEOUT_S", 0.2)
    with psycopg.connect(shared_dsn, application_name=name) as connection:
        connection.execute("SELECT 1")
        await asyncio.sleep(0.3)
        await run(clean_engine)
        connection.execute("SELECT 1")


async def test_watchdog_that_may_not_end_sessions_removes_the_node_all_the_same(
    shared_dsn: str, clean_engine: AsyncEngine, handed: Handed
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")

    class Forbidden(Nodes):
        async def end_sessions(self, lost: Sequence[Member]) -> Sequence[str]:
            async with transaction(clean_engine) as connection:
                await connection.execute(text("CREATE ROLE nobody_at_all"))
                await connection.execute(text("SET LOCAL ROLE nobody_at_all"))
                await connection.execute(text("SELECT 1 FROM shards"))
            return []

    await watchdog_of(Forbidden(clean_engine), clean_engine, 11.0).make_rounds(trusts_silence=True)
    assert await nodes(clean_engine) == []


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(HEARTBEAT_BEGUN, id="heartbeat"),
        pytest.param(ROUND_BEGUN, id="round"),
    ],
)
async def test_watchdog_removes_a_node_that_was_stopped_in_its_heartbeat_or_round(
    clean_engine: AsyncEngine, shared_dsn: str, handed: Handed, statement: str
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    with held(shared_dsn, statement, "close"):

        async def is_removed() -> bool:
            await run(clean_engine, silent_s=11.0)
            return not await nodes(clean_engine)

        await eventually(is_removed, "Postgres has taken its locks back")


async def test_watchdog_leaves_the_transactions_of_a_node_that_is_heard_of(
    clean_engine: AsyncEngine, shared_dsn: str, handed: Handed
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    with held(shared_dsn, "SELECT 1", "nothing") as connection:
        await run(clean_engine, silent_s=9.0)
        connection.execute("SELECT 1")


class HeardOfMeanwhile(Nodes):
    """All say that they live right after they were read."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._engine = engine

    async def members(self) -> Sequence[Member]:
        found = await super().members()
        await execute(self._engine, "UPDATE nodes SET heartbeat_at = clock_timestamp()")
        return found


async def test_watchdog_leaves_the_transactions_of_a_node_that_is_heard_of_meanwhile(
    clean_engine: AsyncEngine, shared_dsn: str, handed: Handed
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere")
    watching = watchdog_of(HeardOfMeanwhile(clean_engine), clean_engine, silent_s=11.0)
    with held(shared_dsn, "SELECT 1", "nothing") as connection:
        await watching.make_rounds(trusts_silence=True)
        connection.execute("SELECT 1")
    assert await nodes(clean_engine) == [OTHER]


def test_sessions_of_nodes_of_one_long_name_differ() -> None:
    """Postgres cuts names off that are longer than 63 characters."""
    names = {sessions_of(ExecutorId(f"{'x' * 100}-{uuid.uuid4()}"))[:63] for _ in range(2)}
    assert len(names) == 2


async def test_watchdog_drops_the_queues_of_nodes_that_are_gone(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await join_node(clean_engine, EXECUTOR, **HERE)
    for queue in ("changes", queue_of(EXECUTOR), queue_of(OTHER)):
        await execute(
            clean_engine,
            "INSERT INTO dbos.queues (name) VALUES (:name) ON CONFLICT DO NOTHING",
            name=queue,
        )
    await run(clean_engine)
    assert handed.dropped == [queue_of(OTHER)]


class JoinedMeanwhile(Nodes):
    """Another node joins, then registers its queue, right after the round has read the members."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._engine = engine
        self._is_round = False

    @asynccontextmanager
    async def only_one(self) -> AsyncIterator[bool]:
        async with super().only_one() as self._is_round:
            yield self._is_round

    async def members(self) -> Sequence[Member]:
        found = await super().members()
        if not self._is_round:
            return found
        await join_node(self._engine, OTHER)
        await execute(
            self._engine, "INSERT INTO dbos.queues (name) VALUES (:name)", name=queue_of(OTHER)
        )
        return found


async def test_watchdog_leaves_the_queue_of_a_node_that_joins_meanwhile(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await join_node(clean_engine, EXECUTOR, **HERE)
    await execute(clean_engine, "DELETE FROM dbos.queues")
    watching = watchdog_of(JoinedMeanwhile(clean_engine), clean_engine)
    await watching.make_rounds(trusts_silence=True)
    assert await nodes(clean_engine) == [EXECUTOR, OTHER]
    assert handed.dropped == []


async def test_restart_idle_queues_again_what_was_idle_twice(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    """As an outage of Postgres leaves it between taking a workflow and running it."""
    await enqueue(clean_engine, "apply_change", "pause:1")
    await enqueue(clean_engine, "run_shard", "run_shard:sim-BTC-USDT:1")
    await enqueue(clean_engine, "apply_change", "busy:1")
    await enqueue(clean_engine, "apply_change", "others:1")
    for workflow_id in ("pause:1", "run_shard:sim-BTC-USDT:1", "busy:1"):
        await start_workflow(clean_engine, workflow_id, EXECUTOR)
    await start_workflow(clean_engine, "others:1", OTHER)
    eye = watchdog(clean_engine)
    await eye.restart_idle({"busy:1"})
    assert handed == Handed()
    await eye.restart_idle({"busy:1"})
    assert handed.resumed == {
        "changes": ["pause:1"],
        queue_of(EXECUTOR): ["run_shard:sim-BTC-USDT:1"],
    }


ROUND = """
import asyncio, sys
from store.engine import create_engine
from store.nodes import Nodes

async def hold():
    async with Nodes(create_engine(sys.argv[1])).only_one() as is_mine:
        print(is_mine, flush=True)
        await asyncio.sleep(600)

asyncio.run(hold())
"""


async def test_round_of_a_stopped_process_keeps_others_from_theirs_for_a_while_only(
    engine: AsyncEngine, postgres_dsn: str
) -> None:
    stopped = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ROUND, postgres_dsn), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert stopped.stdout is not None
        assert await stopped.stdout.readline() == b"True\n"
        stopped.send_signal(signal.SIGSTOP)

        async def is_mine() -> bool:
            async with Nodes(engine).only_one() as mine:
                return mine

        assert not await is_mine()
        await eventually(is_mine, "its session is ended", 3 * TRANSACTION_TIMEOUT_S)
    finally:
        stopped.kill()
        await stopped.wait()


async def test_transaction_that_is_cancelled_while_postgres_is_away_is_cancelled(
    clean_engine: AsyncEngine,
) -> None:
    """Whoever heard of its rollback's failure instead would try again, and never end."""
    pids: asyncio.Queue[int] = asyncio.Queue()

    async def hold() -> None:
        async with transaction(clean_engine) as connection:
            found = await connection.execute(text("SELECT pg_backend_pid()"))
            pids.put_nowait(found.scalar_one())
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    pid = await pids.get()
    assert await value(clean_engine, "SELECT pg_terminate_backend(:pid, 10000)", pid=pid)
    holding.cancel()
    await asyncio.wait([holding], timeout=10)
    assert holding.cancelled()


async def test_transaction_of_a_task_that_was_cancelled_before_is_unavailable(
    clean_engine: AsyncEngine,
) -> None:
    """Who cleans up hears of each failure, and goes on."""
    heard: list[str] = []

    async def clean_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            try:
                async with transaction(clean_engine) as connection:
                    await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            except StoreUnavailable as error:
                heard.append(str(error))

    cleaning = asyncio.create_task(clean_up())
    await asyncio.sleep(0)
    cleaning.cancel()
    await asyncio.wait([cleaning], timeout=10)
    assert cleaning.cancelled()
    assert len(heard) == 1


async def test_transaction_left_idle_is_ended_and_unavailable(engine: AsyncEngine) -> None:
    async def leave_idle() -> None:
        async with transaction(engine) as connection:
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
            await asyncio.sleep(0.5)
            await connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        await leave_idle()

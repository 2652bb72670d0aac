"""A node is taken for dead only on evidence, and its work is handed on before it is forgotten."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.store.factories import (
    EXECUTOR,
    add_symbol,
    enqueue,
    join_node,
    new_symbol,
    select,
    start_workflow,
)
from orchestrator import takeover
from orchestrator.takeover import Process, take_over
from orchestrator.workflows import run_shard_id

ME = Process.current()
DEAD_AFTER_S = 10.0
OTHER = "node-2:start-1"


@dataclass
class Handed:
    """What was asked of the workflow engine."""

    resumed: dict[str, list[str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    is_broken: bool = False

    async def resume_workflows_async(self, ids: Sequence[str], *, queue_name: str) -> None:
        if self.is_broken:
            raise ConnectionError
        self.resumed[queue_name] = list(ids)

    async def cancel_workflows_async(self, ids: Sequence[str]) -> None:
        self.cancelled += ids


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    handed = Handed()
    monkeypatch.setattr(takeover, "DBOS", handed)
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


async def run(engine: AsyncEngine) -> list[str]:
    return await take_over(engine, EXECUTOR, ME, DEAD_AFTER_S)


async def nodes(engine: AsyncEngine) -> list[str]:
    rows = await select(engine, "SELECT executor_id FROM nodes ORDER BY executor_id")
    return [row.executor_id for row in rows]


HERE = {"host": ME.host, "boot_id": ME.boot_id, "pid": ME.pid, "pid_started": ME.pid_started}


@pytest.mark.parametrize(
    ("node", "is_dead"),
    [
        pytest.param({"host": "elsewhere", "silent_s": 9.0}, False, id="elsewhere, heard of"),
        pytest.param({"host": "elsewhere", "silent_s": 11.0}, True, id="elsewhere, silent"),
        pytest.param(HERE, False, id="here, alive"),
        pytest.param(HERE | {"silent_s": 11.0}, True, id="here, stopped"),
        pytest.param(HERE | {"boot_id": "before"}, True, id="here, before a reboot"),
        pytest.param(HERE | {"pid_started": 1}, True, id="here, its pid is another's now"),
        pytest.param(HERE | {"pid": 2**22 + 1}, True, id="here, no such process"),
    ],
)
async def test_take_over_declares_dead_on_evidence_only(
    clean_engine: AsyncEngine, handed: Handed, node: dict[str, Any], is_dead: bool
) -> None:
    await join_node(clean_engine, EXECUTOR, **HERE)
    await join_node(clean_engine, OTHER, **node)
    await run(clean_engine)
    assert await nodes(clean_engine) == ([EXECUTOR] if is_dead else [EXECUTOR, OTHER])


async def test_take_over_zombie_of_this_host_is_dead(
    clean_engine: AsyncEngine, handed: Handed, zombie: tuple[int, int]
) -> None:
    pid, started = zombie
    await join_node(clean_engine, OTHER, **HERE | {"pid": pid, "pid_started": started})
    await run(clean_engine)
    assert await nodes(clean_engine) == []


async def test_take_over_never_declares_itself_dead(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    """After an outage of Postgres our own heartbeat may be the late one."""
    await join_node(clean_engine, EXECUTOR, **HERE, silent_s=3_600.0)
    await run(clean_engine)
    assert await nodes(clean_engine) == [EXECUTOR]


async def test_take_over_resumes_shards_and_changes_and_cancels_plans(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    shard = await add_symbol(clean_engine)
    shard_id = run_shard_id(new_symbol().key, shard)
    await enqueue(clean_engine, "apply_change", "pause:1")
    await enqueue(clean_engine, "execute_plan", "sim-BTC-USDT:1:1")
    await enqueue(clean_engine, "apply_change", "done:1")
    await enqueue(clean_engine, "apply_change", "waiting:1")
    for workflow_id in (shard_id, "pause:1", "sim-BTC-USDT:1:1"):
        await start_workflow(clean_engine, workflow_id, OTHER)
    await start_workflow(clean_engine, "done:1", OTHER, status="SUCCESS")
    await join_node(clean_engine, OTHER, host="elsewhere", silent_s=11.0)

    assert await run(clean_engine) == [shard_id, "pause:1"]
    assert handed.resumed == {"shards": [shard_id], "changes": ["pause:1"]}
    assert handed.cancelled == ["sim-BTC-USDT:1:1"]
    assert await nodes(clean_engine) == []


async def test_take_over_leaves_the_work_of_live_nodes_alone(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await enqueue(clean_engine, "apply_change", "pause:1")
    await start_workflow(clean_engine, "pause:1", OTHER)
    await join_node(clean_engine, OTHER, host="elsewhere")
    assert await run(clean_engine) == []
    assert handed == Handed()


async def test_take_over_finds_work_whose_node_is_gone_already(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await enqueue(clean_engine, "apply_change", "pause:1")
    await start_workflow(clean_engine, "pause:1", "node-0:long-ago")
    assert await run(clean_engine) == ["pause:1"]


async def test_take_over_that_fails_leaves_the_dead_node_to_be_found_again(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await enqueue(clean_engine, "apply_change", "pause:1")
    await start_workflow(clean_engine, "pause:1", OTHER)
    await join_node(clean_engine, OTHER, host="elsewhere", silent_s=11.0)
    handed.is_broken = True
    with pytest.raises(ConnectionError):
        await run(clean_engine)
    assert await nodes(clean_engine) == [OTHER]

    handed.is_broken = False
    assert await run(clean_engine) == ["pause:1"]
    assert await nodes(clean_engine) == []


async def test_take_over_while_another_node_does_it_does_nothing(
    clean_engine: AsyncEngine, handed: Handed
) -> None:
    await join_node(clean_engine, OTHER, host="elsewhere", silent_s=11.0)
    async with clean_engine.begin() as connection:
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": takeover._ADVISORY_LOCK}
        )
        assert await run(clean_engine) == []
        assert await nodes(clean_engine) == [OTHER]
    await run(clean_engine)
    assert await nodes(clean_engine) == []

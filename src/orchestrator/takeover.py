"""Find nodes that are gone and hand their workflows on: level-triggered, safe to run any time.

A row of `nodes` is a node's permission to act. A dead node's row is deleted only after its work was
handed on, so that a crash in between leaves everything to be found again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from dbos import DBOS
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orchestrator.workflows import (
    APPLY_CHANGE,
    CHANGES_QUEUE,
    EXECUTE_PLAN,
    RUN_SHARD,
    SHARDS_QUEUE,
)
from store.engine import transaction

#: Serializes take-overs between nodes; any constant that nobody else uses.
_ADVISORY_LOCK = 7_305_512_640_918

log = structlog.get_logger("orchestrator")

_STRANDED = text("""
    SELECT workflow_uuid, name FROM dbos.workflow_status
     WHERE status = 'PENDING' AND name IN ('run_shard', 'execute_plan', 'apply_change')
       AND NOT EXISTS (SELECT FROM nodes
                        WHERE nodes.executor_id = workflow_status.executor_id
                          AND nodes.executor_id <> ALL (:dead))
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Who a process is, such that no later process can be taken for it."""

    host: str
    boot_id: str
    pid: int
    pid_started: int

    @staticmethod
    def current() -> Process:
        pid = os.getpid()
        return Process(
            # A pid means something only inside its namespace: another one is another host.
            host=f"{os.uname().nodename}/{Path('/proc/self/ns/pid').readlink()}",
            boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            pid=pid,
            pid_started=_started_ticks(pid) or 0,
        )


async def take_over(
    engine: AsyncEngine, executor_id: str, me: Process, dead_after_s: float
) -> list[str]:
    """Hand on what dead nodes left; the ids of the workflows that go on.

    Parameters
    ----------
    dead_after_s : float
        Silence after which a node that cannot be looked at counts as dead: its lease, the
        venue's request expiry and the clock skew together.
    """
    async with transaction(engine) as connection:
        locked = await connection.execute(
            text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
        )
        if not locked.scalar_one():
            return []
        dead = await _dead_nodes(connection, executor_id, me, dead_after_s)
        stranded = (await connection.execute(_STRANDED, {"dead": dead})).all()
        resumed = await _hand_on(stranded)
        if dead:
            await connection.execute(
                text("DELETE FROM nodes WHERE executor_id = ANY (:dead)"), {"dead": dead}
            )
            log.info("took_over", dead=dead, resumed=resumed)
        return resumed


async def _hand_on(stranded: Sequence[Row[Any]]) -> list[str]:
    """Stale plans are cancelled, never resumed: reconciliation settles their intents."""
    by_name: dict[str, list[str]] = {RUN_SHARD: [], EXECUTE_PLAN: [], APPLY_CHANGE: []}
    for row in stranded:
        by_name[row.name].append(row.workflow_uuid)
    if by_name[EXECUTE_PLAN]:
        await DBOS.cancel_workflows_async(by_name[EXECUTE_PLAN])
    for name, queue in ((RUN_SHARD, SHARDS_QUEUE), (APPLY_CHANGE, CHANGES_QUEUE)):
        if by_name[name]:
            await DBOS.resume_workflows_async(by_name[name], queue_name=queue)
    return by_name[RUN_SHARD] + by_name[APPLY_CHANGE]


async def _dead_nodes(
    connection: AsyncConnection, executor_id: str, me: Process, dead_after_s: float
) -> list[str]:
    """Never ourselves: after an outage of Postgres our own heartbeat may be the late one."""
    nodes = await connection.execute(
        text("""
            SELECT executor_id, host, boot_id, pid, pid_started,
                   heartbeat_at < clock_timestamp() - make_interval(secs => :dead_after) AS silent
              FROM nodes WHERE executor_id <> :me
        """),
        {"dead_after": dead_after_s, "me": executor_id},
    )
    return [node.executor_id for node in nodes if node.silent or _is_gone(node, me)]


def _is_gone(node: Row[Any], me: Process) -> bool:
    """Whether a process of this host is known to have ended; of other hosts nothing is known."""
    if node.host != me.host:
        return False
    return bool(node.boot_id != me.boot_id or _started_ticks(node.pid) != node.pid_started)


def _started_ticks(pid: int) -> int | None:
    """Kernel start time of a live process, in clock ticks since boot; zombies do not count."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])

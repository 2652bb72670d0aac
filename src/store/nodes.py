"""The nodes, and which of them each symbol is to run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import POSTGRES_SESSIONS, TRANSACTION_TIMEOUT_S, transaction

ExecutorId = NewType("ExecutorId", str)

#: An executor's id ends in a UUID. Postgres cuts names off that are longer than 63 characters.
_UUID_LENGTH = 36

#: Serializes rounds of the watchdog between nodes; any constant that nobody else uses.
ROUND_LOCK = 7_305_512_640_918


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Who a process is, such that no later process can be taken for it."""

    host: str
    boot_id: str
    pid: int
    pid_started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node that joined and did not leave; it may be dead."""

    executor_id: ExecutorId
    name: str
    process: Process
    #: By Postgres' clock, which may be set: another stamp is news of it, whatever it says.
    heartbeat_at: datetime
    #: Symbols it may run.
    capacity: int
    is_draining: bool
    #: Seconds for which its heartbeats have not reached the exchange; `None` if they never did.
    exchange_lost_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heartbeat learns."""

    #: All that joined and did not leave, this one included.
    members: Sequence[Member]
    #: For how long yet no node of the account may ask the venue anything.
    paused_for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A symbol's place: where it is to run, where it runs, and where its workflow is."""

    shard: int
    placed_on: ExecutorId | None
    #: Name of a node, where an operator chose one.
    pinned_to: str | None
    owner: ExecutorId | None
    workflow_id: str
    #: Queue on which the workflow waits; `None` once an executor took it.
    queue: str | None
    #: Executor that took it last.
    executor_id: ExecutorId | None


def sessions_of(executor_id: ExecutorId) -> str:
    """What a process calls its connections to Postgres, so that others can tell them."""
    return f"{POSTGRES_SESSIONS} {executor_id[-_UUID_LENGTH:]}"


_MEMBERS = text("""
    SELECT *, CAST(extract(epoch FROM heartbeat_at - exchange_at) AS float) AS exchange_lost_s
      FROM nodes ORDER BY executor_id
""")

#: The longest pause that any node was told stands. One from before Postgres' clock was set back
#: would last for as long again: it counts no more, and whoever was told of it tells it anew.
_PAUSE = text("""
    INSERT INTO rate_pauses (account, told_at, paused_until)
    SELECT :account, now, now + make_interval(secs => :told_pause_s) FROM clock_timestamp() AS now
    ON CONFLICT (account) DO UPDATE
       SET told_at = excluded.told_at,
           paused_until = CASE WHEN rate_pauses.told_at > excluded.told_at
                               THEN excluded.paused_until
                               ELSE greatest(rate_pauses.paused_until, excluded.paused_until) END
""")
_PAUSED = text("""
    SELECT CAST(greatest(extract(epoch FROM paused_until - now), 0) AS float)
      FROM rate_pauses, clock_timestamp() AS now WHERE account = :account AND told_at <= now
""")

#: The two states are those of an index of DBOS; a symbol's key holds no colon.
_PLACED = text("""
    SELECT shards.shard, placed_on, pinned_to, owner, workflow_uuid AS workflow_id,
           CASE run.status WHEN 'PENDING' THEN NULL ELSE queue_name END AS queue, executor_id
      FROM shards
      JOIN dbos.workflow_status AS run
        ON run.name = 'run_shard' AND run.status IN ('ENQUEUED', 'PENDING')
       AND split_part(workflow_uuid, ':', 3) = CAST(shards.shard AS text)
     WHERE shards.status <> 'removed'
     ORDER BY shards.shard
""")

#: That it has not ended is said apart from all else: by that DBOS's own index finds it.
STRANDED = text("""
    SELECT workflow_uuid, name FROM dbos.workflow_status AS workflow
     WHERE status IN ('ENQUEUED', 'PENDING') AND name = ANY (:names)
       AND CASE WHEN CAST(:of AS text) IS NOT NULL
                THEN status = 'PENDING' AND executor_id = :of
                WHEN status = 'PENDING'
                THEN NOT EXISTS (SELECT FROM nodes WHERE executor_id = workflow.executor_id)
                ELSE name = 'run_shard' AND queue_name LIKE 'shards%'
                     AND NOT EXISTS (SELECT FROM nodes WHERE queue_name = 'shards@' || executor_id)
                END
     ORDER BY created_at
""")


#: Of whoever may be ended by this user of Postgres.
_END_SESSIONS = text("""
    SELECT session.application_name, pg_terminate_backend(session.pid)
      FROM pg_stat_activity AS session
      LEFT JOIN (unnest(
                     CAST(:ids AS text[]), CAST(:heartbeats AS timestamptz[]),
                     CAST(:sessions AS text[])
                 ) AS lost (executor_id, heartbeat_at, sessions)
                 JOIN nodes USING (executor_id, heartbeat_at))
        ON lost.sessions = session.application_name
     WHERE session.datname = current_database() AND pg_has_role(session.usesysid, 'USAGE')
       AND (lost.sessions IS NOT NULL
            OR (starts_with(session.application_name, :nodes)
                AND session.xact_start < clock_timestamp() - make_interval(secs => :timeout_s)))
""")


class Nodes:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def join(
        self, executor_id: ExecutorId, name: str, process: Process, capacity: int
    ) -> None:
        """Write the row that lets a process act."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("""
                    INSERT INTO nodes (executor_id, name, host, boot_id, pid, pid_started, capacity)
                    VALUES (:executor_id, :name, :host, :boot_id, :pid, :pid_started, :capacity)
                """),
                {
                    "executor_id": executor_id,
                    "name": name,
                    "host": process.host,
                    "boot_id": process.boot_id,
                    "pid": process.pid,
                    "pid_started": process.pid_started,
                    "capacity": capacity,
                },
            )

    async def beat(
        self,
        executor_id: ExecutorId,
        *,
        reaches_exchange: bool,
        account: str,
        told_pause_s: float,
    ) -> Beat | None:
        """Say that a process lives; `None` if its row is gone, and with it its permission.

        A pause that the venue told this process is passed on to all nodes of the account.
        """
        async with transaction(self._engine) as connection:
            renewed = await connection.execute(
                text("""
                    UPDATE nodes
                       SET heartbeat_at = clock_timestamp(),
                           exchange_at = CASE WHEN :reaches_exchange
                                              THEN clock_timestamp() ELSE exchange_at END
                     WHERE executor_id = :me RETURNING executor_id
                """),
                {"me": executor_id, "reaches_exchange": reaches_exchange},
            )
            if renewed.one_or_none() is None:
                return None
            if told_pause_s > 0:
                await connection.execute(_PAUSE, {"account": account, "told_pause_s": told_pause_s})
            members = [_member(row) for row in await connection.execute(_MEMBERS)]
            paused = await connection.execute(_PAUSED, {"account": account})
            return Beat(members=members, paused_for_s=paused.scalar_one_or_none() or 0.0)

    async def end_sessions(self, lost: Sequence[Member]) -> Sequence[str]:
        """End the connections of those that were not heard of since they were read.

        Who was stopped in the midst of a transaction holds its rows for as long as he is stopped.
        So does who was a node, or is to be: any that is in one for too long is ended as well.

        Returns
        -------
        sequence of str
            What the connections were called.

        Raises
        ------
        sqlalchemy.exc.ProgrammingError
            If Postgres does not allow it.
        """
        async with transaction(self._engine) as connection:
            ended = await connection.execute(
                _END_SESSIONS,
                {
                    "ids": [member.executor_id for member in lost],
                    "heartbeats": [member.heartbeat_at for member in lost],
                    "sessions": [sessions_of(member.executor_id) for member in lost],
                    "nodes": sessions_of(ExecutorId("")),
                    "timeout_s": TRANSACTION_TIMEOUT_S,
                },
            )
            return list(ended.scalars())

    async def leave(self, executor_id: ExecutorId) -> None:
        """Give one's permission to act back."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("DELETE FROM nodes WHERE executor_id = :executor_id"),
                {"executor_id": executor_id},
            )

    async def remove(self, lost: Sequence[Member]) -> Sequence[ExecutorId]:
        """Take the permission to act from those that were not heard of since they were read.

        What they left is found by its absence. Whoever found them silent may have been stopped
        himself, and they may have renewed their lease meanwhile.

        Returns
        -------
        sequence of ExecutorId
            From whom it was taken.
        """
        if not lost:  # as in nearly every round
            return []
        async with transaction(self._engine) as connection:
            removed = await connection.execute(
                text("""
                    DELETE FROM nodes USING unnest(
                               CAST(:ids AS text[]), CAST(:heartbeats AS timestamptz[])
                           ) AS lost (executor_id, heartbeat_at)
                     WHERE nodes.executor_id = lost.executor_id
                       AND nodes.heartbeat_at = lost.heartbeat_at
                    RETURNING nodes.executor_id
                """),
                {
                    "ids": [member.executor_id for member in lost],
                    "heartbeats": [member.heartbeat_at for member in lost],
                },
            )
            return list(removed.scalars())

    async def members(self) -> Sequence[Member]:
        async with transaction(self._engine) as connection:
            return [_member(row) for row in await connection.execute(_MEMBERS)]

    async def drain(self, name: str, *, is_draining: bool) -> Sequence[ExecutorId]:
        """Have the symbols of the nodes of that name moved away, or allow them again; its nodes."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("""
                    UPDATE nodes SET is_draining = :is_draining
                     WHERE name = :name OR executor_id = :name RETURNING executor_id
                """),
                {"name": name, "is_draining": is_draining},
            )
            return list(found.scalars())

    @asynccontextmanager
    async def only_one(self) -> AsyncIterator[bool]:
        """Whether the caller is the only node in here, on any host; false at once if it is not."""
        async with transaction(self._engine) as connection:
            locked = await connection.execute(
                text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": ROUND_LOCK}
            )
            yield bool(locked.scalar_one())

    async def placed(self) -> Sequence[Placed]:
        """Every symbol that a workflow runs or will run."""
        async with transaction(self._engine) as connection:
            return [Placed(**row._mapping) for row in await connection.execute(_PLACED)]

    async def place(self, homes: Mapping[int, ExecutorId]) -> None:
        """Write down which node each of these shards is to run on."""
        async with transaction(self._engine) as connection:
            for shard, home in homes.items():
                await connection.execute(
                    text("UPDATE shards SET placed_on = :home WHERE shard = :shard"),
                    {"shard": shard, "home": home},
                )

    async def stranded(
        self, names: Sequence[str], *, of: ExecutorId | None = None
    ) -> Mapping[str, str]:
        """Pending workflows of one executor, or all that no node runs or will run: names by id."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(STRANDED, {"names": list(names), "of": of})
            return {row.workflow_uuid: row.name for row in found}

    async def queues(self, prefix: str) -> Sequence[str]:
        """The queues that are registered under names that begin so."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("SELECT name FROM dbos.queues WHERE starts_with(name, :prefix)"),
                {"prefix": prefix},
            )
            return list(found.scalars())


def _member(row: object) -> Member:
    values = row._mapping  # type: ignore[attr-defined]  # rows are typed by their query only
    return Member(
        executor_id=values["executor_id"],
        name=values["name"],
        process=Process(
            host=values["host"],
            boot_id=values["boot_id"],
            pid=values["pid"],
            pid_started=values["pid_started"],
        ),
        heartbeat_at=values["heartbeat_at"],
        capacity=values["capacity"],
        is_draining=values["is_draining"],
        exchange_lost_s=values["exchange_lost_s"],
    )

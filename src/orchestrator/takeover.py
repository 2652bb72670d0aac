"""The watchdog of every node: finds dead nodes and work that nobody does, and places symbols.

Level-triggered, and no node leads: each ends what the dead hold in Postgres, and whichever then
gets the lock reads what is and makes it so. A crash in between leaves everything to be found again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.placement import find_homes, whereabouts
from orchestrator.rows import NodeRows
from orchestrator.workflows import (
    APPLY_CHANGE,
    CHANGES_QUEUE,
    EXECUTE_PLAN,
    RUN_SHARD,
    SHARDS_QUEUE,
    queue_of,
)
from store.nodes import ExecutorId, Member, Placed, Process

log = structlog.get_logger("orchestrator")


class Work(Protocol):
    """The durable workflows of all nodes, and their queues."""

    async def stranded(
        self, names: Sequence[str], *, of: ExecutorId | None = None
    ) -> Mapping[str, str]:
        """Pending ones of one executor, or all that no node runs or will run: names by id."""
        ...

    async def cancel(self, workflow_ids: Sequence[str]) -> None: ...

    async def resume(self, workflow_ids: Sequence[str], queue: str) -> None:
        """Put on a queue whatever of these has not ended, wherever it is."""
        ...

    async def queues(self, prefix: str) -> Sequence[str]: ...

    async def drop_queue(self, queue: str) -> None: ...

    async def run_orphans_again(self) -> None:
        """Start a workflow for each symbol that has none and is not removed."""
        ...


class Watchdog:
    """One node's eye on all of them.

    Parameters
    ----------
    is_gone : callable
        Whether a process is known to have ended.
    silent_s : callable
        For how long a node has not been heard of.
    dead_after_s : float
        Silence after which a node is taken for dead.
    """

    def __init__(
        self,
        nodes: NodeRows,
        work: Work,
        executor_id: ExecutorId,
        is_gone: Callable[[Process], bool],
        silent_s: Callable[[Member], float],
        dead_after_s: float,
    ) -> None:
        self._nodes = nodes
        self._work = work
        self._executor_id = executor_id
        self._is_gone = is_gone
        self._silent_s = silent_s
        self._dead_after_s = dead_after_s
        self._idle_before: set[str] = set()

    async def make_rounds(self, *, trusts_silence: bool) -> None:
        """Hand on what dead nodes left, run what nobody runs, and have symbols where they belong.

        Parameters
        ----------
        trusts_silence : bool
            Whether a node that is silent may be taken for dead. After an outage of Postgres all
            are silent, and the first to come back must not take the others' symbols.
        """
        dead = self._dead(await self._nodes.members(), trusts_silence=trusts_silence)
        # Whoever makes the round may be one of them, stopped in its midst.
        await self._end_sessions(dead)
        async with self._nodes.only_one() as is_mine:
            if not is_mine:
                return
            # Before the members: a node joins first, so that the queue of none is taken for old.
            queues = await self._work.queues(f"{SHARDS_QUEUE}@")
            if removed := await self._nodes.remove(dead):
                log.warning("nodes_lost", executors=removed)
            alive = await self._nodes.members()
            await self._hand_on()
            known = {queue_of(member.executor_id) for member in alive}
            for queue in sorted(set(queues) - known):
                await self._work.drop_queue(queue)
            await self._work.run_orphans_again()
            await self._place(alive)

    async def restart_idle(self, busy: Container[str]) -> None:
        """Queue again what this process took from a queue and does not do.

        So ends a start that an outage of Postgres interrupted. What just begins is not `busy` yet:
        only what was idle in the round before, too, counts.
        """
        pending = await self._work.stranded((RUN_SHARD, APPLY_CHANGE), of=self._executor_id)
        idle = {
            workflow_id: name for workflow_id, name in pending.items() if workflow_id not in busy
        }
        for workflow_id in sorted(self._idle_before & idle.keys()):
            is_shard = idle[workflow_id] == RUN_SHARD
            queue = queue_of(self._executor_id) if is_shard else CHANGES_QUEUE
            log.warning("restarted_idle_workflow", workflow_id=workflow_id)
            await self._work.resume([workflow_id], queue)
        self._idle_before = set(idle)

    def _dead(self, members: Sequence[Member], *, trusts_silence: bool) -> Sequence[Member]:
        """Those that are known to have ended, or have been silent for too long.

        Never ourselves: after an outage of Postgres our own heartbeat may be the late one.
        """
        return [
            member
            for member in members
            if member.executor_id != self._executor_id
            and (
                self._is_gone(member.process)
                or (trusts_silence and self._silent_s(member) >= self._dead_after_s)
            )
        ]

    async def _end_sessions(self, dead: Sequence[Member]) -> None:
        """Have Postgres take back what they locked: they may have been stopped in a transaction.

        It may forbid that, to this user or of theirs; they are removed all the same.
        """
        try:
            ended = await self._nodes.end_sessions(dead)
        except SQLAlchemyError as error:
            log.warning("sessions_not_ended", error=str(error))
        else:
            if ended:
                log.warning("sessions_ended", sessions=ended)

    async def _hand_on(self) -> None:
        """What dead nodes were at, but for the workflows of symbols, which are placed.

        Stale plans are cancelled, never resumed: reconciliation settles their intents. The workflow
        of a symbol that was removed meanwhile has only to say so: any node will do.
        """
        stranded = await self._work.stranded((EXECUTE_PLAN, APPLY_CHANGE, RUN_SHARD))
        # In this order: what is added meanwhile is not taken for a removed one's.
        placed = {symbol.workflow_id for symbol in await self._nodes.placed()}
        plans = [workflow_id for workflow_id, name in stranded.items() if name == EXECUTE_PLAN]
        others = [each for each in stranded if each not in placed and each not in plans]
        if plans:
            await self._work.cancel(plans)
        if others:
            await self._work.resume(others, CHANGES_QUEUE)
            log.info("took_over", workflows=others)

    async def _place(self, alive: Sequence[Member]) -> None:
        """Write homes down first: an owner that reads of another one releases its symbol."""
        placed = await self._nodes.placed()
        homes = whereabouts(alive, placed) | find_homes(alive, placed)
        changed = {
            p.shard: homes[p.shard]
            for p in placed
            if homes.get(p.shard, p.placed_on) != p.placed_on
        }
        await self._nodes.place(changed)
        for home in sorted(set(homes.values())):
            waiting = [
                symbol.workflow_id
                for symbol in placed
                if homes.get(symbol.shard) == home and _is_ready_for(symbol, home, alive)
            ]
            if waiting:
                log.info("placed", node=home, workflows=waiting)
                await self._work.resume(waiting, queue_of(home))


def this_process() -> Process:
    pid = os.getpid()
    return Process(
        # A pid means something only inside its namespace: another one is another host.
        host=f"{os.uname().nodename}/{Path('/proc/self/ns/pid').readlink()}",
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        pid=pid,
        pid_started=_started_ticks(pid) or 0,
    )


def is_gone(process: Process, me: Process) -> bool:
    """Whether a process of this host is known to have ended; of other hosts nothing is known.

    Nor of this host before it was booted: another one of the same name cannot be told from it.
    """
    if (process.host, process.boot_id) != (me.host, me.boot_id):
        return False
    return _started_ticks(process.pid) != process.pid_started


def _is_ready_for(symbol: Placed, home: ExecutorId, alive: Sequence[Member]) -> bool:
    """Whether its workflow is elsewhere, and no other node that lives still owns the symbol."""
    is_there = (
        symbol.executor_id == home if symbol.queue is None else symbol.queue == queue_of(home)
    )
    owners = {member.executor_id for member in alive} - {home}
    return not is_there and symbol.owner not in owners


def _started_ticks(pid: int) -> int | None:
    """Kernel start time of a live process, in clock ticks since boot; zombies do not count."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])

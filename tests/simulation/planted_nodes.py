"""Bugs in who runs what, to be planted like those of `planted.py`."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest.mock import patch

from orchestrator import takeover
from orchestrator.dead_man import Feeder
from orchestrator.membership import Membership
from orchestrator.placement import find_homes
from orchestrator.takeover import Watchdog
from simulation.clock import EPOCH_MS
from simulation.database import Database
from simulation.members import SimulatedNodes
from store.nodes import ExecutorId, Member, Placed

NEVER_MS = 1 << 60


@contextmanager
def silence_of_nodes_never_trusted() -> Iterator[None]:
    """Only a process of the same host is ever known to be dead."""
    make_rounds = Watchdog.make_rounds

    async def timid(self: Watchdog, *, trusts_silence: bool) -> None:
        await make_rounds(self, trusts_silence=False)

    with patch.object(Watchdog, "make_rounds", timid):
        yield


@contextmanager
def silence_reckoned_by_stamps() -> Iterator[None]:
    """A node has been silent since what the clock of Postgres, which was set, said then."""

    def silent_s(self: Membership, member: Member) -> float:
        now_ms = self._clock.now_ms() - EPOCH_MS
        return now_ms / 1000 - member.heartbeat_at.timestamp()

    with patch.object(Membership, "silent_s", silent_s):
        yield


@contextmanager
def idle_work_left() -> Iterator[None]:
    """What was taken from a queue by a reply that was lost is nobody's."""

    async def blind(self: Watchdog, busy: Container[str]) -> None:
        return

    with patch.object(Watchdog, "restart_idle", blind):
        yield


@contextmanager
def draining_ignored() -> Iterator[None]:
    """A node that is to be left keeps its symbols."""

    def homes(members: Sequence[Member], placed: Sequence[Placed]) -> dict[int, ExecutorId]:
        return find_homes([replace(each, is_draining=False) for each in members], placed)

    with patch.object(takeover, "find_homes", homes):
        yield


@contextmanager
def owner_not_released() -> Iterator[None]:
    """A node that lets a symbol go does not say so."""
    with patch.object(Database, "release", lambda self, shard, executor: None):
        yield


@contextmanager
def locks_of_the_dead_left() -> Iterator[None]:
    """What a process holds that is stopped in the midst of a transaction is held for ever."""

    async def idle(self: SimulatedNodes, lost: Sequence[Member]) -> Sequence[str]:
        return []

    with patch.object(SimulatedNodes, "end_sessions", idle):
        yield


@contextmanager
def plans_of_the_dead_left() -> Iterator[None]:
    """What a dead node had begun stays pending for ever."""

    async def idle(self: Watchdog) -> None:
        return

    with patch.object(Watchdog, "_hand_on", idle):
        yield


@contextmanager
def switch_fed_once() -> Iterator[None]:
    """A dead-man switch is armed and never fed again."""
    turn_ms = Feeder._turn_ms

    def never_again(self: Feeder, symbol: str) -> int:
        return NEVER_MS if symbol in self.armed else turn_ms(self, symbol)

    with patch.object(Feeder, "_turn_ms", never_again):
        yield


NODE_BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    bug.__name__: bug
    for bug in (
        silence_of_nodes_never_trusted,
        silence_reckoned_by_stamps,
        idle_work_left,
        draining_ignored,
        owner_not_released,
        locks_of_the_dead_left,
        plans_of_the_dead_left,
        switch_fed_once,
    )
}

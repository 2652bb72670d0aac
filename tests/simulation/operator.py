"""What a person asks of the symbols and the nodes, and takes back a while later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from ports.store import Desired
from simulation.database import Database
from simulation.invariants import Kill
from simulation.loop import VirtualLoop
from simulation.machine import CAPABILITIES
from simulation.node import LEASE_MS
from simulation.trace import Trace

#: How long a kill takes to get through: in calm, and where it may find leases and requests.
KILL_CALM_MS = 1_000
KILL_STORM_MS = LEASE_MS + (CAPABILITIES.request_expiry_ms or 0) + CAPABILITIES.clock_skew_ms


class Operator:
    """Writes wishes into the database; in calm nothing is taken back any more."""

    def __init__(self, loop: VirtualLoop, trace: Trace, database: Database) -> None:
        self._loop = loop
        self._trace = trace
        self._database = database
        self._is_calm = False
        self.kills: list[Kill] = []

    def settle(self, finale: Desired, *, alive: Sequence[str]) -> None:
        """The last word: what is wanted of all symbols until the end.

        Nodes stay drained only if one that lives has room for all symbols.
        """
        self.rearm()
        self._is_calm = True
        nodes = self._database.nodes
        roomy = [
            name
            for name in alive
            if name in nodes
            and not nodes[name].is_draining
            and nodes[name].capacity >= len(self._database.shards)
        ]
        for row in list(nodes.values()) if not roomy else ():
            self._drain(row.executor, is_draining=False)
        self._wish(finale, *self._database.shards)

    def remove(self, shard: int) -> None:
        self._wish(Desired.REMOVED, shard)

    def wish_for_a_while(self, shard: int, desired: Desired, lasts_s: float) -> None:
        self._wish(desired, shard)
        self._loop.later(lasts_s, self._resume, shard)

    def kill(self) -> None:
        self._trace.note("killed")
        if not self._database.is_killed:
            self._database.is_killed = True
            allowed_ms = KILL_CALM_MS if self._is_calm else KILL_STORM_MS
            now_ms = self._loop.now_ms()
            self.kills.append(Kill(engaged_ms=now_ms, rearmed_ms=None, allowed_ms=allowed_ms))

    def kill_for_a_while(self, lasts_s: float) -> None:
        self.kill()
        self._loop.later(lasts_s, self.rearm)

    def rearm(self) -> None:
        if self._database.is_killed and not self._is_calm:
            self._trace.note("re-armed")
            self._database.is_killed = False
            self.kills.append(replace(self.kills.pop(), rearmed_ms=self._loop.now_ms()))

    def move(self, dice: Random, shard: int, names: list[str]) -> None:
        """Have a symbol run on one node, or wherever there is room again."""
        name = dice.choice([*names, None])
        self._trace.note(f"operator moves {shard} to {name}")
        self._database.pin(shard, name)

    def drain_for_a_while(self, name: str, lasts_s: float) -> None:
        """Have a node's symbols moved away; one that restarts meanwhile takes them again."""
        self._drain(name, is_draining=True)
        self._loop.later(lasts_s, self._undrain, name)

    def _undrain(self, name: str) -> None:
        if not self._is_calm:
            self._drain(name, is_draining=False)

    def _drain(self, name: str, *, is_draining: bool) -> None:
        self._trace.note(f"operator {'drains' if is_draining else 'takes back'} {name}")
        self._database.drain(name, is_draining=is_draining)

    def _resume(self, shard: int) -> None:
        if not self._is_calm:
            self._wish(Desired.RUNNING, shard)

    def _wish(self, desired: Desired, *shards: int) -> None:
        for shard in shards:
            self._trace.note(f"operator wants {shard} {desired.value}")
            self._database.wish(shard, desired)

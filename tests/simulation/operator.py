"""What a person asks of the symbols and the nodes, and takes back a while later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from random import Random

from domain.ids import symbol_key
from orchestrator.changes import Verb
from orchestrator.workflows import Document, change_id
from ports.store import Desired
from simulation.database import Database
from simulation.invariants import Kill
from simulation.loop import VirtualLoop
from simulation.machine import CAPABILITIES
from simulation.node import LEASE_MS
from simulation.poison import Poison
from simulation.symbol import Symbol, draw_spec
from simulation.tables import ENDING
from simulation.trace import Trace

#: When in calm somebody looks whether all that was asked for goes on.
LOOKS_AGAIN_S = 8.0
#: How long a kill takes to get through: in calm, and where it may find leases and requests.
KILL_CALM_MS = 1_000
KILL_STORM_MS = LEASE_MS + (CAPABILITIES.request_expiry_ms or 0) + CAPABILITIES.clock_skew_ms


_WISHES: Mapping[Desired, tuple[Verb, Document]] = {
    Desired.RUNNING: (Verb.RESUME, {}),
    Desired.PAUSED: (Verb.PAUSE, {}),
    Desired.CLOSED: (Verb.REMOVE, {"close": True}),
    Desired.REMOVED: (Verb.REMOVE, {}),
}


class Operator:
    """Makes requests; in calm nothing is taken back any more."""

    def __init__(
        self,
        loop: VirtualLoop,
        trace: Trace,
        database: Database,
        *,
        symbols: int,
        poison: Poison,
    ) -> None:
        self._loop = loop
        self._trace = trace
        self._database = database
        self._symbols = symbols
        self._poison = poison
        #: Since when it is calm.
        self._calm_ms: int | None = None
        self._numbers = count(1)
        #: What was wanted of each symbol when it became calm.
        self.last_words: dict[int, Desired] = {}

    @property
    def kills(self) -> list[Kill]:
        """When nothing was to be accepted."""
        return [
            Kill(engaged_ms=engaged_ms, rearmed_ms=rearmed_ms, allowed_ms=self._allowed(engaged_ms))
            for engaged_ms, rearmed_ms in self._database.kills
        ]

    def settle(self, finale: Desired, *, alive: Sequence[str]) -> None:
        """The last word: what is wanted of all symbols until the end.

        Nodes stay drained only if one that lives has room for all symbols.
        """
        self.rearm()
        self._calm_ms = self._loop.now_ms()
        nodes = self._database.nodes
        roomy = [
            name
            for name in alive
            if name in nodes
            and not nodes[name].is_draining
            and nodes[name].capacity >= self._symbols
        ]
        for row in list(nodes.values()) if not roomy else ():
            self._drain(row.executor, is_draining=False)
        for shard in self._database.shards.values():
            # What is on its way out is asked for again, as a quarantine may hold it up.
            is_ending = shard.desired in ENDING and finale is not Desired.REMOVED
            self.last_words[shard.shard] = shard.desired if is_ending else finale
        self._repeat(*self.last_words)
        self._loop.later(LOOKS_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        """What was quarantined after all is asked for once more."""
        shards = self._database.shards.values()
        self._repeat(*[row.shard for row in shards if row.is_quarantined])

    def _repeat(self, *shards: int) -> None:
        for shard in shards:
            self._wish(self.last_words.get(shard, Desired.RUNNING), shard)

    def add(self, symbol: Symbol) -> None:
        """Have a symbol traded; one that is there already is refused."""
        account, name = symbol.instrument.account, symbol.name
        spec = symbol.spec.model_dump(mode="json")
        more = {"account": account, "symbol": name, "spec": spec}
        self._ask(Verb.ADD, symbol_key(account, name), more)

    def remove(self, shard: int) -> None:
        self._wish(Desired.REMOVED, shard)

    def wish_for_a_while(self, shard: int, desired: Desired, lasts_s: float) -> None:
        self._wish(desired, shard)
        self._loop.later(lasts_s, self._resume, shard)

    def kill(self) -> None:
        """At once, as the CLI and the API do; the request only tells when all is cancelled."""
        self._trace.note("killed")
        self._database.engage()
        self._ask(Verb.KILL, "all", {"reason": "an accident"})

    def kill_for_a_while(self, lasts_s: float) -> None:
        self.kill()
        self._loop.later(lasts_s, self.rearm)

    def rearm(self) -> None:
        if self._database.is_killed and not self._is_calm:
            self._ask(Verb.REARM, "all", {"reason": "all is well"})

    def move(self, dice: Random, shard: int, names: list[str]) -> None:
        """Have a symbol run on one node, or wherever there is room again."""
        name = dice.choice([*names, None])
        self._ask_of(shard, Verb.MOVE, {"node": name})

    def compare(self, shard: int) -> None:
        self._ask_of(shard, Verb.RECONCILE, {})

    def update(self, dice: Random, shard: int) -> None:
        """Give a symbol another spec; one that makes no sense is refused."""
        row = self._database.shards[shard]
        spec = draw_spec(dice, row.instrument.kind, row.spec.mode)
        self._ask_of(shard, Verb.UPDATE, {"spec": spec.model_dump(mode="json"), "note": ""})

    def revert(self, dice: Random, shard: int) -> None:
        to = dice.randint(1, self._database.shards[shard].spec_version)
        self._ask_of(shard, Verb.REVERT, {"to": to, "note": ""})

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
            verb, more = _WISHES[desired]
            self._ask_of(shard, verb, more)

    @property
    def _is_calm(self) -> bool:
        return self._calm_ms is not None

    def _allowed(self, engaged_ms: int) -> int:
        is_late = self._calm_ms is not None and engaged_ms > self._calm_ms
        return KILL_CALM_MS if is_late else KILL_STORM_MS

    def _ask_of(self, shard: int, verb: Verb, more: Document) -> None:
        row = self._database.shards[shard]
        self._poison.pardon(row.symbol)
        self._ask(verb, row.key, {"account": row.account, "symbol": row.symbol, **more})

    def _ask(self, verb: Verb, key: str, more: Document) -> None:
        workflow_id = change_id(verb.value, key, str(next(self._numbers)))
        self._trace.note(f"asked: {workflow_id} {more}")
        self._database.ask(workflow_id, {"verb": verb.value, **more})

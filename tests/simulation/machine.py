"""Where nodes run, are killed, stopped and cut off, and start again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ports.exchange import Capabilities
from simulation.clock import VirtualClock
from simulation.database import Database
from simulation.exchange import SimulatedExchange
from simulation.fate import Fate
from simulation.link import Link
from simulation.loop import Life, Process, VirtualLoop
from simulation.node import RunningNode, Surroundings
from simulation.poison import Poison
from simulation.silence import Silence
from simulation.store import SimulatedStore
from simulation.trace import Trace
from simulation.venue import SimulatedVenue
from simulation.weather import Weather

#: How often a machine that is lost is not switched off but frozen.
FREEZES = 0.5
#: How often a process is stopped in the midst of a transaction.
HOLDS = 0.5
CAPABILITIES = Capabilities(request_expiry_ms=1_000, clock_skew_ms=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all machines share."""

    seed: int
    dice: Random
    loop: VirtualLoop
    trace: Trace
    weather: Callable[[], Weather]
    is_calm: Callable[[], bool]
    database: Database
    venue: SimulatedVenue[Any]
    capacity: int
    dead_man_switch_s: int
    keeps_books: bool
    silence: Silence
    poison: Poison
    fail: Callable[[str], None]
    #: Executors whose process is dead.
    ended: set[str] = field(default_factory=set)
    #: Each executor's connections to the store.
    links: dict[str, Link] = field(default_factory=dict)

    def break_off(self, executor: str) -> None:
        """Have the store close an executor's connections."""
        self.links[executor].break_off()


class Machine:
    """Runs one node after the other."""

    def __init__(self, name: str, host: str, site: Site) -> None:
        self.node: RunningNode | None = None
        self.name = name
        self._host = host
        self._site = site
        self.is_lost = False
        self._starts = 0
        #: How far the machine's clock jumped.
        self._jump_ms = 0

    @property
    def capacity(self) -> int:
        """Of its nodes."""
        return self._site.capacity

    def lose(self) -> None:
        """For good: its node ends, or is stopped and never goes on."""
        self.is_lost = True
        if self.node is not None:
            if self._site.dice.random() < FREEZES:
                self._stop(self.node.process)
            else:
                self.node.process.kill()

    def boot(self) -> None:
        """Start the next incarnation of the node."""
        site = self._site
        if self.is_lost:
            return
        self._starts += 1
        executor = f"{self.name}.{self._starts}"
        process = Process(site.loop, executor)
        fate = self._fate_of(process)
        longest_ms = CAPABILITIES.clock_skew_ms
        skew_ms = fate.dice.randint(-longest_ms, longest_ms) // 2
        clock = VirtualClock(site.loop, lambda: skew_ms + self._jump_ms)
        store = SimulatedStore(fate, site.database, executor)
        site.links[executor] = store.link
        self.node = RunningNode(
            Surroundings(
                process=process,
                executor=executor,
                name=self.name,
                host=self._host,
                capacity=site.capacity,
                store=store,
                exchange=SimulatedExchange(
                    fate,
                    site.venue,
                    clock,
                    CAPABILITIES,
                    silence=site.silence,
                    executor=executor,
                    on_send=lambda: self._expect_member(executor),
                    on_look=lambda symbol: site.poison.taste(symbol, process),
                ),
                clock=clock,
                fate=fate,
                dead_man_switch_s=site.dead_man_switch_s,
                keeps_books=site.keeps_books,
                has_ended=site.ended.__contains__,
                break_off=site.break_off,
                may_halt=site.poison.explains,
                fail=site.fail,
            )
        )
        site.trace.note(f"{executor} starts")

        def bury() -> None:
            site.trace.note(f"{executor} is dead")
            site.ended.add(executor)
            site.database.let_go(executor)
            self.node = None
            longest_s = 0.3 if site.is_calm() else site.dice.choice((0.1, 0.3, 8.0))
            site.loop.later(site.dice.uniform(0.01, longest_s), self.boot)

        process.start(self.node.main(), bury)

    def put_to_sleep(self) -> None:
        """As by SIGSTOP, and later SIGCONT."""
        if self.node is not None:
            site = self._site
            self._stop(self.node.process)
            lasts_s = site.dice.uniform(*site.dice.choice(((0.2, 2.0), (5.0, 10.0))))
            site.loop.later(lasts_s, self.go_on)

    def _stop(self, process: Process) -> None:
        site = self._site
        if process.life is not Life.RUNNING:
            return
        site.trace.note(f"{process.name} is stopped")
        process.stop()
        if site.dice.random() < HOLDS:
            rows: list[int | str] = [process.name, *site.database.shards]
            row = site.dice.choice(rows)
            site.trace.note(f"{process.name} holds {row}")
            site.database.hold(process.name, row)

    def go_on(self) -> None:
        if self.node is not None and not self.is_lost:
            self._site.trace.note(f"{self.node.process.name} goes on")
            self._site.database.let_go(self.node.process.name)
            self.node.process.go_on()

    def lose_exchange(self, lasts_s: float) -> None:
        if self.node is not None:
            self._site.trace.note(f"{self.node.process.name} loses the exchange")
            self.node.exchange.link.is_cut = True
            self._site.loop.later(lasts_s, self._reconnect)

    def lose_market(self, lasts_s: float) -> None:
        """Its streams fall silent; requests are answered."""
        if self.node is not None:
            self._site.trace.note(f"{self.node.process.name} loses the market")
            self.node.exchange.is_mute = True
            self._site.loop.later(lasts_s, self._reconnect)

    def lose_store(self, lasts_s: float) -> None:
        if self.node is not None:
            self._site.trace.note(f"{self.node.process.name} loses the store")
            self.node.store.link.is_cut = True
            self._site.loop.later(lasts_s, self._reconnect)

    @property
    def is_clock_right(self) -> bool:
        return not self._jump_ms

    def jump_clock(self, by_ms: int, lasts_s: float) -> None:
        """As by a bad step of its time service, and back again."""
        self._site.trace.note(f"the clock of {self.name} jumps by {by_ms} ms")
        self._jump_ms = by_ms
        self._site.loop.later(lasts_s, self._set_clock)

    def _set_clock(self) -> None:
        self._jump_ms = 0

    def mend(self) -> None:
        """Nothing is cut any more, and the clock is right."""
        self._set_clock()
        self._reconnect()

    def _expect_member(self, executor: str) -> None:
        """What was declared dead sends nothing: others may run its symbols."""
        if executor not in self._site.database.nodes:
            self._site.fail(f"{executor} sends although it was declared dead")

    def _reconnect(self) -> None:
        if self.node is not None:
            self.node.store.link.is_cut = self.node.exchange.link.is_cut = False
            self.node.exchange.is_mute = False

    def _fate_of(self, process: Process) -> Fate:
        site = self._site
        dice = Random(f"{site.seed}:{process.name}")

        def hazard(weight: float) -> None:
            weather, chance = site.weather(), dice.random() / weight
            if chance < weather.dies:
                process.kill_after(dice.randint(0, 3))
            elif chance < weather.dies + weather.sleeps:
                self.put_to_sleep()

        return Fate(
            loop=site.loop, trace=site.trace, dice=dice, weather=site.weather, hazard=hazard
        )

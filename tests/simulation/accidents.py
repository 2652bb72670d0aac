"""What befalls machines, the venue, its market and its users; each seed has its own mix of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from random import Random

from ports.store import Desired
from simulation.cut import Cut
from simulation.database import Database
from simulation.invariants import AnyVenue
from simulation.loop import VirtualLoop
from simulation.machine import Machine
from simulation.node import RunningNode
from simulation.operator import Operator
from simulation.poison import Effect, Poison
from simulation.symbol import Symbol
from simulation.venues import PerpetualsExchange

#: When the symbols are added that are not there from the beginning.
ADDED_S = (0.0, 15.0)
#: Funding rates lie between minus and plus this.
RATE_MAX_E8 = 300_000
#: How far a wall clock jumps, beyond what a venue takes for the present.
CLOCK_JUMP_S = (2.0, 30.0)
#: How often the time service of all machines errs as the storm ends, how long before, how far: what
#: then waits by it waits on in the calm.
LEAPS_AT_LAST = 0.5
LEAPS_BEFORE_S = (2.0, 12.0)
CLOCK_LEAP_S = (300.0, 3_600.0)
#: How far the wall clock of the database's host is off once it is set.
DATABASE_AHEAD_S = (1.0, 3_600.0)
#: What a venue may change of a market's rules, coarser or finer.
FILTERS: Sequence[Mapping[str, str]] = (
    {"tick_size": "0.05"},
    {"tick_size": "0.1"},
    {"tick_size": "0.01"},
    {"tick_size": "0.001"},
    {"step_size": "0.01", "min_quantity": "0.01"},
    {"step_size": "0.001", "min_quantity": "0.001"},
    {"step_size": "0.0001"},
    {"tick_size": "0.02", "step_size": "0.002", "min_quantity": "0.002"},
    {"min_notional": "12"},
    {"min_notional": "1"},
)
#: No grid drawn here has levels so far apart.
TOO_COARSE = {"tick_size": "1"}
USUAL = {"tick_size": "0.01"}


class Accidents:
    """Strike at their times until the storm is over."""

    def __init__(
        self,
        *,
        seed: int,
        dice: Random,
        loop: VirtualLoop,
        database: Database,
        venue: AnyVenue,
        machines: Sequence[Machine],
        operator: Operator,
        poison: Poison,
    ) -> None:
        self._seed = seed
        self._dice = dice
        self._loop = loop
        self._database = database
        self._venue = venue
        self._machines = machines
        self._operator = operator
        self._poison = poison
        #: Numbers of those that happened.
        self.happened: list[int] = []
        #: Those that come and go.
        self._late: Sequence[Symbol] = ()
        #: Symbols whose rules no grid can follow.
        self._impossible: dict[str, None] = {}

    def schedule(
        self, cut: Cut, *, finale: Desired | None, liquidates: bool, late: Sequence[Symbol]
    ) -> float:
        """Draw when each strikes; the length of the storm, in s.

        Parameters
        ----------
        late : sequence of Symbol
            Those that are not there yet: they are added as the storm goes on, and again.
        """
        kinds = self._kinds(finale, liquidates=liquidates and not late)
        if late:
            # What moves money between the reading of a balance and its commit is on neither side.
            for kind in (self._venue.person_trades, self._venue.person_transfers):
                kinds.pop(kind, None)
            kinds[self._add_again] = 0.3
            self._late = late
        for symbol in late:
            self._loop.later(self._dice.uniform(*ADDED_S), self._operator.add, symbol)
        lasts_s = self._dice.uniform(30.0, 90.0)
        at_s = self._dice.uniform(3.0, 10.0)
        pace_s = self._dice.uniform(1.5, 9.0)
        storm_s = min(lasts_s, cut.storm_s or lasts_s)
        for number in count():
            if at_s >= storm_s:
                break
            (accident,) = self._dice.choices(list(kinds), weights=list(kinds.values()))
            if cut.has_accident(number):
                self._loop.later(at_s, self._befall, number, accident)
            at_s += self._dice.expovariate(1 / pace_s)
        if self._dice.random() < LEAPS_AT_LAST and cut.has_accident(number):
            at_s = max(0.0, storm_s - self._dice.uniform(*LEAPS_BEFORE_S))
            self._loop.later(at_s, self._befall, number, self._leap_clocks)
        return storm_s

    def settle(self, *, mends_rules: bool) -> None:
        """It is calm: what was to be mended later is now, or never."""
        for symbol in list(self._impossible) if mends_rules else ():
            self._mend_rules(symbol)
        self._impossible.clear()
        self._poison.clear()

    def pay_funding(self) -> None:
        if isinstance(self._venue, PerpetualsExchange):
            for symbol in self._venue.markets:
                self._venue.pay_funding(symbol, self._dice.randint(-RATE_MAX_E8, RATE_MAX_E8))

    def _befall(self, number: int, accident: Callable[[], None]) -> None:
        """Each accident has its own dice: what comes after it does not hang on it."""
        self._dice = Random(f"{self._seed}:accident:{number}")
        self.happened.append(number)
        accident()

    def _kinds(
        self, finale: Desired | None, *, liquidates: bool
    ) -> dict[Callable[[], None], float]:
        """What may happen, and the weight of each; about a third never happens in this run."""
        kinds = (
            self._crash,
            self._stop,
            self._lose_machine,
            self._terminate,
            self._cut_exchange,
            self._silence_market,
            self._cut_store,
            self._database_outage,
            self._jump_clock,
            self._set_database_clock,
            self._venue.person_trades,
            self._venue.person_cancels,
            self._venue.person_transfers,
            self._jump,
            self._change_rules,
            self._make_rules_impossible,
            self._poison_symbol,
            self._kill_for_a_while,
            self._pause_for_a_while,
            self._move,
            self._drain,
            self._compare,
            self._update,
            self._revert,
        )
        weights = {kind: self._dice.random() for kind in kinds if self._dice.random() < 0.66}
        weights[self._crash] = 0.5 + self._dice.random()
        if isinstance(self._venue, PerpetualsExchange):
            weights[self.pay_funding] = 0.3
            if liquidates:
                weights[self._spike] = 0.5
        if self._poison_symbol in weights:  # little is traded meanwhile
            weights[self._poison_symbol] *= 0.3
        if finale is Desired.REMOVED:
            weights[self._remove] = 0.1
        if finale is Desired.CLOSED:
            weights[self._close_for_a_while] = 0.2
        if finale in {Desired.CLOSED, Desired.REMOVED}:
            # Whether a trade falls into the symbol's last second is nobody's to know.
            weights.pop(self._venue.person_trades, None)
            weights.pop(self._spike, None)
            # What is taken out cannot be sold.
            weights.pop(self._venue.person_transfers, None)
        return weights

    # Of processes and machines.

    def _crash(self) -> None:
        node = self._any_node()
        if node is not None:
            node.process.kill_after(self._dice.randint(0, 60))

    def _stop(self) -> None:
        self._any_machine().put_to_sleep()

    def _lose_machine(self) -> None:
        """For good, where the others have room for all symbols."""
        lost = self._any_machine()
        left = [each for each in self._machines if each is not lost and not each.is_lost]
        if sum(each.capacity for each in left) >= len(self._venue.markets):
            lost.lose()

    def _terminate(self) -> None:
        node = self._any_node()
        if node is not None:
            node.ask_to_stop(cancel_orders=self._dice.random() < 0.5)

    def _cut_exchange(self) -> None:
        self._any_machine().lose_exchange(self._dice.uniform(0.2, 16.0))

    def _silence_market(self) -> None:
        self._any_machine().lose_market(self._dice.uniform(2.0, 16.0))

    def _cut_store(self) -> None:
        self._any_machine().lose_store(self._dice.uniform(0.2, 12.0))

    def _database_outage(self) -> None:
        lasts_s = self._dice.uniform(0.2, 8.0)
        for machine in self._machines:
            machine.lose_store(lasts_s)

    def _jump_clock(self) -> None:
        by_s = self._dice.choice((-1, 1)) * self._dice.uniform(*CLOCK_JUMP_S)
        self._any_machine().jump_clock(int(by_s * 1000), self._dice.uniform(0.5, 12.0))

    def _leap_clocks(self) -> None:
        by_s = self._dice.choice((-1, 1)) * self._dice.uniform(*CLOCK_LEAP_S)
        for machine in self._machines:
            machine.jump_clock(int(by_s * 1000), LEAPS_BEFORE_S[1])

    def _set_database_clock(self) -> None:
        ahead_s = self._dice.choice((-1, 1)) * self._dice.uniform(*DATABASE_AHEAD_S)
        self._database.set_clock(int(ahead_s * 1000))

    # Of the venue and its market.

    def _jump(self) -> None:
        self._venue.jump(self._any_symbol(), self._dice.randint(-4, 4))

    def _spike(self) -> None:
        if isinstance(self._venue, PerpetualsExchange):
            self._venue.spike_mark(self._any_symbol())

    def _change_rules(self) -> None:
        symbol = self._any_symbol()
        if symbol not in self._impossible:
            self._venue.change_rules(symbol, self._dice.choice(FILTERS))

    def _make_rules_impossible(self) -> None:
        """Mended after a while, or not before the calm, or not at all."""
        symbol = self._any_symbol()
        self._venue.change_rules(symbol, TOO_COARSE)
        self._impossible[symbol] = None
        self._loop.later(self._dice.uniform(1.0, 30.0), self._mend_rules, symbol)

    def _mend_rules(self, symbol: str) -> None:
        if symbol in self._impossible:
            del self._impossible[symbol]
            self._venue.change_rules(symbol, USUAL)

    def _poison_symbol(self) -> None:
        """Until the calm, when everybody is asked to resume."""
        self._poison.put(self._any_symbol(), self._dice.choice(tuple(Effect)))

    # Of people.

    def _kill_for_a_while(self) -> None:
        self._operator.kill_for_a_while(self._dice.uniform(0.5, 12.0))

    def _pause_for_a_while(self) -> None:
        self._wish_for_a_while(Desired.PAUSED)

    def _close_for_a_while(self) -> None:
        self._wish_for_a_while(Desired.CLOSED)

    def _wish_for_a_while(self, desired: Desired) -> None:
        for shard in self._any_shard():
            self._operator.wish_for_a_while(shard, desired, self._dice.uniform(0.5, 10.0))

    def _remove(self) -> None:
        for shard in self._any_shard():
            self._operator.remove(shard)

    def _add_again(self) -> None:
        """Maybe before it is gone, which is refused."""
        self._remove()
        symbol = self._dice.choice(self._late)
        self._loop.later(self._dice.uniform(0.5, 10.0), self._operator.add, symbol)

    def _move(self) -> None:
        names = [machine.name for machine in self._machines]
        for shard in self._any_shard():
            self._operator.move(self._dice, shard, names)

    def _compare(self) -> None:
        for shard in self._any_shard():
            self._operator.compare(shard)

    def _update(self) -> None:
        for shard in self._any_shard():
            self._operator.update(self._dice, shard)

    def _revert(self) -> None:
        for shard in self._any_shard():
            self._operator.revert(self._dice, shard)

    def _drain(self) -> None:
        self._operator.drain_for_a_while(self._any_machine().name, self._dice.uniform(0.5, 20.0))

    def _any_machine(self) -> Machine:
        return self._dice.choice(self._machines)

    def _any_node(self) -> RunningNode | None:
        return self._any_machine().node

    def _any_shard(self) -> Sequence[int]:
        """One, unless none is there yet."""
        shards = list(self._database.shards)
        return [self._dice.choice(shards)] if shards else []

    def _any_symbol(self) -> str:
        return self._dice.choice(list(self._venue.markets))

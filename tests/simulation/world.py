"""One run: a seed decides the symbol, the machines, the weather and every accident."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from random import Random
from unittest.mock import patch

import structlog

from domain.ids import symbol_key
from domain.market import Quote
from grid import volatility
from grid.ladder import LadderVersion, anchor_for, spacing_of
from grid.phase import first_phase
from ports.store import Desired
from simulation.cut import WHOLE, Cut
from simulation.invariants import (
    Kill,
    audit,
    check_contracts,
    check_kills,
    check_rest,
    check_self_trades,
    why_halted,
)
from simulation.loop import START_S, StuckError, VirtualLoop
from simulation.machine import CAPABILITIES, Machine, Site
from simulation.market import CANDLE_MS
from simulation.node import LEASE_MS, SETTINGS, Node
from simulation.portfolio import draw_portfolio
from simulation.silence import Silence
from simulation.symbol import START, Symbol
from simulation.tables import ShardRow
from simulation.trace import Trace
from simulation.venue import Event
from simulation.venues import PerpetualsExchange, open_venue
from simulation.watch import Watch, WatchedDatabase
from simulation.weather import CALM, storm
from symbol_manager import candles, doubts

#: Number of the first symbol; the others follow.
FIRST_SHARD = 3
NONCE = 0x5EED
#: Marks the moment at which a promise was broken, in traces.
BROKEN = "BROKEN"
STEPS_MAX = 2_000_000
#: Virtual runs are minutes: candles close sooner, ladder versions are used again sooner, and what
#: the venue refused is asked for again before the run ends.
LADDER_VERSIONS = 4
LONGEST_BACKOFF_MS = 4_000

#: Within this time after the last fault everything must be as it should (I7).
CALM_S = 36.0
#: The market moves on for this part of it; the rest has room for two comparisons.
MOVING_S = 22.0
#: When in the calm funding is paid.
FUNDING_AT_S = 20.0
#: Funding rates lie between minus and plus this.
RATE_MAX_E8 = 300_000
#: A run ends when the venue has had nothing to do for this long: whom it refuses asks again.
QUIET_S = 0.25
QUIET_WITHIN = 8
#: When in the calm the kill switch is thrown, and when nothing may rest any more (I6).
KILL_AT_S = 18.0
EMPTY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    seed: int
    violations: tuple[str, ...]
    fingerprint: str
    steps: int
    virtual_s: float
    #: What there was to judge.
    orders: int
    trades: int
    deaths: int
    #: What went into it, and what was left out.
    cut: Cut
    faults: tuple[str, ...]
    accidents: tuple[int, ...]
    symbols: tuple[int, ...]
    storm_s: float
    #: Of the trace, up to where the first promise was broken.
    lines: int
    trace: tuple[str, ...] = ()


def simulate(seed: int, *, cut: Cut = WHOLE, keep_trace: bool = False) -> Outcome:
    """Run one seed, or what a cut leaves of it, from the beginning to the verdict."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        patch.dict(candles.TIMEFRAMES_MS, {"1m": CANDLE_MS}),
        patch.object(volatility, "VERSIONS", LADDER_VERSIONS),
        patch.object(doubts, "LONGEST_BACKOFF_MS", LONGEST_BACKOFF_MS),
    ):
        world = World(seed, cut, keep_trace=keep_trace)
        try:
            return world.run()
        finally:
            world.close()
            structlog.configure(**before)


class World:
    """Everything there is in a run."""

    def __init__(self, seed: int, cut: Cut, *, keep_trace: bool) -> None:
        self._seed = seed
        self._cut = cut
        self._storm_s = 0.0
        self._broken_at = 0
        #: Numbers of those that happened.
        self._happened: list[int] = []
        self._dice = Random(f"{seed}:world")
        self._loop = VirtualLoop(steps_max=STEPS_MAX)
        self._trace = Trace(self._loop, keep=keep_trace)
        weather = self._weather = cut.clear(storm(Random(f"{seed}:weather")))
        self._faults = tuple(name for name, chance in asdict(weather).items() if chance)
        self._is_calm = False
        self._failures: list[str] = []
        self._kills: list[Kill] = []
        whole = draw_portfolio(Random(f"{seed}:symbol"))
        symbols = {n: each for n, each in enumerate(whole.symbols) if cut.has_symbol(n)}
        self._portfolio = whole.of(tuple(symbols.values()))
        for symbol in symbols.values():
            self._trace.note(f"{symbol.name} {symbol.spec.model_dump_json()}")
        self._venue = open_venue(self._loop, self._trace, self._portfolio, seed=seed)
        self._venue.on_event = self._tell
        self._venue.on_quote = self._show
        watch = Watch(
            quote=self._venue.quote,
            fail=self._fail,
            stale_after_ms=SETTINGS.stale_after_ms,
            commits_late=lambda: weather.store_request_slow > 0,
        )
        self._database = WatchedDatabase(self._loop.now_ms, nonce=NONCE, watch=watch)
        for number, symbol in symbols.items():
            self._add_symbol(FIRST_SHARD + number, symbol)
        self._site = Site(
            seed=seed,
            dice=Random(f"{seed}:site"),
            loop=self._loop,
            trace=self._trace,
            weather=lambda: self._weather,
            is_calm=lambda: self._is_calm,
            database=self._database,
            venue=self._venue,
            instruments={each.name: each.instrument for each in self._portfolio.symbols},
            keeps_books=isinstance(self._venue, PerpetualsExchange),
            silence=Silence(self._loop, self._database, self._fail, LEASE_MS),
            fail=self._fail,
        )
        hosts = self._dice.choice((("box", "box"), ("east", "west")))
        self._machines = [
            Machine(name, host, self._site) for name, host in zip("ab", hosts, strict=True)
        ]
        self._finale = self._dice.choice(
            (*(Desired.RUNNING,) * 5, *(Desired.CLOSED,) * 2, Desired.PAUSED, Desired.REMOVED, None)
        )

    def run(self) -> Outcome:
        try:
            self._rage()
            self._calm_down()
        except StuckError as error:
            self._fail(f"stuck: {error}")
        violations = [*self._failures, *self._loop.failures]
        violations += audit(self._database, self._venue)
        violations += check_kills(self._kills, self._venue.ledger)
        violations += check_self_trades(self._venue.ledger)
        violations += check_contracts(self._database, self._venue, self._portfolio.margin)
        violations += self._database.unfinished(self._is_halted)
        violations += check_rest(self._database, self._venue)
        return Outcome(
            seed=self._seed,
            violations=tuple(violations),
            fingerprint=self._trace.fingerprint,
            steps=self._loop.steps,
            virtual_s=self._loop.time() - START_S,
            orders=len(self._database.orders),
            trades=sum(record["kind"] == "order_filled" for record in self._venue.ledger),
            deaths=len(self._site.ended),
            cut=self._cut,
            faults=self._faults,
            accidents=tuple(self._happened),
            symbols=tuple(shard - FIRST_SHARD for shard in self._database.shards),
            storm_s=self._storm_s,
            lines=self._broken_at or self._trace.count,
            trace=tuple(self._trace.lines),
        )

    def close(self) -> None:
        self._loop.end()

    def _fail(self, violation: str) -> None:
        """A promise is broken at this moment."""
        self._failures.append(violation)
        self._trace.note(f"{BROKEN} {violation}")
        self._broken_at = self._broken_at or self._trace.count

    def _rage(self) -> None:
        """Let accidents happen for a while."""
        for machine in self._machines:
            self._loop.later(self._dice.uniform(0.0, 3.0), machine.boot)
        accidents = self._accidents()
        lasts_s = self._dice.uniform(30.0, 90.0)
        at_s = self._dice.uniform(3.0, 10.0)
        pace_s = self._dice.uniform(3.0, 15.0)
        self._storm_s = min(lasts_s, self._cut.storm_s or lasts_s)
        for number in count():
            if at_s >= self._storm_s:
                break
            (accident,) = self._dice.choices(list(accidents), weights=list(accidents.values()))
            if self._cut.has_accident(number):
                self._loop.later(at_s, self._befall, number, accident)
            at_s += self._dice.expovariate(1 / pace_s)
        self._loop.run_for(self._storm_s)

    def _befall(self, number: int, accident: Callable[[], None]) -> None:
        """Each accident has its own dice: what comes after it does not hang on it."""
        self._dice = Random(f"{self._seed}:accident:{number}")
        self._happened.append(number)
        accident()

    def _calm_down(self) -> None:
        """No faults any more: within the time of I7 all must be well."""
        self._rearm()
        self._is_calm = True
        self._weather = CALM
        self._trace.note("calm")
        for machine in self._machines:
            machine.go_on()
            machine.mend()
        self._wish(self._finale or Desired.RUNNING)
        self._loop.later(FUNDING_AT_S, self._pay_funding)
        if self._finale is None:
            self._loop.later(KILL_AT_S, self._kill)
            self._loop.later(KILL_AT_S + EMPTY_AFTER_S, self._expect_nothing_open)
        self._loop.run_for(MOVING_S)
        self._venue.is_frozen = True
        self._loop.run_for(CALM_S - MOVING_S)
        for _ in range(QUIET_WITHIN):
            if self._venue.is_quiet:
                break
            self._loop.run_for(QUIET_S)

    def _is_halted(self, row: ShardRow) -> bool:
        return bool(why_halted(row, self._database, self._venue))

    def _accidents(self) -> dict[Callable[[], None], float]:
        """What may happen, and the weight of each; about a third never happens in this run."""
        kinds = (
            self._crash,
            self._stop,
            self._terminate,
            self._cut_exchange,
            self._cut_store,
            self._database_outage,
            self._venue.person_trades,
            self._venue.person_cancels,
            self._venue.person_transfers,
            self._jump,
            self._kill_for_a_while,
            self._pause_for_a_while,
        )
        weights = {kind: self._dice.random() for kind in kinds if self._dice.random() < 0.66}
        if isinstance(self._venue, PerpetualsExchange):
            weights[self._pay_funding] = 0.3
            if self._portfolio.margin.liquidates:
                weights[self._spike] = 0.5
        if self._finale is Desired.REMOVED:
            weights[self._remove] = 0.1
        if self._finale is Desired.CLOSED:
            weights[self._close_for_a_while] = 0.2
        if self._finale in {Desired.CLOSED, Desired.REMOVED}:
            # Whether a trade falls into the symbol's last second is nobody's to know.
            weights.pop(self._venue.person_trades, None)
            weights.pop(self._spike, None)
            # What is taken out cannot be sold.
            weights.pop(self._venue.person_transfers, None)
        return weights or {self._crash: 1.0}

    # Accidents of processes.

    def _crash(self) -> None:
        node = self._any_node()
        if node is not None:
            node.process.kill_after(self._dice.randint(0, 60))

    def _stop(self) -> None:
        self._dice.choice(self._machines).put_to_sleep()

    def _terminate(self) -> None:
        node = self._any_node()
        if node is not None:
            node.ask_to_stop(cancel_orders=self._dice.random() < 0.5)

    def _cut_exchange(self) -> None:
        self._dice.choice(self._machines).lose_exchange(self._dice.uniform(0.2, 12.0))

    def _cut_store(self) -> None:
        self._dice.choice(self._machines).lose_store(self._dice.uniform(0.2, 12.0))

    def _database_outage(self) -> None:
        lasts_s = self._dice.uniform(0.2, 8.0)
        for machine in self._machines:
            machine.lose_store(lasts_s)

    # Accidents of the market and of people.

    def _jump(self) -> None:
        self._venue.jump(self._any_symbol(), self._dice.randint(-4, 4))

    def _pay_funding(self) -> None:
        if isinstance(self._venue, PerpetualsExchange):
            for symbol in self._venue.markets:
                self._venue.pay_funding(symbol, self._dice.randint(-RATE_MAX_E8, RATE_MAX_E8))

    def _spike(self) -> None:
        if isinstance(self._venue, PerpetualsExchange):
            self._venue.spike_mark(self._any_symbol())

    def _wish(self, desired: Desired, *shards: int) -> None:
        """Of some symbols, or of all."""
        for shard in shards or self._database.shards:
            self._trace.note(f"operator wants {shard} {desired.value}")
            self._database.wish(shard, desired)

    def _remove(self) -> None:
        self._wish(Desired.REMOVED, self._any_shard())

    def _close_for_a_while(self) -> None:
        shard = self._any_shard()
        self._wish(Desired.CLOSED, shard)
        self._loop.later(self._dice.uniform(0.5, 10.0), self._resume, shard)

    def _pause_for_a_while(self) -> None:
        shard = self._any_shard()
        self._wish(Desired.PAUSED, shard)
        self._loop.later(self._dice.uniform(0.5, 10.0), self._resume, shard)

    def _resume(self, shard: int) -> None:
        if not self._is_calm:
            self._wish(Desired.RUNNING, shard)

    def _kill(self) -> None:
        self._trace.note("killed")
        if not self._database.is_killed:
            self._database.is_killed = True
            expiry_ms = CAPABILITIES.request_expiry_ms or 0
            late_ms = LEASE_MS + expiry_ms + CAPABILITIES.clock_skew_ms
            now_ms = self._loop.now_ms()
            allowed_ms = 1_000 if self._is_calm else late_ms
            self._kills.append(Kill(engaged_ms=now_ms, rearmed_ms=None, allowed_ms=allowed_ms))

    def _kill_for_a_while(self) -> None:
        self._kill()
        self._loop.later(self._dice.uniform(0.5, 12.0), self._rearm)

    def _rearm(self) -> None:
        if self._database.is_killed and not self._is_calm:
            self._trace.note("re-armed")
            self._database.is_killed = False
            kill = self._kills.pop()
            self._kills.append(
                Kill(
                    engaged_ms=kill.engaged_ms,
                    rearmed_ms=self._loop.now_ms(),
                    allowed_ms=kill.allowed_ms,
                )
            )

    def _expect_nothing_open(self) -> None:
        resting = [order for each in self._venue.markets for order in self._venue.open_orders(each)]
        for report in resting:
            self._fail(f"I6 order {report.client_order_id}: open {EMPTY_AFTER_S} s after the kill")

    # What processes get to know.

    def _tell(self, event: Event) -> None:
        for machine in self._machines:
            if machine.node is not None:
                machine.node.exchange.hear(event)

    def _show(self, quote: Quote) -> None:
        for machine in self._machines:
            if machine.node is not None:
                machine.node.exchange.see(quote)

    def _any_node(self) -> Node | None:
        return self._dice.choice(self._machines).node

    def _any_shard(self) -> int:
        return self._dice.choice(list(self._database.shards))

    def _any_symbol(self) -> str:
        return self._dice.choice(list(self._venue.markets))

    def _add_symbol(self, shard: int, symbol: Symbol) -> None:
        instrument, spec = symbol.instrument, symbol.spec
        key = symbol_key(instrument.account, instrument.symbol)
        start = spec.trigger_price or START
        row = ShardRow(
            shard=shard,
            key=key,
            account=instrument.account,
            symbol=instrument.symbol,
            spec=spec,
            start_price=start,
            phase=first_phase(spec.trigger_price, START),
            ladder_version=0,
            instrument=instrument,
            created_ms=self._loop.now_ms() - 1,
            workflow_id=f"run_shard:{key}:{shard}",
        )
        spacing = spacing_of(spec, instrument)
        ladder = LadderVersion(version=0, anchor=anchor_for(spec, start), spacing=spacing)
        self._database.add_shard(row, ladder, self._portfolio.opening, self._venue.now_ms())

"""One run: a seed decides the symbol, the machines, the weather and every accident."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from random import Random
from unittest.mock import patch

import structlog

from domain.ids import symbol_key
from domain.market import Quote
from grid import volatility
from grid.ladder import LadderVersion, anchor_for, spacing_of
from grid.phase import first_phase
from orchestrator import changes, guard, node, trading_rules
from ports.store import Desired
from simulation.accidents import Accidents
from simulation.answers import check_requests
from simulation.clock import EPOCH_MS
from simulation.cut import WHOLE, Cut
from simulation.invariants import audit, check_contracts, check_kills, check_self_trades
from simulation.loop import START_S, StuckError, VirtualLoop
from simulation.machine import Machine, Site
from simulation.market import CANDLE_MS
from simulation.node import LEASE_MS, SETTINGS
from simulation.operator import Operator
from simulation.poison import Effect, Poison
from simulation.portfolio import draw_portfolio
from simulation.rest import check_places, check_rest, lacks_funds, why_halted, why_not_followed
from simulation.silence import Silence
from simulation.switches import check_cancelled_by_switch, check_switches
from simulation.symbol import START, Symbol
from simulation.tables import Progress, ShardRow
from simulation.trace import Trace
from simulation.venue import QUIET_MS, Event
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
#: A run ends when the venue has had nothing to do for this long: whom it refuses asks again.
QUIET_S = 0.25
QUIET_WITHIN = 8
#: It goes on while a request waits for a rate limit that is nearly used up, for as long as that has
#: patience, and until the symbol that it adds has had its time.
LATE_S = 5.0
LATE_WITHIN = int(changes.VENUE_PATIENCE_S / LATE_S) + 4
SETTLES_S = 15.0
#: When in the calm the kill switch is thrown, and when nothing may rest any more (I6).
KILL_AT_S = 18.0
EMPTY_AFTER_S = 5.0
#: On which hosts the machines are.
HOSTS = (("box", "box"), ("east", "west"), ("east", "west", "west"))
#: Symbols that one node may run.
CAPACITIES = (2, 3, 10)
#: Dead-man switches: none, and such as outlast a take-over.
SWITCHES_S = (0, 8, 15)
#: How often symbols are added while the storm goes on.
ADDS = 0.25
#: How often one of several symbols ends whatever process looks at it, from when on.
POISONED = 0.4
POISONED_AT_S = (2.0, 8.0)
#: How often rules that no grid can follow are there to stay.
KEEPS_RULES = 0.5
#: The venue's rules are asked for sooner, as runs are minutes.
RULES_LEAST_EVERY_S = 4.0
#: Nodes without symbols live long enough to need another quote, and suspects to have their turn.
QUOTES_FORGOTTEN_S = 6.0
LOOKS_UNTIL_PROVEN = 10
#: Every request is answered before a run ends.
CONVERGE_S = 8.0


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
    #: Requests that were done as asked, and specs that were made by them.
    answers: int
    edits: int
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
        patch.object(trading_rules, "LEAST_EVERY_S", RULES_LEAST_EVERY_S),
        patch.object(node, "QUOTES_FORGOTTEN_S", QUOTES_FORGOTTEN_S),
        patch.object(changes, "CONVERGE_S", CONVERGE_S),
        patch.object(guard, "LOOKS_UNTIL_PROVEN", LOOKS_UNTIL_PROVEN),
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
        self._dice = Random(f"{seed}:world")
        self._loop = VirtualLoop(steps_max=STEPS_MAX)
        self._trace = Trace(self._loop, keep=keep_trace)
        weather = self._weather = cut.clear(storm(Random(f"{seed}:weather")))
        self._faults = tuple(name for name, chance in asdict(weather).items() if chance)
        self._is_calm = False
        self._calm_ms = 0
        self._failures: list[str] = []
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
            resting=self._own_orders,
            fail=self._fail,
            stale_after_ms=SETTINGS.stale_after_ms,
            commits_late=lambda: weather.store_request_slow > 0,
            clocks_are_right=lambda: all(machine.is_clock_right for machine in self._machines),
        )
        self._database = WatchedDatabase(self._loop.now_ms, nonce=NONCE, watch=watch)
        self._poison = Poison(is_deadly="dies" in self._faults)
        self._numbers = tuple(symbols)
        adds = not whole.is_scarce and Random(f"{seed}:late").random() < ADDS
        self._late = self._portfolio.symbols if adds else ()
        poisoned = Random(f"{seed}:poison")
        if len(symbols) > 1 and poisoned.random() < POISONED:
            name = poisoned.choice(self._portfolio.symbols).name
            at_s = poisoned.uniform(*POISONED_AT_S)
            self._loop.later(at_s, self._poison.put, name, Effect.KILLS)
        for number, symbol in () if adds else symbols.items():
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
            capacity=self._dice.choice(CAPACITIES),
            dead_man_switch_s=Random(f"{seed}:switch").choice(SWITCHES_S),
            keeps_books=isinstance(self._venue, PerpetualsExchange),
            poison=self._poison,
            silence=Silence(self._loop, self._database, self._fail, LEASE_MS),
            fail=self._fail,
        )
        self._machines = [
            Machine(name, host, self._site)
            for name, host in zip("abc", self._dice.choice(HOSTS), strict=False)
        ]
        self._operator = Operator(
            self._loop,
            self._trace,
            self._database,
            symbols=len(self._portfolio.symbols),
            poison=self._poison,
        )
        self._accidents = Accidents(
            seed=seed,
            dice=Random(f"{seed}:accidents"),
            loop=self._loop,
            database=self._database,
            venue=self._venue,
            machines=self._machines,
            operator=self._operator,
            poison=self._poison,
        )
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
        violations += check_kills(self._operator.kills, self._venue.ledger)
        violations += check_self_trades(self._venue.ledger)
        violations += check_contracts(self._database, self._venue, self._portfolio.margin)
        violations += self._database.unfinished(self._may_stay_open)
        violations += check_rest(self._database, self._venue, self._loop.now_ms())
        violations += check_places(self._database)
        violations += check_requests(
            self._database, self._operator.last_words, is_deadly=self._poison.is_deadly
        )
        if self._database.is_killed is not (self._finale is None):
            violations.append(f"the kill switch: engaged is {self._database.is_killed}")
        violations += check_switches(self._database, self._venue, self._site.dead_man_switch_s)
        violations += check_cancelled_by_switch(self._venue.ledger, EPOCH_MS + self._calm_ms)
        return Outcome(
            seed=self._seed,
            violations=tuple(violations),
            fingerprint=self._trace.fingerprint,
            steps=self._loop.steps,
            virtual_s=self._loop.time() - START_S,
            orders=len(self._database.orders),
            trades=sum(record["kind"] == "order_filled" for record in self._venue.ledger),
            deaths=len(self._site.ended),
            answers=sum(
                (row.result or {}).get("outcome") == "done"
                for row in self._database.changes.values()
            ),
            edits=len(self._database.specs) - len(self._database.shards),
            cut=self._cut,
            faults=self._faults,
            accidents=tuple(self._accidents.happened),
            symbols=self._numbers,
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
        self._storm_s = self._accidents.schedule(
            self._cut,
            finale=self._finale,
            liquidates=self._portfolio.margin.liquidates,
            late=self._late,
        )
        self._loop.run_for(self._storm_s)

    def _calm_down(self) -> None:
        """No faults any more: within the time of I7 all must be well."""
        self._is_calm = True
        self._weather = CALM
        self._calm_ms = self._loop.now_ms()
        self._trace.note("calm")
        for machine in self._machines:
            machine.go_on()
            machine.mend()
        # Rules that no grid can follow may stay: then a symbol is halted until the end.
        keeps_rules = self._finale is Desired.RUNNING and self._dice.random() < KEEPS_RULES
        self._accidents.settle(mends_rules=not keeps_rules)
        alive = [
            each.node.process.name
            for each in self._machines
            if each.node is not None and not each.is_lost
        ]
        self._operator.settle(self._finale or Desired.RUNNING, alive=alive)
        self._loop.later(FUNDING_AT_S, self._accidents.pay_funding)
        if self._finale is None:
            self._loop.later(KILL_AT_S, self._operator.kill)
            self._loop.later(KILL_AT_S + EMPTY_AFTER_S, self._expect_nothing_open)
        self._loop.run_for(MOVING_S)
        self._venue.is_frozen = True
        self._loop.run_for(CALM_S - MOVING_S)
        for _ in range(LATE_WITHIN):
            if not self._is_late():
                break
            self._loop.run_for(LATE_S)
        for _ in range(QUIET_WITHIN):
            if self._venue.is_quiet and self._database.quiet_ms > QUIET_MS:
                break
            self._loop.run_for(QUIET_S)

    def _is_late(self) -> bool:
        """Whether a request is not answered yet, or a symbol was added just now."""
        youngest_ms = max((row.created_ms for row in self._database.shards.values()), default=0)
        return youngest_ms > self._loop.now_ms() - int(SETTLES_S * 1_000) or any(
            row.progress is not Progress.DONE for row in self._database.changes.values()
        )

    def _may_stay_open(self, row: ShardRow) -> bool:
        """Halted it closes at its levels only; a short one that cannot pay has nothing to do."""
        return bool(
            why_halted(row, self._database, self._venue)
            or why_not_followed(row, self._database, self._venue)
            or lacks_funds(row, self._venue)
        )

    def _expect_nothing_open(self) -> None:
        for name in self._own_orders():
            self._fail(f"I6 order {name}: open {EMPTY_AFTER_S} s after the kill")

    def _own_orders(self) -> list[str]:
        return [
            report.client_order_id
            for symbol in self._venue.markets
            for report in self._venue.open_orders(symbol)
        ]

    # What processes get to know.

    def _tell(self, event: Event) -> None:
        for machine in self._machines:
            if machine.node is not None:
                machine.node.exchange.hear(event)

    def _show(self, quote: Quote) -> None:
        for machine in self._machines:
            if machine.node is not None:
                machine.node.exchange.see(quote)

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

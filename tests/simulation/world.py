"""One run: a seed decides the symbol, the machines, the weather and every accident."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import structlog

from domain.ids import symbol_key
from domain.instrument import Instrument
from domain.market import Quote
from grid.ladder import LadderVersion
from grid.phase import first_phase
from grid.spec import GridSpec
from ports.exchange import Capabilities
from ports.store import Desired
from simulation.clock import VirtualClock
from simulation.database import Database
from simulation.exchange import SimulatedExchange
from simulation.fate import Fate
from simulation.invariants import Kill, audit, check_kills, check_rest
from simulation.loop import START_S, Process, StuckError, VirtualLoop
from simulation.node import LEASE_MS, SETTINGS, Node, NodePorts
from simulation.store import SimulatedStore
from simulation.tables import ShardRow
from simulation.trace import Trace
from simulation.venue import Event, SimulatedVenue
from simulation.weather import CALM, storm
from simulator.symbols import SymbolConfig

CAPABILITIES = Capabilities(request_expiry_ms=1_000, clock_skew_ms=500)
SHARD = 3
NONCE = 0x5EED
ACCOUNT = "sim"
OPENING = {"BTC": Decimal(5), "USDT": Decimal(100_000)}
STEPS_MAX = 2_000_000

#: Within this time after the last fault everything must be as it should (I7).
CALM_S = 30.0
#: The market moves on for this part of it.
MOVING_S = 24.0
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
    trace: tuple[str, ...] = ()


def simulate(seed: int, *, keep_trace: bool = False) -> Outcome:
    """Run one seed from the beginning to the verdict."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    world = World(seed, keep_trace=keep_trace)
    try:
        return world.run()
    finally:
        world.close()
        structlog.configure(**before)


class _Machine:
    """Where one node runs, is killed and starts again."""

    def __init__(self, name: str, host: str) -> None:
        self.name = name
        self.host = host
        self.starts = 0
        self.node: Node | None = None


class World:
    """Everything there is in a run."""

    def __init__(self, seed: int, *, keep_trace: bool) -> None:
        self._seed = seed
        self._dice = Random(f"{seed}:world")
        self._loop = VirtualLoop(steps_max=STEPS_MAX)
        self._trace = Trace(self._loop, keep=keep_trace)
        self._storm = storm(Random(f"{seed}:weather"))
        self._weather = self._storm
        self._is_calm = False
        self._failures: list[str] = []
        self._kills: list[Kill] = []
        self._ended: set[str] = set()
        self._deaths = 0
        market, instrument = _market(self._dice)
        self._venue = SimulatedVenue(
            self._loop, self._trace, market, instrument, OPENING, seed=seed
        )
        self._venue.on_event = self._tell
        self._venue.on_quote = self._show
        self._instrument = instrument
        self._database = Database(self._loop.now_ms, nonce=NONCE)
        self._step_e8 = self._add_symbol(market)
        hosts = self._dice.choice((("box", "box"), ("east", "west")))
        self._machines = [_Machine(name, host) for name, host in zip("ab", hosts, strict=True)]
        self._finale = self._dice.choice(
            (Desired.RUNNING,) * 6 + (Desired.PAUSED, Desired.REMOVED, None)
        )

    def run(self) -> Outcome:
        try:
            self._rage()
            self._calm_down()
        except StuckError as error:
            self._failures.append(f"stuck: {error}")
        violations = [*self._failures, *self._loop.failures]
        violations += audit(self._database, self._venue)
        violations += check_kills(self._kills, self._venue.ledger)
        violations += check_rest(self._database, self._venue, SETTINGS.orders_per_minute)
        return Outcome(
            seed=self._seed,
            violations=tuple(violations),
            fingerprint=self._trace.fingerprint,
            steps=self._loop.steps,
            virtual_s=self._loop.time() - START_S,
            orders=len(self._database.orders),
            trades=len(self._venue.trades),
            deaths=self._deaths,
            trace=tuple(self._trace.lines),
        )

    def close(self) -> None:
        self._loop.end()

    def _rage(self) -> None:
        """Let accidents happen for a while."""
        for machine in self._machines:
            self._loop.later(self._dice.uniform(0.0, 3.0), self._boot, machine)
        accidents = self._accidents()
        lasts_s = self._dice.uniform(40.0, 120.0)
        at_s = self._dice.uniform(3.0, 10.0)
        pace_s = self._dice.uniform(3.0, 15.0)
        while at_s < lasts_s:
            (accident,) = self._dice.choices(list(accidents), weights=list(accidents.values()))
            self._loop.later(at_s, accident)
            at_s += self._dice.expovariate(1 / pace_s)
        self._loop.run_for(lasts_s)

    def _calm_down(self) -> None:
        """No faults any more: within the time of I7 all must be well."""
        self._rearm()
        self._is_calm = True
        self._weather = CALM
        self._trace.note("calm")
        for machine in self._machines:
            self._go_on(machine)
            self._mend(machine)
        self._wish(self._finale or Desired.RUNNING)
        if self._finale is None:
            self._loop.later(KILL_AT_S, self._kill)
            self._loop.later(KILL_AT_S + EMPTY_AFTER_S, self._expect_nothing_open)
        self._loop.run_for(MOVING_S)
        self._venue.is_frozen = True
        self._loop.run_for(CALM_S - MOVING_S)

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
            self._jump,
            self._kill_for_a_while,
            self._pause_for_a_while,
        )
        weights = {kind: self._dice.random() for kind in kinds if self._dice.random() < 0.66}
        if self._finale is Desired.REMOVED:
            weights[self._remove] = 0.1
            # Whether a trade falls into the symbol's last second is nobody's to know.
            weights.pop(self._venue.person_trades, None)
        return weights or {self._crash: 1.0}

    # Accidents of processes.

    def _boot(self, machine: _Machine) -> None:
        machine.starts += 1
        executor = f"{machine.name}.{machine.starts}"
        dice = Random(f"{self._seed}:{executor}")
        process = Process(self._loop, executor)
        skew_ms = dice.randint(-CAPABILITIES.clock_skew_ms, CAPABILITIES.clock_skew_ms) // 2
        clock = VirtualClock(self._loop, skew_ms)

        def hazard(weight: float) -> None:
            weather, chance = self._weather, dice.random() / weight
            if chance < weather.dies:
                process.kill_after(dice.randint(0, 3))
            elif chance < weather.dies + weather.sleeps:
                self._put_to_sleep(machine)

        fate = Fate(
            loop=self._loop,
            trace=self._trace,
            dice=dice,
            weather=lambda: self._weather,
            hazard=hazard,
        )
        machine.node = Node(
            NodePorts(
                process=process,
                executor=executor,
                host=machine.host,
                database=self._database,
                store=SimulatedStore(fate, self._database, executor),
                exchange=SimulatedExchange(
                    fate, self._venue, clock, CAPABILITIES, self._instrument
                ),
                clock=clock,
                fate=fate,
                has_ended=self._ended.__contains__,
                fail=self._failures.append,
            )
        )
        self._trace.note(f"{executor} starts")

        def bury() -> None:
            self._trace.note(f"{executor} is dead")
            self._ended.add(executor)
            self._deaths += 1
            machine.node = None
            longest_s = 0.3 if self._is_calm else self._dice.choice((0.1, 0.3, 8.0))
            self._loop.later(self._dice.uniform(0.01, longest_s), self._boot, machine)

        process.start(machine.node.main(), bury)

    def _crash(self) -> None:
        node = self._any_node()
        if node is not None:
            node.process.kill_after(self._dice.randint(0, 60))

    def _stop(self) -> None:
        self._put_to_sleep(self._dice.choice(self._machines))

    def _put_to_sleep(self, machine: _Machine) -> None:
        """As by SIGSTOP, and later SIGCONT."""
        if machine.node is not None:
            self._trace.note(f"{machine.node.process.name} is stopped")
            machine.node.process.stop()
            lasts_s = self._dice.uniform(*self._dice.choice(((0.2, 2.0), (4.0, 12.0))))
            self._loop.later(lasts_s, self._go_on, machine)

    def _go_on(self, machine: _Machine) -> None:
        if machine.node is not None:
            self._trace.note(f"{machine.node.process.name} goes on")
            machine.node.process.go_on()

    def _terminate(self) -> None:
        node = self._any_node()
        if node is not None:
            node.ask_to_stop(cancel_orders=self._dice.random() < 0.5)

    def _cut_exchange(self) -> None:
        machine = self._dice.choice(self._machines)
        if machine.node is not None:
            self._trace.note(f"{machine.node.process.name} loses the exchange")
            machine.node.exchange.link.is_cut = True
            self._loop.later(self._dice.uniform(0.2, 12.0), self._mend, machine)

    def _cut_store(self) -> None:
        machine = self._dice.choice(self._machines)
        if machine.node is not None:
            self._trace.note(f"{machine.node.process.name} loses the store")
            machine.node.store.link.is_cut = True
            self._loop.later(self._dice.uniform(0.2, 12.0), self._mend, machine)

    def _database_outage(self) -> None:
        self._trace.note("the database is gone")
        for machine in self._machines:
            if machine.node is not None:
                machine.node.store.link.is_cut = True
        lasts_s = self._dice.uniform(0.2, 8.0)
        for machine in self._machines:
            self._loop.later(lasts_s, self._mend, machine)

    def _mend(self, machine: _Machine) -> None:
        if machine.node is not None:
            machine.node.store.link.is_cut = machine.node.exchange.link.is_cut = False

    # Accidents of the market and of people.

    def _jump(self) -> None:
        self._venue.jump(self._dice.randint(-4, 4) * self._step_e8)

    def _wish(self, desired: Desired) -> None:
        self._trace.note(f"operator wants it {desired.value}")
        self._database.wish(SHARD, desired)

    def _remove(self) -> None:
        self._wish(Desired.REMOVED)

    def _pause_for_a_while(self) -> None:
        self._wish(Desired.PAUSED)
        self._loop.later(self._dice.uniform(0.5, 10.0), self._resume)

    def _resume(self) -> None:
        if not self._is_calm:
            self._wish(Desired.RUNNING)

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
        for report in self._venue.open_orders():
            self._failures.append(
                f"I6 order {report.client_order_id}: open {EMPTY_AFTER_S} s after the kill"
            )

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

    def _add_symbol(self, market: SymbolConfig) -> int:
        """Register the symbol; returns its grid's step in 1e-8."""
        step = Decimal(self._dice.choice((20, 30, 50))) / 100
        spec = GridSpec.model_validate(
            {
                "spacing": {"kind": "arithmetic", "step": str(step)},
                "range": {
                    "kind": "window",
                    "buy_window": self._dice.randint(1, 5),
                    "sell_window": self._dice.randint(1, 8),
                },
                "order_size": {"kind": "base", "amount": self._dice.choice(("0.06", "0.1", "0.5"))},
                "budget_quote": self._dice.choice(("100", "300", "5000")),
            }
        )
        key = symbol_key(ACCOUNT, self._instrument.symbol)
        self._database.add_shard(
            ShardRow(
                shard=SHARD,
                key=key,
                account=ACCOUNT,
                symbol=self._instrument.symbol,
                spec=spec,
                start_price=market.start_price,
                phase=first_phase(spec.trigger_price, market.start_price),
                ladder_version=0,
                instrument=self._instrument,
                created_ms=self._loop.now_ms() - 1,
                workflow_id=f"run_shard:{key}:{SHARD}",
            ),
            LadderVersion(version=0, anchor=market.start_price, spacing=spec.spacing),
            OPENING,
        )
        return int(step * 10**8)


def _market(dice: Random) -> tuple[SymbolConfig, Instrument]:
    """One symbol as the venue has it and as the core has it."""
    fee = dice.choice((Decimal("0.0001"), Decimal("0.0005"), Decimal(0)))
    market = SymbolConfig(
        name="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.001"),
        start_price=Decimal("100.00"),
        maker_fee=fee,
        taker_fee=fee,
        displayed_quantity=dice.choice((Decimal("0.05"), Decimal("0.2"), Decimal(2))),
        spread_ticks=dice.choice((1, 2, 10)),
        volatility_bps=Decimal(dice.choice((40, 90, 200))),
        ticks_per_s=4,
    )
    instrument = Instrument(
        account=ACCOUNT,
        symbol="BTC/USDT",
        base=market.base,
        quote=market.quote,
        tick_size=market.tick_size,
        lot_size=market.step_size,
        min_notional=market.min_notional,
        maker_fee=fee,
        taker_fee=fee,
    )
    return market, instrument

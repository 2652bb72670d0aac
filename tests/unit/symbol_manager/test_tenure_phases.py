"""A grid waits, runs, closes and ends; each phase is durable before anything is done in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import StoreUnavailable
from domain.ids import Purpose, Side
from domain.instrument import Instrument
from domain.orders import Open, Order, OrderReport
from domain.plans import CommittedPlan
from grid.phase import Phase, Stage
from ports.store import Changes, Decision, Desired, Ownership, Status
from symbol_manager.tenure import ShardSettings
from unit.symbol_manager.bench import Bench
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    RecordingStore,
    make_intent,
    make_phase,
    make_slot,
    make_spec,
    make_state,
    slot_id,
    venue_id,
)

ENTRIES = {-1, -2, -3}
EXIT = make_intent(-1, Side.SELL)
STOP_PRICE = Decimal("97.5")
STOPPED = "stop-loss: the price reached 97.5"
#: Half a percent below the bid and not a tick more, so that it is filled at once.
FLATTENING_PRICE = Decimal("97.01")


@dataclass
class NotingStore(RecordingStore):
    """Notes phases and places in the order in which they became durable."""

    notes: list[str] = field(default_factory=list)
    takes_phases: bool = True

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        if changes.phase is not None:
            if not self.takes_phases:
                raise StoreUnavailable("gone")
            self.notes.append(changes.phase.stage.value)
        await super().record(ownership, instrument, changes)

    async def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        places = decision.approved.plan.places
        self.notes += sorted({place.intent.tag.purpose.name.lower() for place in places})
        return await super().commit_decision(decision, instrument)


def holding_bench(phase: Phase | None = None, **spec: Any) -> Bench:
    """Slot -1 holds what it bought, its exit rests; the account has it and pays for more."""
    stop = {"stop_loss": {"price": str(STOP_PRICE)}, "on_stop": "close"}
    bench = Bench(
        make_state(
            slots=[make_slot(-1, ENTRY_LOTS, sell_generation=1)],
            orders=[Order(intent=EXIT, state=Open(venue_id(EXIT)))],
            spec=make_spec(**stop | spec),
            phase=phase,
        ),
        store=NotingStore(),
    )
    bench.rest(EXIT)
    bench.exchange.balances["BTC"] = bench.store.held = Decimal("0.1")
    return bench


def notes(bench: Bench) -> list[str]:
    assert isinstance(bench.store, NotingStore)
    return bench.store.notes


def flattening(bench: Bench) -> OrderReport:
    """The one open order, which is to close slot -1."""
    (report,) = bench.exchange.open_orders()
    assert bench.tag(report).purpose is Purpose.FLATTEN
    assert bench.tag(report).slot == slot_id(-1)
    return report


def open_orders(bench: Bench) -> set[tuple[int, Side]]:
    return {(bench.tag(report).slot.number, report.side) for report in bench.exchange.open_orders()}


async def fall(bench: Bench) -> None:
    """The price falls to the stop; a plan cancels what rests and the next one flattens."""
    bench.price = STOP_PRICE
    await bench.round()
    await bench.round()


async def test_tenure_stop_loss_closes_the_inventory_and_ends_the_grid() -> None:
    bench = holding_bench()
    async with bench.serving():
        assert open_orders(bench) == {(-2, Side.BUY), (-3, Side.BUY), (-1, Side.SELL)}

        await fall(bench)
        assert bench.status == (Status.CLOSING, STOPPED)
        report = flattening(bench)
        assert (report.side, report.price) == (Side.SELL, FLATTENING_PRICE)
        assert report.quantity == Decimal("0.1")

        bench.fill(report)
        await bench.round()
        assert bench.status == (Status.STOPPED, STOPPED)
        assert bench.state.slot(slot_id(-1)).inventory_units == 0
        assert notes(bench) == ["entry", "closing", "flatten", "ended"]


async def test_tenure_that_was_stopped_stays_so_though_the_price_comes_back() -> None:
    bench = holding_bench()
    async with bench.serving():
        await fall(bench)
        bench.price = Decimal("99.5")
        await bench.rounds(3, every_ms=1_000)
        assert bench.status == (Status.CLOSING, STOPPED)
        bench.fill(flattening(bench))
        await bench.rounds(3, every_ms=1_000)
        assert bench.status == (Status.STOPPED, STOPPED)
        assert bench.exchange.open_orders() == []


async def test_tenure_of_a_grid_that_was_closing_goes_on_closing() -> None:
    """A restart: the price is back where the grid would trade."""
    bench = holding_bench(make_phase(Stage.CLOSING, reason=STOPPED))
    async with bench.serving():
        await bench.round()
        flattening(bench)
        assert bench.status == (Status.CLOSING, STOPPED)


async def test_tenure_phase_that_postgres_does_not_take_is_not_acted_on() -> None:
    bench = holding_bench()
    assert isinstance(bench.store, NotingStore)
    bench.store.takes_phases = False
    bench.price = STOP_PRICE
    bench.tick()
    with pytest.raises(StoreUnavailable):
        async with bench.serving():
            pass
    assert bench.state.phase.stage is Stage.RUNNING
    assert open_orders(bench) == {(-1, Side.SELL)}


async def test_tenure_stop_of_a_grid_that_keeps_its_inventory_only_cancels() -> None:
    bench = holding_bench(on_stop="keep")
    async with bench.serving():
        bench.price = STOP_PRICE
        await bench.round()
        assert bench.status == (Status.STOPPED, STOPPED)
        assert bench.exchange.open_orders() == []
        assert bench.state.slot(slot_id(-1)).inventory_units > 0
        assert notes(bench) == ["entry", "ended"]


async def test_tenure_stale_price_touches_no_stop() -> None:
    bench = holding_bench()
    async with bench.serving():
        bench.price = STOP_PRICE
        rounds = len(bench.views)
        bench.tick(age_ms=ShardSettings().stale_after_ms + 1)
        await bench.until_round(rounds + 1)
        assert bench.status == (Status.HALTED, "no fresh price from the exchange")
        assert bench.state.phase.stage is Stage.RUNNING
        assert open_orders(bench) == {(-1, Side.SELL)}
        await bench.round()
        assert bench.state.phase.stage is Stage.CLOSING


async def test_tenure_take_profit_counts_pairs_and_floating_inventory() -> None:
    """Slot -1 bought 0.1 at 99, the price is 99.5: 0.05 floating beside what pairs brought."""
    bench = holding_bench(stop_loss=None, take_profit={"quote": "0.06"})
    async with bench.serving():
        assert bench.state.phase.stage is Stage.RUNNING
        bench.price = Decimal("99.59")
        await bench.round()
        assert bench.state.phase.stage is Stage.RUNNING
        bench.price = Decimal("99.6")
        await bench.round()
        assert bench.state.phase == Phase(
            stage=Stage.CLOSING, reason="take-profit: the total profit is 0.06000000 USDT"
        )


@pytest.mark.parametrize(
    ("trigger", "above", "before", "at"),
    [
        pytest.param("101", True, "100.99", "101", id="rises to it"),
        pytest.param("99", False, "99.01", "99", id="falls to it"),
    ],
)
async def test_tenure_of_a_waiting_grid_trades_once_the_price_reached_its_trigger(
    trigger: str, above: bool, before: str, at: str
) -> None:
    bench = Bench(
        make_state(
            spec=make_spec(trigger_price=trigger),
            phase=make_phase(Stage.WAITING, trigger_above=above),
        ),
        store=NotingStore(),
        price=Decimal(before),
    )
    async with bench.serving():
        assert bench.status == (Status.WAITING, "for the trigger price")
        assert bench.exchange.orders == {}

        bench.price = Decimal(at)
        await bench.round()
        assert bench.status == (Status.RUNNING, "")
        assert len(bench.entries()) == 3
        # It does not wait again.
        bench.price = Decimal(before)
        await bench.round()
        assert bench.status == (Status.RUNNING, "")
        assert notes(bench)[:2] == ["running", "entry"]


async def test_tenure_fixed_range_trails_the_price_a_level_at_a_time() -> None:
    bench = Bench(
        make_state(
            spec=make_spec(
                range={"kind": "fixed", "lower": "100", "upper": "103"},
                trailing={"up_to": "105"},
                max_open_orders=1,
            )
        ),
        price=Decimal("103.5"),
    )
    async with bench.serving():
        await bench.rounds(5, every_ms=1_000)
        shifts = [changes.phase.shift for changes in bench.store.recorded if changes.phase]
        assert shifts == [1]
        bench.price = Decimal(110)
        await bench.rounds(5, every_ms=1_000)
        assert bench.state.phase.shift == 2
        assert bench.state.grid.ladder.highest_index == 5


async def test_tenure_of_a_symbol_to_be_closed_flattens_then_is_removed() -> None:
    bench = holding_bench(stop_loss=None)
    async with bench.serving():
        bench.wish(Desired.CLOSED)
        await bench.round()
        await bench.round()
        assert bench.status == (Status.REMOVING, "closing the inventory")
        bench.fill(flattening(bench))
        await bench.until_ended()
    assert bench.store.statuses[-1] == (Status.REMOVED, "inventory closed")
    assert bench.exchange.open_orders() == []
    # What the operator wants is not a phase of the grid.
    assert notes(bench) == ["entry", "flatten"]


async def test_tenure_of_a_symbol_to_be_closed_that_holds_nothing_is_removed_at_once() -> None:
    bench = Bench()
    async with bench.serving():
        assert bench.entries() == ENTRIES
        bench.wish(Desired.CLOSED)
        await bench.until_ended()
    assert bench.store.statuses[-1] == (Status.REMOVED, "inventory closed")
    assert bench.exchange.open_orders() == []


async def test_tenure_closing_under_the_kill_switch_places_nothing() -> None:
    bench = holding_bench(make_phase(Stage.CLOSING, reason=STOPPED))
    bench.wish(is_killed=True)
    async with bench.serving():
        await bench.rounds(3, every_ms=1_000)
        assert bench.exchange.open_orders() == []
        assert bench.status == (Status.STOPPED, "kill switch")
        assert notes(bench) == []

        bench.wish()
        await bench.round()
        flattening(bench)

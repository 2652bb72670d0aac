"""A tenure keeps its limits and its promises while the exchange or the operators get in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import OrderNotFound, OwnershipLost, TransientVenueError
from domain.ids import ClientOrderId
from domain.instrument import Instrument
from domain.orders import Absent, Open, Order, OrderReport, Sent, Unknown, VenueStatus
from domain.plans import CommittedPlan
from ports.exchange import NotSent, Outcome, Outcomes, SendGuard
from ports.store import Desired, Origin, Status
from support.fake_exchange import FakeExchange
from symbol_manager.compare import COMPARE_AGAIN_MS, FAILED_COMPARISONS_MAX, LOOK_UPS_A_ROUND
from symbol_manager.tenure import PLAN_AGE_MAX_MS
from unit.symbol_manager.bench import PATIENCE_S, RECONCILE_EVERY_MS, Bench
from unit.symbol_manager.factories import (
    CAPABILITIES,
    ENTRY_LOTS,
    make_intent,
    make_report,
    make_slot,
    make_state,
    make_trade,
    slot_id,
    venue_id,
)

ENTRIES = {-1, -2, -3}
INTENTS = [make_intent(slot) for slot in sorted(ENTRIES)]


def resting() -> list[Order]:
    return [Order(intent=intent, state=Open(venue_id(intent))) for intent in INTENTS]


@pytest.fixture
def bench() -> Bench:
    """Three entries rest and are known to."""
    bench = Bench(make_state(slots=map(make_slot, ENTRIES), orders=resting()))
    bench.rest(*INTENTS)
    return bench


def kill(bench: Bench) -> None:
    bench.wish(is_killed=True)


def remove(bench: Bench) -> None:
    bench.wish(Desired.REMOVED)


def stop(bench: Bench) -> None:
    bench.stop.ask(cancel_orders=True)
    bench.mailbox.wake()


@pytest.mark.parametrize("end", [kill, remove, stop])
@pytest.mark.parametrize("query", ["fetch_open_orders", "fetch_balances", "fetch_trades"])
async def test_tenure_that_is_to_end_cancels_though_the_exchange_answers_nothing_else(
    bench: Bench, end: Callable[[Bench], None], query: str
) -> None:
    async with bench.serving():
        assert bench.entries() == ENTRIES
        bench.exchange.failing = {query}
        end(bench)
        with suppress(asyncio.CancelledError):
            await bench.round(RECONCILE_EVERY_MS)
        assert bench.exchange.open_orders() == []


@pytest.mark.parametrize("end", [kill, remove, stop])
@pytest.mark.parametrize("query", ["fetch_open_orders", "fetch_balances", "fetch_trades"])
async def test_tenure_that_begins_with_the_end_cancels_before_it_compares(
    bench: Bench, end: Callable[[Bench], None], query: str
) -> None:
    bench.exchange.failing = {query}
    end(bench)
    with pytest.raises(TransientVenueError):
        async with bench.serving():
            pass
    assert bench.exchange.open_orders() == []


@pytest.mark.parametrize("end", [kill, remove, stop])
async def test_tenure_that_is_to_end_cancels_before_a_comparison_that_takes_its_time(
    bench: Bench, end: Callable[[Bench], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def take_for_ever(symbol: str) -> Sequence[OrderReport]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with bench.serving():
        monkeypatch.setattr(bench.exchange, "fetch_open_orders", take_for_ever)
        end(bench)
        bench.clock.ms += RECONCILE_EVERY_MS
        async with asyncio.timeout(PATIENCE_S):
            await asked.wait()
        assert bench.exchange.open_orders() == []


async def test_tenure_that_trades_compares_before_it_decides(bench: Bench) -> None:
    bench.exchange.failing = {"fetch_trades"}
    bench.state = make_state()
    bench.exchange.orders.clear()
    with pytest.raises(TransientVenueError):
        async with bench.serving():
            pass
    assert bench.exchange.orders == {}


def kill_meanwhile(bench: Bench) -> None:
    kill(bench)


def lapse(bench: Bench) -> None:
    """As a process that was stopped: it wakes, and its heartbeat comes first."""
    bench.lease.valid_until_ms = bench.clock.ms
    bench.lease.renew(bench.clock.ms)


def dawdle(bench: Bench) -> None:
    bench.clock.ms += PLAN_AGE_MAX_MS + 1


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        pytest.param(kill_meanwhile, "the kill switch was thrown", id="killed"),
        pytest.param(lapse, "the lease ran out since this was decided", id="lapsed"),
        pytest.param(dawdle, "the decision is too old to act on", id="too old"),
    ],
)
async def test_tenure_place_overtaken_between_its_commit_and_its_socket_is_not_sent(
    meanwhile: Callable[[Bench], None], reason: str
) -> None:
    bench = Bench()
    bench.exchange.while_signing = lambda: meanwhile(bench)
    async with bench.serving():
        assert bench.exchange.orders == {}
        for intent in INTENTS:
            order = bench.state.order(intent.client_order_id)
            assert order.state == Absent(f"not sent: {reason}")


@pytest.mark.parametrize("meanwhile", [kill_meanwhile, lapse, dawdle])
async def test_tenure_cancel_is_sent_though_killed_or_late(
    bench: Bench, meanwhile: Callable[[Bench], None]
) -> None:
    async with bench.serving():
        bench.exchange.while_signing = lambda: meanwhile(bench)
        bench.wish(Desired.PAUSED)
        await bench.round()
        assert bench.exchange.open_orders() == []


@dataclass
class GuardKeepingExchange(FakeExchange):
    """Keeps the guards of its plans, as a request does that is stuck before its socket."""

    guards: list[SendGuard] = field(default_factory=list)

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        self.guards.append(guard)
        return await super().submit(plan, instrument, guard)


async def test_tenure_that_is_over_lets_nothing_leave_any_more(bench: Bench) -> None:
    bench.exchange = exchange = GuardKeepingExchange(capabilities=CAPABILITIES)
    bench.state = make_state()
    async with bench.serving():
        bench.wish(Desired.PAUSED)
        await bench.round()
        placing, cancelling = exchange.guards
        placing()
        cancelling()
    for guard in (placing, cancelling):
        with pytest.raises(OwnershipLost, match="over"):
            guard()


async def test_tenure_send_rate_outlives_it() -> None:
    bench = Bench(orders_per_minute=3)
    async with bench.serving():
        assert bench.entries() == ENTRIES
    for client_order_id, report in bench.exchange.orders.items():
        ended = replace(report, status=VenueStatus.CANCELLED)
        bench.exchange.orders[client_order_id] = ended
    async with bench.serving():
        await bench.rounds(5, every_ms=5_000)
        assert bench.entries() == set()
        await bench.rounds(8, every_ms=5_000)
        assert bench.entries() == ENTRIES


async def test_tenure_failed_comparisons_pull_entries_at_the_third_until_one_succeeds(
    bench: Bench,
) -> None:
    async with bench.serving():
        bench.exchange.failing = {"fetch_open_orders"}
        wait_ms = RECONCILE_EVERY_MS
        for failures in range(1, FAILED_COMPARISONS_MAX):
            await bench.round(wait_ms)
            assert bench.entries() == ENTRIES
            assert bench.status == (Status.RUNNING, "")
            wait_ms = COMPARE_AGAIN_MS * failures
        await bench.round(wait_ms)
        assert bench.entries() == set()
        assert bench.status == (Status.HALTED, "exchange: fetch_open_orders: no answer")

        bench.exchange.failing = set()
        await bench.round(COMPARE_AGAIN_MS * FAILED_COMPARISONS_MAX)
        assert bench.status == (Status.RUNNING, "")
        assert bench.entries() == ENTRIES
        # The count begins anew.
        bench.exchange.failing = {"fetch_open_orders"}
        await bench.round(RECONCILE_EVERY_MS)
        assert bench.status == (Status.RUNNING, "")


@dataclass
class SilentHistoryExchange(FakeExchange):
    """Does not tell its newest orders, which takes its time."""

    take_time: Callable[[], None] = lambda: None

    async def fetch_newest_orders(self, symbol: str) -> Sequence[OrderReport]:
        self.take_time()
        return await super().fetch_newest_orders(symbol)


@pytest.mark.parametrize("answer_ms", [0, COMPARE_AGAIN_MS, 3 * COMPARE_AGAIN_MS])
async def test_tenure_held_back_from_placing_cancels_all_the_same(
    bench: Bench, answer_ms: int
) -> None:
    """The price ran away from the entries; those nearer to it wait until ids are known as new."""
    bench.exchange = exchange = SilentHistoryExchange(capabilities=CAPABILITIES)
    bench.rest(*INTENTS)
    exchange.failing = {"fetch_newest_orders"}

    def take_time() -> None:
        bench.clock.ms += answer_ms
        bench.tick()

    exchange.take_time = take_time
    bench.price = Decimal(106)
    bench.tick()
    async with bench.serving():
        await bench.round(COMPARE_AGAIN_MS)
        assert bench.entries() == set()
        exchange.failing = set()
        await bench.rounds(2, every_ms=COMPARE_AGAIN_MS)
        assert bench.entries()


async def test_tenure_shortfall_seen_once_does_not_halt(bench: Bench) -> None:
    bench.store.held = Decimal("0.1")
    async with bench.serving():
        assert bench.status == (Status.RUNNING, "")
        bench.store.held = Decimal(0)
        await bench.round(COMPARE_AGAIN_MS)
        assert bench.status == (Status.RUNNING, "")
        # Nor does the next one that is seen once.
        bench.store.held = Decimal("0.1")
        await bench.round(RECONCILE_EVERY_MS)
        assert bench.status == (Status.RUNNING, "")
        assert bench.entries() == ENTRIES


async def test_tenure_shortfall_seen_twice_halts_entries(bench: Bench) -> None:
    bench.store.held = Decimal("0.1")
    async with bench.serving():
        await bench.round(COMPARE_AGAIN_MS)
        assert bench.status == (Status.HALTED, "the account holds 0.1 BTC less than the slots")
        assert bench.entries() == set()


@pytest.mark.parametrize("state", [Open(venue_id(INTENTS[0])), Sent(), Unknown("timeout")])
async def test_tenure_looks_no_order_up_that_the_comparison_shows(state: Any) -> None:
    orders = [replace(resting()[0], state=state), *resting()[1:]]
    bench = Bench(make_state(orders=orders))
    bench.rest(*INTENTS)
    async with bench.serving():
        await bench.rounds(3, every_ms=RECONCILE_EVERY_MS)
        assert "fetch_order" not in bench.exchange.asked
        assert {order.state for order in bench.state.active_orders()} == {
            Open(venue_id(intent)) for intent in INTENTS
        }


@dataclass
class BusyExchange(FakeExchange):
    """Its rate budget is used up: no cancel leaves."""

    tries: int = 0

    def _cancel(self, client_order_id: ClientOrderId) -> Outcome:
        self.tries += 1
        return NotSent("rate budget")


async def test_tenure_cancel_that_was_not_sent_is_not_repeated_at_the_rate_of_ticks(
    bench: Bench,
) -> None:
    bench.exchange = exchange = BusyExchange(
        capabilities=CAPABILITIES, orders=bench.exchange.orders
    )
    async with bench.serving():
        bench.wish(Desired.PAUSED)
        await bench.rounds(50, every_ms=10)
        assert exchange.tries <= 3 * len(INTENTS)


async def test_tenure_cancel_that_was_not_sent_is_tried_again(bench: Bench) -> None:
    bench.exchange = exchange = BusyExchange(
        capabilities=CAPABILITIES, orders=bench.exchange.orders
    )
    async with bench.serving():
        bench.wish(Desired.PAUSED)
        await bench.rounds(5, every_ms=1_000)
        assert exchange.tries >= 2 * len(INTENTS)


SUCCESSOR = make_intent(-1, generation=2)
STRAY = make_intent(-1)


def stray_bench() -> Bench:
    """The first order of slot -1 was taken for absent and has a successor; now it rests."""
    bench = Bench(
        make_state(
            slots=[make_slot(-1, buy_generation=2)],
            orders=[Order(intent=SUCCESSOR, state=Open(venue_id(SUCCESSOR)))],
        )
    )
    bench.rest(SUCCESSOR, STRAY)
    bench.store.forgotten[STRAY.client_order_id] = Order(intent=STRAY, state=Absent("gone")), 0
    return bench


async def test_tenure_stray_is_cancelled_on_sight_and_its_successor_stays() -> None:
    bench = stray_bench()
    async with bench.serving():
        open_ids = {report.client_order_id for report in bench.exchange.open_orders()}
        assert STRAY.client_order_id not in open_ids
        assert SUCCESSOR.client_order_id in open_ids
        assert bench.entries() == ENTRIES
        assert not bench.state.strays
        found = [finding for changes in bench.store.recorded for finding in changes.findings]
        assert [(finding.kind, finding.subject) for finding in found] == [
            ("stray", STRAY.client_order_id)
        ]
        assert all(
            not changes.orders[STRAY.client_order_id].is_live
            for changes in bench.store.recorded
            if STRAY.client_order_id in changes.orders
        )


async def test_tenure_stray_that_filled_before_its_cancel_has_its_fill_booked() -> None:
    bench = stray_bench()
    bench.exchange.orders[STRAY.client_order_id] = make_report(STRAY, filled=4_000)
    trade = make_trade(STRAY, "1", 4_000)
    bench.exchange.trades.append(trade)
    bench.exchange.balances["BTC"] += trade.quantity
    async with bench.serving():
        await bench.round()
        fills = {
            name: fill for changes in bench.store.recorded for name, fill in changes.fills.items()
        }
        assert fills["1"].origin is Origin.OWN
        assert fills["1"].client_order_id == STRAY.client_order_id
        assert bench.state.slot(slot_id(-1)).inventory_units > 0
        assert not bench.state.strays
        assert list(bench.state.unsettled()) == []


async def test_tenure_stray_keeps_a_removed_symbol_from_being_done_until_it_is_cancelled() -> None:
    bench = stray_bench()
    remove(bench)
    async with bench.serving():
        await bench.until_ended()
    assert bench.exchange.open_orders() == []
    assert bench.store.statuses[-1] == (Status.REMOVED, "")


@dataclass
class PartlyDeafExchange(FakeExchange):
    """Answers questions about some orders by an error, about any other truly."""

    silent_about: Mapping[ClientOrderId, Exception] = field(default_factory=dict)

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        if client_order_id in self.silent_about:
            raise self.silent_about[client_order_id]
        return await super().fetch_order(symbol, client_order_id)


@pytest.mark.parametrize(
    ("stuck", "answer"),
    [
        pytest.param(1, TransientVenueError("no answer"), id="one that fails"),
        pytest.param(LOOK_UPS_A_ROUND, OrderNotFound("archived"), id="as many as fit a round"),
    ],
)
async def test_tenure_orders_that_stay_in_doubt_do_not_keep_others_from_being_looked_up(
    stuck: int, answer: Exception
) -> None:
    intents = [make_intent(slot) for slot in range(-20, -20 + stuck)]
    exchange = PartlyDeafExchange(
        capabilities=CAPABILITIES,
        silent_about={intent.client_order_id: answer for intent in intents},
    )
    orders = [Order(intent=intent, state=Open(venue_id(intent))) for intent in intents]
    lost = Order(intent=make_intent(-30), state=Unknown("timeout"))
    bench = Bench(make_state(orders=[*orders, lost]), exchange)
    async with bench.serving():
        await bench.rounds(60, every_ms=1_000)
        assert isinstance(bench.state.order(lost.intent.client_order_id).state, Absent)


async def test_tenure_many_orders_that_never_arrived_are_all_proven_absent() -> None:
    intents = [make_intent(slot) for slot in range(-20, -20 + 3 * LOOK_UPS_A_ROUND)]
    orders = [Order(intent=intent, state=Unknown("timeout")) for intent in intents]
    bench = Bench(make_state(orders=orders))
    async with bench.serving():
        await bench.rounds(60, every_ms=1_000)
        for intent in intents:
            assert isinstance(bench.state.order(intent.client_order_id).state, Absent)


async def test_tenure_order_whose_trade_counted_as_a_persons_becomes_its_own_and_sells() -> None:
    """It was taken for absent, so its trade was external; then the venue shows it as filled."""
    filled = make_intent(-1)
    bench = Bench(make_state(slots=[make_slot(-1)]))
    trade = make_trade(filled, "1", ENTRY_LOTS)
    bench.exchange.trades.append(trade)
    bench.exchange.balances["BTC"] += trade.quantity
    async with bench.serving():
        assert bench.store.recorded[0].fills["1"].origin is Origin.EXTERNAL
        report = make_report(filled, VenueStatus.FILLED, ENTRY_LOTS)
        bench.exchange.orders[filled.client_order_id] = report
        bench.store.forgotten[filled.client_order_id] = Order(intent=filled, state=Absent("x")), 0
        bench.mailbox.put_order_event(report)
        await bench.rounds(3, every_ms=1_000)
        assert bench.state.slot(slot_id(-1)).inventory_units > 0
        assert bench.status == (Status.RUNNING, "")
        assert {
            changes.fills["1"].origin for changes in bench.store.recorded if "1" in changes.fills
        } == {Origin.EXTERNAL, Origin.OWN}

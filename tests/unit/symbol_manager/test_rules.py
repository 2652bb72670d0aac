"""Trading rules that the venue changes while a shard trades under them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.ids import Side
from domain.instrument import Instrument
from domain.market import BookTop
from domain.orders import Absent, Cancelled, Filled, Open, Order, OrderStatus, VenueStatus
from grid.desired import Stance
from ports.store import Changes, Desired, Finding, Origin, Status
from support.fake_exchange import BTC
from symbol_manager.decide import decide, limits_of
from symbol_manager.rules import rules_change
from unit.symbol_manager.bench import Bench
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    IDS,
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
EXIT = make_intent(1, Side.SELL)
COARSER = replace(BTC, tick_size=Decimal("0.25"), lot_size=Decimal("0.003"))
TOO_COARSE = replace(BTC, tick_size=Decimal(2))
#: Three entries and an exit.
ALL = 4


@pytest.fixture
def bench() -> Bench:
    """Three entries and an exit rest and are known to."""
    intents = [*INTENTS, EXIT]
    bench = Bench(
        make_state(
            slots=[*map(make_slot, ENTRIES), make_slot(1, ENTRY_LOTS, sell_generation=1)],
            orders=[Order(intent=intent, state=Open(venue_id(intent))) for intent in intents],
        )
    )
    bench.exchange.balances["BTC"] = Decimal(1)
    bench.rest(*intents)
    return bench


def committed(bench: Bench) -> list[Instrument]:
    """The rules that were committed as new versions."""
    return [each.instrument for each in bench.store.recorded if each.instrument is not None]


async def test_tenure_whose_ticks_changed_cancels_commits_and_ends(bench: Bench) -> None:
    async with bench.serving():
        assert len(bench.exchange.open_orders()) == ALL
        known = set(bench.exchange.orders)
        bench.mailbox.put_instrument(COARSER)

        assert await bench.until_ended() is False

        assert bench.exchange.open_orders() == []
        assert set(bench.exchange.orders) == known, "something was placed under the old rules"
        assert committed(bench) == [COARSER]


async def test_tenure_that_starts_under_old_ticks_places_nothing(bench: Bench) -> None:
    known = set(bench.exchange.orders)
    bench.mailbox.put_instrument(COARSER)
    async with bench.serving():
        assert await bench.until_ended() is False
    assert set(bench.exchange.orders) == known
    assert committed(bench) == [COARSER]


async def test_tenure_whose_ticks_changed_waits_for_the_trades_of_a_fill(bench: Bench) -> None:
    filled = bench.exchange.orders[INTENTS[0].client_order_id]
    async with bench.serving():
        bench.exchange.trade(filled.client_order_id, str(filled.quantity), silent=True)
        hidden, bench.exchange.trades = bench.exchange.trades, []
        bench.mailbox.put_order_event(bench.exchange.orders[filled.client_order_id])
        await bench.round()
        bench.mailbox.put_instrument(COARSER)
        await bench.rounds(3, every_ms=10)

        assert committed(bench) == []
        assert bench.exchange.open_orders() == []
        what = "tick_size 0.01 → 0.25, lot_size 0.00001 → 0.003, min_quantity 0.00001 → 0.003"
        assert bench.status == (
            Status.HALTED,
            f"trading rules changed: {what}",
        )

        bench.mailbox.put_order_event(hidden[0])
        assert await bench.until_ended() is False
    assert committed(bench) == [COARSER]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(BTC, maker_fee=Decimal("0.0002")), id="fee"),
        pytest.param(replace(BTC, min_notional=Decimal(20)), id="minimum notional"),
        pytest.param(replace(BTC, min_quantity_lots=7), id="minimum quantity"),
    ],
)
async def test_tenure_whose_steps_stayed_keeps_its_orders(
    bench: Bench, changed: Instrument
) -> None:
    async with bench.serving():
        bench.mailbox.put_instrument(changed)
        assert await bench.until_ended() is False
    assert len(bench.exchange.open_orders()) == ALL
    assert committed(bench) == [changed]


async def test_tenure_shown_the_rules_in_force_goes_on(bench: Bench) -> None:
    async with bench.serving():
        bench.mailbox.put_instrument(replace(BTC, version=9))
        await bench.rounds(3, every_ms=10)
        assert len(bench.exchange.open_orders()) == ALL
    assert committed(bench) == []


async def test_tenure_whose_step_is_below_a_tick_halts_until_it_is_not(bench: Bench) -> None:
    async with bench.serving():
        bench.mailbox.put_instrument(TOO_COARSE)
        await bench.rounds(3, every_ms=10)

        assert bench.exchange.open_orders() == []
        obstacle = "`spacing.step` must be at least one tick, was 1; use 2 or more"
        assert bench.status == (
            Status.HALTED,
            f"trading rules changed: tick_size 0.01 → 2: {obstacle}",
        )

        bench.mailbox.put_instrument(BTC)
        await bench.rounds(3, every_ms=10)
        assert bench.status == (Status.RUNNING, "")
        assert bench.entries() == ENTRIES
        assert len(bench.open_orders(Side.SELL)) == 1
    assert committed(bench) == []


async def test_tenure_halted_by_its_step_can_be_removed(bench: Bench) -> None:
    async with bench.serving():
        bench.mailbox.put_instrument(TOO_COARSE)
        await bench.round()
        bench.wish(Desired.REMOVED)
        assert await bench.until_ended() is True
    assert bench.exchange.open_orders() == []


def test_rules_change_keeps_version_and_units_of_those_in_force() -> None:
    in_force = replace(BTC, version=4)
    change = rules_change(make_state(instrument=in_force), replace(COARSER, base_decimals=5))
    assert change is not None
    assert change.instrument == replace(COARSER, version=4)


def of_old_rules(slot: int = -1) -> Order:
    """An entry of 0.1, which is no whole number of the lots of 0.003 in force, not known before."""
    return Order(intent=make_intent(slot), state=Absent("lost"), rules=BTC)


def test_state_late_fill_of_an_order_of_old_rules_is_booked_exactly() -> None:
    state = make_state(instrument=COARSER)
    late = of_old_rules()
    state.remember(late, Decimal(0))
    changes = Changes()

    state.absorb_report(make_report(late.intent, VenueStatus.FILLED, ENTRY_LOTS), changes)
    state.absorb_trade(make_trade(late.intent, "1", ENTRY_LOTS), changes)

    assert changes.fills["1"].origin is Origin.OWN
    assert state.slot(slot_id(-1)).inventory_units == 10_000_000
    order = state.order(late.intent.client_order_id)
    assert order.state == Filled(venue_id(late.intent), ENTRY_LOTS)
    assert state.active_orders() == []


def test_state_order_of_old_rules_that_rests_after_all_is_a_stray() -> None:
    state = make_state(instrument=COARSER)
    late = of_old_rules()
    state.remember(late, Decimal(0))
    changes = Changes()

    state.absorb_report(make_report(late.intent), changes)

    assert changes.findings == [
        Finding(
            kind="stray",
            subject=late.intent.client_order_id,
            detail={"status": "open", "was": "absent"},
        )
    ]
    assert state.live_orders() == {}
    plan = decide(
        state,
        BookTop(398, 399, 0),
        limits_of(state.grid, 600),
        stance=Stance.TRADE,
        may_place=False,
        waiting=(),
        sent_last_minute=0,
        new_id=IDS.encode,
    ).plan
    assert [cancel.client_order_id for cancel in plan.cancels] == [late.intent.client_order_id]


def test_state_fill_of_part_of_a_lot_is_booked_and_settles_with_its_trades() -> None:
    """The venue made its lot finer while the order rested."""
    order = Order(intent=make_intent(lots=30), state=Open(venue_id(make_intent())), rules=None)
    state = make_state(orders=[order], instrument=replace(BTC, lot_size=Decimal("0.003")))
    part, rest = Decimal("0.0005"), Decimal("0.0055")
    changes = Changes()
    state.absorb_trade(make_trade(order.intent, "1", 0, quantity=part), changes)
    live = state.order(order.intent.client_order_id)
    assert (live.status, live.filled_lots) == (OrderStatus.OPEN, 0)

    state.absorb_report(make_report(order.intent, VenueStatus.CANCELLED, filled=0), changes)
    ended = state.order(order.intent.client_order_id)
    assert isinstance(ended.state, Cancelled)
    state.absorb_trade(make_trade(order.intent, "2", 0, quantity=rest), changes)
    ended = state.order(order.intent.client_order_id)
    assert ended.filled_lots == 2
    assert state.slot(slot_id(-1)).inventory_units == 600_000

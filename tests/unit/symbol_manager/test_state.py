"""What a shard knows is a fold over events that may come twice, late and in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.errors import InvariantViolation
from domain.ids import Purpose, Side, SlotId
from domain.orders import (
    Absent,
    Cancelled,
    Filled,
    Intended,
    Intent,
    Open,
    Order,
    OrderReport,
    PartiallyFilled,
    Trade,
    Unknown,
    VenueStatus,
)
from grid.ladder import LadderVersion
from grid.slots import Slot
from grid.spec import ArithmeticSpacing
from ports.store import Changes, Fill, Origin
from support.fake_exchange import BTC
from symbol_manager import state as state_module
from symbol_manager.state import ShardState, slot_side, venue_order_id_of
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    cancelling,
    make_intent,
    make_phase,
    make_report,
    make_slot,
    make_spec,
    make_state,
    make_trade,
    placing,
    slot_id,
    venue_id,
)

ENTRY = make_intent(-1, Side.BUY)
EXIT = make_intent(-1, Side.SELL)
ENTRY_SIDE, EXIT_SIDE = (slot_id(-1), Side.BUY), (slot_id(-1), Side.SELL)

Event = OrderReport | Trade


def absorb(state: ShardState, *events: Event) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case OrderReport():
                state.absorb_report(event, changes)
            case Trade():
                state.absorb_trade(event, changes)
    return changes


def intended(*intents: Intent, slots: Sequence[Slot] = ()) -> ShardState:
    state = make_state(slots=slots)
    state.intend(placing(*intents))
    return state


def test_intend_place_is_live_and_uses_a_generation() -> None:
    state = intended(ENTRY)
    assert state.live_orders() == {ENTRY_SIDE: Order(intent=ENTRY, state=Intended())}
    assert state.slot(slot_id(-1)).buy_generation == 1
    assert state.slot(slot_id(-1)).sell_generation == 0


def test_intend_generation_used_before_raises() -> None:
    state = intended(ENTRY)
    with pytest.raises(InvariantViolation, match="generation 1"):
        state.intend(placing(ENTRY))


def test_intend_cancel_is_remembered_until_it_may_be_asked_again() -> None:
    state = make_state(orders=[Order(intent=ENTRY, state=Open(venue_id(ENTRY)))])
    state.intend(cancelling(ENTRY))
    assert state.order(ENTRY.client_order_id).cancel_requested
    changes = Changes()
    state.retry_cancel(ENTRY.client_order_id, changes)
    assert not changes.orders[ENTRY.client_order_id].cancel_requested


def test_order_never_intended_raises() -> None:
    with pytest.raises(InvariantViolation, match="not known"):
        make_state().order(ENTRY.client_order_id)


def test_absorb_report_partial_fill_waits_for_its_trade() -> None:
    state = intended(ENTRY)
    changes = absorb(state, make_report(ENTRY, filled=4_000))
    partly = Order(intent=ENTRY, state=PartiallyFilled(venue_id(ENTRY), 4_000))
    assert changes == Changes(orders={ENTRY.client_order_id: partly})
    assert state.ahead_of_trades() == [ENTRY_SIDE]
    assert state.unsettled_lots(partly) == ENTRY_LOTS

    absorb(state, make_trade(ENTRY, "1", 4_000))
    assert state.ahead_of_trades() == []
    assert state.unsettled_lots(partly) == ENTRY_LOTS - 4_000
    assert state.slot(slot_id(-1)).inventory_units == 4_000 * BTC.base_units_per_lot


def test_absorb_trade_before_its_report_parks_then_settles() -> None:
    state = intended(ENTRY)
    trade = make_trade(ENTRY, "1", ENTRY_LOTS)

    parked = absorb(state, trade)
    assert parked == Changes(fills={"1": Fill(trade=trade, origin=Origin.PARKED)})
    assert state.parked == {venue_id(ENTRY): [trade]}
    assert state.slot(slot_id(-1)).inventory_units == 0

    settled = absorb(state, make_report(ENTRY, VenueStatus.FILLED, ENTRY_LOTS))
    assert settled.fills == {
        "1": Fill(trade=trade, origin=Origin.OWN, client_order_id=ENTRY.client_order_id)
    }
    assert settled.slots[slot_id(-1)].inventory_units == ENTRY_LOTS * BTC.base_units_per_lot
    assert not state.parked
    assert not state.active_orders()


def test_absorb_trade_parked_before_a_restart_settles_after_it() -> None:
    trade = make_trade(ENTRY, "1", ENTRY_LOTS)
    state = make_state(orders=[Order(intent=ENTRY, state=Unknown("timeout"))], parked=[trade])
    assert not absorb(state, trade)
    settled = absorb(state, make_report(ENTRY, filled=ENTRY_LOTS))
    assert settled.fills["1"].origin is Origin.OWN
    assert settled.orders[ENTRY.client_order_id].state == Filled(venue_id(ENTRY), ENTRY_LOTS)


def test_absorb_events_again_change_nothing() -> None:
    state = intended(ENTRY)
    events: list[Event] = [
        make_report(ENTRY),
        make_report(ENTRY, filled=4_000),
        make_trade(ENTRY, "1", 4_000),
        make_report(ENTRY, VenueStatus.FILLED, ENTRY_LOTS),
        make_trade(ENTRY, "2", 6_000),
    ]
    assert absorb(state, *events)
    assert not absorb(state, *events, *reversed(events))


def test_absorb_trade_without_a_report_of_its_lots_fills_the_order() -> None:
    state = intended(ENTRY)
    absorb(state, make_report(ENTRY), make_trade(ENTRY, "1", 4_000))
    filled = state.order(ENTRY.client_order_id)
    assert filled.state == PartiallyFilled(venue_id(ENTRY), 4_000)


def test_absorb_late_fill_after_cancel_wins() -> None:
    state = intended(ENTRY)
    absorb(state, make_report(ENTRY), make_report(ENTRY, VenueStatus.CANCELLED))
    assert not state.active_orders()
    changes = absorb(state, make_trade(ENTRY, "1", 4_000))
    assert changes.orders[ENTRY.client_order_id].state == Cancelled(venue_id(ENTRY), 4_000)
    assert changes.slots[slot_id(-1)].inventory_units == 4_000 * BTC.base_units_per_lot


def test_absorb_report_ended_without_its_trades_blocks_until_they_come() -> None:
    state = intended(ENTRY)
    absorb(state, make_report(ENTRY, VenueStatus.FILLED, ENTRY_LOTS))
    assert list(state.unsettled()) == [ENTRY_SIDE]
    assert state.live_orders() == {}

    absorb(state, make_trade(ENTRY, "1", ENTRY_LOTS - 1))
    assert list(state.unsettled()) == [ENTRY_SIDE]

    absorb(state, make_trade(ENTRY, "2", 1))
    assert state.unsettled() == {}


def test_absorb_report_of_an_absent_order_is_a_stray_once() -> None:
    state = intended(ENTRY)
    state.set_state(ENTRY.client_order_id, Absent("not found"), Changes())
    assert not state.active_orders()

    changes = absorb(state, make_report(ENTRY), make_report(ENTRY))
    assert [(found.kind, found.subject) for found in changes.findings] == [
        ("stray", ENTRY.client_order_id)
    ]
    assert list(state.live_orders()) == [ENTRY_SIDE]


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(make_report(ENTRY, side=Side.SELL), id="other side"),
        pytest.param(make_report(ENTRY, filled=ENTRY_LOTS + 1), id="more than intended"),
    ],
)
def test_absorb_report_that_is_not_the_intent_raises(report: OrderReport) -> None:
    with pytest.raises(InvariantViolation):
        absorb(intended(ENTRY), report)


def test_declare_external_trades_of_a_person_become_findings() -> None:
    state = make_state()
    trade = make_trade(ENTRY, "1", 5)
    absorb(state, trade)
    changes = Changes()
    state.declare_external(list(state.parked), changes)
    assert changes.fills == {"1": Fill(trade=trade, origin=Origin.EXTERNAL)}
    assert [(found.kind, found.subject) for found in changes.findings] == [("external_trade", "1")]
    assert not state.parked
    assert not changes.slots
    assert not absorb(state, trade)


def test_absorb_exit_of_all_records_the_pair_with_its_closing_trade() -> None:
    state = intended(EXIT, slots=[make_slot(-1, ENTRY_LOTS)])
    last = make_trade(EXIT, "2", ENTRY_LOTS - 1)
    changes = absorb(state, make_report(EXIT), make_trade(EXIT, "1", 1), last)
    (closed,) = changes.pairs
    assert closed.trade == last
    assert closed.pair.quantity_units == ENTRY_LOTS * BTC.base_units_per_lot
    assert closed.pair.profit_units == BTC.notional_units(100, ENTRY_LOTS)


def test_absorb_exit_report_ahead_of_its_trades_still_records_one_pair() -> None:
    """What is left after the first trade is below the venue's least order, yet it is sold too."""
    state = intended(EXIT, slots=[make_slot(-1, ENTRY_LOTS)])
    changes = absorb(
        state,
        make_report(EXIT, VenueStatus.FILLED, ENTRY_LOTS),
        make_trade(EXIT, "1", ENTRY_LOTS - 4_000),
        make_trade(EXIT, "2", 4_000),
    )
    assert len(changes.pairs) == 1


def test_finished_orders_beyond_the_bound_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "REMEMBERED_ORDERS", 2)
    intents = [make_intent(slot) for slot in (-1, -2, -3)]
    state = intended(*intents)
    absorb(state, *(make_report(intent, VenueStatus.CANCELLED) for intent in intents))
    assert [state.knows(intent.client_order_id) for intent in intents] == [False, True, True]

    late = make_trade(intents[0], "1", 1)
    assert absorb(state, late).fills["1"].origin is Origin.PARKED
    state.remember(Order(intent=intents[0], state=Cancelled(venue_id(intents[0]), 0)), 0)
    settled = absorb(state, make_report(intents[0], VenueStatus.CANCELLED, 1))
    assert settled.fills["1"].origin is Origin.OWN


def test_slot_side_and_venue_id_of_an_order_are_read_from_it() -> None:
    order = Order(intent=EXIT, state=Open(venue_id(EXIT)))
    assert slot_side(order) == EXIT_SIDE
    assert venue_order_id_of(order) == venue_id(EXIT)
    assert venue_order_id_of(replace(order, state=Unknown("timeout"))) is None


SHORT_SPEC = make_spec(mode="short", base_inventory="1")
SHORT_ENTRY = make_intent(0, Side.SELL, purpose=Purpose.ENTRY)
SHORT_EXIT = make_intent(0, Side.BUY, purpose=Purpose.EXIT)


def test_absorb_short_round_trip_owes_base_then_records_its_pair() -> None:
    """Sold at 101 and bought back at 100."""
    state = make_state(spec=SHORT_SPEC)
    state.intend(placing(SHORT_ENTRY))
    absorb(state, make_report(SHORT_ENTRY), make_trade(SHORT_ENTRY, "1", ENTRY_LOTS))
    slot = state.slot(slot_id(0))
    assert slot.inventory_units == -ENTRY_LOTS * BTC.base_units_per_lot
    assert slot.cost_units == -BTC.notional_units(10_100, ENTRY_LOTS)

    state.intend(placing(SHORT_EXIT))
    changes = absorb(state, make_report(SHORT_EXIT), make_trade(SHORT_EXIT, "2", ENTRY_LOTS))
    (closed,) = changes.pairs
    assert closed.pair.profit_units == BTC.notional_units(100, ENTRY_LOTS)
    assert state.slot(slot_id(0)).inventory_units == 0


def test_absorb_short_residue_waits_for_its_exit_that_rests() -> None:
    """What is left is below the venue's least order, but the order that closes it is there."""
    state = make_state(spec=SHORT_SPEC)
    state.intend(placing(SHORT_ENTRY))
    absorb(state, make_report(SHORT_ENTRY), make_trade(SHORT_ENTRY, "1", ENTRY_LOTS))
    state.intend(placing(SHORT_EXIT))
    first = make_trade(SHORT_EXIT, "2", ENTRY_LOTS - 1)
    assert absorb(state, make_report(SHORT_EXIT), first).pairs == []
    assert len(absorb(state, make_trade(SHORT_EXIT, "3", 1)).pairs) == 1


def test_absorb_trade_of_the_other_role_than_the_inventory_raises() -> None:
    state = make_state(slots=[make_slot(0, ENTRY_LOTS)], spec=SHORT_SPEC)
    state.intend(placing(SHORT_ENTRY))
    with pytest.raises(InvariantViolation, match="sell for ENTRY"):
        absorb(state, make_report(SHORT_ENTRY), make_trade(SHORT_ENTRY, "1", ENTRY_LOTS))


def test_profit_is_of_pairs_before_and_since_the_load_and_of_the_inventory() -> None:
    """Slot -1 bought at 99 and sells at 100, slot -2 bought at 98."""
    state = make_state(slots=[make_slot(-1, ENTRY_LOTS), make_slot(-2, ENTRY_LOTS)], paired_units=7)
    floating_units = BTC.notional_units(50, ENTRY_LOTS) + BTC.notional_units(150, ENTRY_LOTS)
    assert state.profit_units(9_950) == 7 + floating_units

    state.intend(placing(EXIT))
    absorb(state, make_report(EXIT), make_trade(EXIT, "1", ENTRY_LOTS))
    paired_units = BTC.notional_units(100, ENTRY_LOTS)
    assert state.profit_units(9_950) == 7 + paired_units + BTC.notional_units(150, ENTRY_LOTS)


def test_climb_new_ladder_takes_entries_and_the_former_slots_keep_their_exits() -> None:
    state = make_state(slots=[make_slot(-1, ENTRY_LOTS)])
    wide = LadderVersion(version=1, anchor=Decimal(100), spacing=ArithmeticSpacing(step=Decimal(2)))
    state.climb(wide)
    assert state.grid.ladder.version == 1
    assert state.grid.levels(SlotId(1, -1)) == (9_800, 10_000)
    assert state.grid.exit_ticks(slot_id(-1)) == 10_000

    state.climb(replace(wide, anchor=Decimal(90)))
    assert state.grid.levels(SlotId(1, -1)) == (8_800, 9_000)
    assert list(state.grid.former) == [0]


def test_ladders_in_use_are_those_that_hold_more_than_dust_or_have_orders() -> None:
    lot_units, lots = BTC.base_units_per_lot, ENTRY_LOTS
    dusty = replace(make_slot(1), inventory_units=lot_units - 1)
    holding = replace(make_slot(1, lots), id=SlotId(1, 1))
    state = make_state(slots=[dusty, holding])
    for version in (1, 2):
        state.climb(replace(state.claim.ladders[0], version=version))

    assert state.ladders_in_use() == {1}
    state.intend(placing(ENTRY))
    assert state.ladders_in_use() == {0, 1}


@pytest.mark.parametrize(
    ("mode", "slot", "pivot", "in_use"),
    [
        pytest.param("neutral", 0, 0, set(), id="short stays short"),
        pytest.param("neutral", -1, 1, set(), id="long stays long"),
        pytest.param("neutral", 0, 1, {0}, id="short would be long"),
        pytest.param("neutral", -1, -1, {0}, id="long would be short"),
        pytest.param("short", 0, 1, set(), id="one way only"),
    ],
)
def test_ladders_in_use_are_those_whose_dust_would_be_of_the_other_side(
    mode: str, slot: int, pivot: int, in_use: set[int]
) -> None:
    dust = replace(make_slot(slot), inventory_units=BTC.base_units_per_lot - 1)
    state = make_state(slots=[dust], spec=make_spec(mode=mode, base_inventory="1"))
    state.climb(replace(state.claim.ladders[0], version=1, pivot=pivot))
    assert state.ladders_in_use() == in_use


def test_enter_phase_moves_the_range_and_a_later_ladder_keeps_it_moved() -> None:
    fixed = {"kind": "fixed", "lower": "100", "upper": "103"}
    phase = make_phase(shift=1)
    loaded = make_state(spec=make_spec(range=fixed), phase=phase)
    state = make_state(spec=make_spec(range=fixed))
    assert state.grid.ladder.lowest_index == 0

    state.enter(phase)
    assert state.phase == phase
    assert state.grid.ladder == loaded.grid.ladder
    assert (state.grid.ladder.lowest_index, state.grid.ladder.highest_index) == (1, 4)
    state.climb(replace(state.claim.ladders[0], version=1))
    assert (state.grid.ladder.lowest_index, state.grid.ladder.highest_index) == (1, 4)

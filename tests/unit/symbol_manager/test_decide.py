"""A decision is the difference between what is wanted and what is there, within what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

import pytest

from domain.ids import Purpose, Side
from domain.market import BookTop, Quote
from domain.orders import (
    Cancelled,
    Intent,
    Open,
    Order,
    OrderState,
    PartiallyFilled,
    Unknown,
    VenueStatus,
)
from domain.plans import Plan, RiskApproved
from grid.desired import Stance
from grid.grid import SlotSide
from ports.store import Changes
from support.fake_exchange import BTC
from symbol_manager.decide import decide, limits_of, to_book
from symbol_manager.state import ShardState
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    IDS,
    NONCE,
    SHARD,
    make_intent,
    make_report,
    make_slot,
    make_spec,
    make_state,
    slot_id,
    venue_id,
)

#: The price is at level 0: entries belong into slots -1 to -3.
BOOK = BookTop(9_999, 10_001, 0)

SlotSides = set[SlotSide]


def buys(*numbers: int) -> SlotSides:
    return {(slot_id(number), Side.BUY) for number in numbers}


def sells(*numbers: int) -> SlotSides:
    return {(slot_id(number), Side.SELL) for number in numbers}


ENTRIES = buys(-1, -2, -3)


def run(
    state: ShardState,
    book: BookTop | None = BOOK,
    stance: Stance = Stance.TRADE,
    *,
    may_place: bool = True,
    may_open: bool = True,
    waiting: Collection[SlotSide] = (),
    sent_last_minute: int = 0,
) -> RiskApproved:
    return decide(
        state,
        book,
        limits_of(state.grid, orders_per_minute=100),
        stance=stance,
        may_place=may_place,
        may_open=may_open,
        waiting=waiting,
        sent_last_minute=sent_last_minute,
        new_id=IDS.encode,
    )


def placed(plan: Plan) -> SlotSides:
    return {(place.intent.tag.slot, place.intent.side) for place in plan.places}


def cancelled(plan: Plan) -> SlotSides:
    return {(cancel.slot, cancel.side) for cancel in plan.cancels}


def resting(intent: Intent) -> Order:
    return Order(intent=intent, state=Open(venue_id(intent)))


def busy_state() -> ShardState:
    """An entry in slot -3, far below the window's edge an old one, and an exit of slot -1."""
    return make_state(
        slots=[make_slot(-1, ENTRY_LOTS, sell_generation=1), make_slot(-3), make_slot(-9)],
        orders=[
            resting(make_intent(-3)),
            resting(make_intent(-9)),
            resting(make_intent(-1, Side.SELL)),
        ],
    )


def test_decide_empty_shard_places_entries_with_decodable_ids() -> None:
    plan = run(make_state()).plan
    assert placed(plan) == ENTRIES
    for place in plan.places:
        tag = IDS.decode(place.intent.client_order_id)
        assert tag == place.intent.tag
        assert tag is not None
        assert (tag.nonce, tag.shard, tag.generation) == (NONCE, SHARD, 1)


def test_decide_inventory_gets_its_exit() -> None:
    state = make_state(slots=[make_slot(-2, ENTRY_LOTS)])
    book = BookTop(9_850, 9_852, 0)
    plan = run(state, book, Stance.EXIT).plan
    assert placed(plan) == sells(-2)
    assert plan.places[0].intent.price_ticks == 9_900


@pytest.mark.parametrize(
    ("stance", "may_place", "places", "cancels"),
    [
        pytest.param(Stance.TRADE, True, buys(-2), buys(-9), id="trade"),
        pytest.param(Stance.TRADE, False, set(), buys(-9), id="trade but place nothing"),
        pytest.param(Stance.EXIT, True, set(), buys(-3, -9), id="exit"),
        # The exit makes room first; the order that closes its slot comes with the next plan.
        pytest.param(Stance.FLATTEN, True, set(), buys(-3, -9) | sells(-1), id="flatten"),
        pytest.param(Stance.NOTHING, True, set(), buys(-3, -9) | sells(-1), id="nothing"),
        pytest.param(Stance.NOTHING, False, set(), buys(-3, -9) | sells(-1), id="stopping"),
    ],
)
def test_decide_stance_bounds_the_plan(
    stance: Stance, may_place: bool, places: SlotSides, cancels: SlotSides
) -> None:
    # The bid is a little below level -1, so that the exit at level 0 and slot -2 both fit.
    plan = run(busy_state(), BookTop(9_949, 9_951, 0), stance, may_place=may_place).plan
    assert (placed(plan), cancelled(plan)) == (places, cancels)


def test_decide_while_funds_are_short_keeps_entries_that_rest_and_places_exits_only() -> None:
    state = busy_state()
    book = BookTop(9_949, 9_951, 0)
    plan = run(state, book, may_open=False).plan
    assert (placed(plan), cancelled(plan)) == (set(), buys(-9))
    # The same without its exit, which is placed again.
    lacking = make_state(slots=[make_slot(-1, lots=ENTRY_LOTS)])
    assert placed(run(lacking, book, may_open=False).plan) == sells(-1)
    assert placed(run(lacking, book).plan) > sells(-1)


def test_decide_without_a_book_changes_nothing() -> None:
    assert not run(busy_state(), None).plan
    assert not run(busy_state(), None, Stance.FLATTEN).plan


def test_decide_killed_without_a_book_still_cancels_everything() -> None:
    plan = run(busy_state(), None, Stance.NOTHING).plan
    assert cancelled(plan) == buys(-3, -9) | sells(-1)
    assert not plan.places


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(Unknown("timeout"), id="unknown"),
        pytest.param(PartiallyFilled(venue_id(make_intent()), ENTRY_LOTS // 2), id="partly filled"),
    ],
)
def test_decide_live_order_of_any_state_takes_its_slot_side(state: OrderState) -> None:
    order = Order(intent=make_intent(), state=state)
    filled = make_slot(-1, order.filled_lots)
    plan = run(make_state(slots=[filled], orders=[order])).plan
    assert (slot_id(-1), Side.BUY) not in placed(plan) | cancelled(plan)


def test_decide_ended_order_without_its_trades_blocks_its_slot_side() -> None:
    ended = Order(intent=make_intent(), state=Cancelled(venue_id(make_intent()), 5))
    state = make_state(orders=[ended], settled_lots={ended.intent.client_order_id: 0})
    assert placed(run(state).plan) == ENTRIES - buys(-1)


def test_decide_report_ahead_of_its_trades_leaves_the_order_alone() -> None:
    """The venue shows half of the exit sold, the slot still holds it all: no resizing yet."""
    intent = make_intent(-1, Side.SELL)
    state = make_state(
        slots=[make_slot(-1, ENTRY_LOTS, sell_generation=1)], orders=[resting(intent)]
    )
    state.absorb_report(make_report(intent, VenueStatus.OPEN, ENTRY_LOTS // 2), Changes())
    assert cancelled(run(state, BookTop(9_949, 9_951, 0)).plan) == set()


def test_decide_waiting_slot_side_places_nothing() -> None:
    plan = run(make_state(), waiting=buys(-2)).plan
    assert placed(plan) == ENTRIES - buys(-2)


def test_decide_over_the_rate_is_refused_with_the_rule() -> None:
    approved = run(make_state(), sent_last_minute=98)
    assert len(approved.plan.places) == 2
    assert [refusal.rule for refusal in approved.refused] == ["orders_per_minute"]


def test_decide_fills_without_their_trades_count_against_the_budget() -> None:
    """9,989.10 of the 10,000 are spent: 9.80 fits still, 9.70 after it does not."""
    intent = make_intent(-1, lots=1_009 * ENTRY_LOTS)
    ended = Order(intent=intent, state=Cancelled(venue_id(intent), intent.quantity_lots))
    approved = run(make_state(orders=[ended], settled_lots={intent.client_order_id: 0}))
    assert placed(approved.plan) == buys(-2)
    assert [(refusal.place.intent.tag.slot, refusal.rule) for refusal in approved.refused] == [
        (slot_id(-3), "max_open_entry")
    ]


def test_decide_neutral_grid_buys_below_and_sells_held_base_above() -> None:
    spec = make_spec(mode="neutral", base_inventory="1")
    plan = run(make_state(spec=spec)).plan
    assert placed(plan) == ENTRIES | sells(0, 1, 2)
    assert {place.intent.tag.purpose for place in plan.places} == {Purpose.ENTRY}
    prices_ticks = sorted(place.intent.price_ticks for place in plan.places)
    assert prices_ticks == [9_700, 9_800, 9_900, 10_100, 10_200, 10_300]


def test_decide_base_that_short_slots_may_sell_is_a_limit_of_its_own() -> None:
    """Of 0.35 BTC, 0.2 are sold already: one entry of 0.1 fits still; buying is not touched."""
    intent = make_intent(0, Side.SELL, 2 * ENTRY_LOTS, purpose=Purpose.ENTRY)
    ended = Order(intent=intent, state=Cancelled(venue_id(intent), intent.quantity_lots))
    state = make_state(
        orders=[ended],
        settled_lots={intent.client_order_id: 0},
        spec=make_spec(mode="neutral", base_inventory="0.35"),
    )
    approved = run(state)
    assert placed(approved.plan) == ENTRIES | sells(1)
    assert [(refusal.place.intent.tag.slot, refusal.rule) for refusal in approved.refused] == [
        (slot_id(2), "max_open_entry")
    ]


def test_decide_short_inventory_counts_against_its_limit() -> None:
    """0.25 of 0.35 BTC are owed: one entry of 0.1 fits still, and the grid asks for no more."""
    owed = make_slot(0, -2 * ENTRY_LOTS - ENTRY_LOTS // 2)
    spec = make_spec(mode="neutral", base_inventory="0.35")
    approved = run(make_state(slots=[owed], spec=spec))
    assert placed(approved.plan) == ENTRIES | sells(1)
    assert not approved.refused


@pytest.mark.parametrize(
    ("number", "lots", "side", "price_ticks"),
    [(-2, ENTRY_LOTS, Side.SELL, 9_999 - 49), (1, -ENTRY_LOTS, Side.BUY, 10_001 + 50)],
)
def test_decide_flattening_closes_a_slot_at_once(
    number: int, lots: int, side: Side, price_ticks: int
) -> None:
    spec = make_spec(mode="neutral", base_inventory="1")
    state = make_state(slots=[make_slot(number, lots)], spec=spec)
    (place,) = run(state, stance=Stance.FLATTEN).plan.places
    assert (place.intent.side, place.intent.price_ticks) == (side, price_ticks)
    assert place.intent.tag.purpose is Purpose.FLATTEN
    assert not place.intent.post_only


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        pytest.param("99.99", "100.01", BookTop(9_999, 10_001, 5), id="both"),
        pytest.param("99.999", "100.001", BookTop(9_999, 10_001, 5), id="rounded outwards"),
        pytest.param("99.99", None, BookTop(9_999, None, 5), id="bid only"),
        pytest.param(None, "100.01", BookTop(None, 10_001, 5), id="ask only"),
        pytest.param(None, None, None, id="empty"),
        pytest.param("100.01", "99.99", None, id="crossed"),
        pytest.param("100", "100", None, id="locked"),
        pytest.param("0", "100", None, id="zero"),
        pytest.param("-1", "100", None, id="negative"),
        pytest.param("0.001", "100", None, id="below a tick"),
        pytest.param("Infinity", None, None, id="infinite"),
        pytest.param("sNaN", "100", None, id="signalling no number"),
        pytest.param("NaN", "100", None, id="no number"),
    ],
)
def test_to_book_senseless_quote_is_refused(
    bid: str | None, ask: str | None, expected: BookTop | None
) -> None:
    quote = Quote(
        symbol="BTC/USDT",
        bid=None if bid is None else Decimal(bid),
        ask=None if ask is None else Decimal(ask),
        exchange_ms=5,
    )
    assert to_book(quote, BTC) == expected

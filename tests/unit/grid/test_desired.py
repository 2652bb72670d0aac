"""What a grid wants: each sentence of the grid's rules as a case, written for long slots."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.ids import Side
from domain.market import BookTop
from domain.orders import Order, Unknown
from grid.desired import Stance, desired_orders
from grid.grid import Desired, Grid
from grid.plan import live_by_slot
from grid.slots import Slot
from unit.grid.factories import (
    LOT_UNITS,
    make_book,
    make_grid,
    make_instrument,
    make_order,
    make_slot,
)

#: Levels are 1 quote = 100 ticks apart; level 0 is 10,000 ticks. Mid 10,050: slot 0 is nearest.
BOOK = make_book(10_040, 10_060)
NARROW: dict[str, Any] = {
    "range": {"kind": "window", "buy_window": 3, "sell_window": 3, "anchor": "100"}
}


def decide(
    grid: Grid,
    *orders: Order,
    slots: tuple[Slot, ...] = (),
    book: BookTop = BOOK,
    stance: Stance = Stance.TRADE,
) -> tuple[Desired, ...]:
    return desired_orders(
        grid, {slot.id: slot for slot in slots}, book, live_by_slot(orders), stance=stance
    )


def entry_slots(desired: tuple[Desired, ...], *, placeable: bool | None = None) -> list[int]:
    return [
        order.slot.number
        for order in desired
        if order.side is Side.BUY and placeable in {None, order.placeable}
    ]


def exits_of(desired: tuple[Desired, ...]) -> list[tuple[int, int, int, bool]]:
    return [
        (order.slot.number, order.price_ticks, order.quantity_lots, order.placeable)
        for order in desired
        if order.side is Side.SELL
    ]


def buy(slot: int, lots: int = 10, **changes: Any) -> Order:
    return make_order(slot, Side.BUY, 10_000 + 100 * slot, lots, **changes)


def sell(slot: int, lots: int = 10, price_ticks: int | None = None, **changes: Any) -> Order:
    return make_order(slot, Side.SELL, price_ticks or 10_100 + 100 * slot, lots, **changes)


@pytest.mark.parametrize(
    ("book", "expected"),
    [
        pytest.param(make_book(10_040, 10_060), [0, -1, -2], id="levels below the mid"),
        pytest.param(make_book(10_005, 10_015), [-1, -2], id="a level within the buffer waits"),
        pytest.param(make_book(10_006, 10_016), [0, -1, -2], id="just outside the buffer"),
        pytest.param(make_book(9_990, 10_010), [-1, -2, -3], id="at a level"),
        pytest.param(make_book(10_050, None), [0, -1, -2], id="only bids"),
        pytest.param(make_book(None, 10_050), [0, -1, -2], id="only asks"),
    ],
)
def test_desired_flat_slots_buy_nearest_first_inside_window(
    book: BookTop, expected: list[int]
) -> None:
    desired = decide(make_grid(**NARROW), book=book)
    assert entry_slots(desired, placeable=True) == expected
    assert [order.price_ticks for order in desired] == [10_000 + 100 * slot for slot in expected]
    assert {order.quantity_lots for order in desired} == {10}


@pytest.mark.parametrize(
    ("mid", "expected"),
    [
        pytest.param(13_000, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], id="above the range: all slots"),
        pytest.param(10_250, [2, 1, 0], id="inside the range"),
        pytest.param(9_000, [], id="below the range: none"),
    ],
)
def test_desired_fixed_range_buys_in_slots_below_price(mid: int, expected: list[int]) -> None:
    grid = make_grid(range={"kind": "fixed", "lower": "100", "upper": "110"})
    book = make_book(mid - 10, mid + 10)
    assert entry_slots(decide(grid, book=book)) == expected


@pytest.mark.parametrize(
    ("order", "mid", "is_kept"),
    [
        pytest.param(buy(0), 10_001, True, id="price inside its buffer"),
        pytest.param(buy(0), 10_000, True, id="price at its level"),
        pytest.param(buy(0), 9_750, True, id="price crossed it"),
        pytest.param(buy(-3), 10_050, True, id="one level outside the window"),
        pytest.param(buy(-4), 10_050, False, id="two levels outside the window"),
        pytest.param(buy(0, filled=4), 10_050, True, id="partially filled"),
        pytest.param(buy(0, 7), 10_050, False, id="of an old size"),
        pytest.param(buy(0, 7, filled=4), 10_050, True, id="of an old size, partially filled"),
        pytest.param(make_order(0, Side.BUY, 10_001), 10_050, False, id="not at its slot's level"),
        pytest.param(buy(0, state=Unknown("late")), 10_050, True, id="of unknown outcome"),
    ],
)
def test_desired_live_entry_is_kept_until_slot_or_window_changes(
    order: Order, mid: int, is_kept: bool
) -> None:
    slot = order.intent.tag.slot
    held = make_slot(slot.number, order.filled_lots)
    desired = decide(make_grid(**NARROW), order, slots=(held,), book=make_book(mid - 5, mid + 5))
    kept = [
        wanted
        for wanted in desired
        if (wanted.slot, wanted.side) == (slot, Side.BUY)
        and wanted.price_ticks == order.intent.price_ticks
        and wanted.quantity_lots == order.remaining_lots
    ]
    assert len(kept) == is_kept


def test_desired_live_entry_in_slot_with_other_inventory_is_dropped() -> None:
    late_fill = make_slot(0, 10)
    assert 0 not in entry_slots(decide(make_grid(**NARROW), buy(0), slots=(late_fill,)))


@pytest.mark.parametrize(
    ("slot", "orders"),
    [
        pytest.param(make_slot(0, 10), (), id="holding"),
        pytest.param(make_slot(0, 4), (), id="holding a part of an entry that ended"),
        pytest.param(make_slot(0), (sell(0),), id="flat, while its exit still rests"),
    ],
)
def test_desired_slot_not_flat_takes_no_new_entry(slot: Slot, orders: tuple[Order, ...]) -> None:
    desired = decide(make_grid(**NARROW), *orders, slots=(slot,))
    assert entry_slots(desired, placeable=True) == [-1, -2]


def test_desired_slot_with_dust_only_buys_again() -> None:
    dust = make_slot(0, inventory_units=LOT_UNITS - 1, cost_units=5)
    desired = decide(make_grid(**NARROW), slots=(dust,))
    assert entry_slots(desired, placeable=True) == [0, -1, -2]
    assert exits_of(desired) == []


def test_desired_residue_below_minimum_is_carried_into_next_exit() -> None:
    grid = make_grid(make_instrument(min_notional=Decimal(50)), **NARROW)
    assert exits_of(decide(grid, slots=(make_slot(0, 4),))) == []
    assert 0 in entry_slots(decide(grid, slots=(make_slot(0, 4),)))
    assert exits_of(decide(grid, slots=(make_slot(0, 14),))) == [(0, 10_100, 14, True)]


@pytest.mark.parametrize(
    ("slot", "book", "expected"),
    [
        pytest.param(0, BOOK, [(0, 10_100, 10, True)], id="at the next level"),
        pytest.param(2, BOOK, [(2, 10_300, 10, True)], id="at the end of the window"),
        pytest.param(3, BOOK, [], id="outside the window"),
        pytest.param(0, make_book(10_080, 10_110), [], id="price within the buffer"),
        pytest.param(-2, BOOK, [(-2, 10_060, 10, True)], id="crossed: beside the best ask"),
        pytest.param(-2, make_book(10_050, None), [(-2, 10_051, 10, True)], id="crossed, no asks"),
        pytest.param(-2, make_book(None, 10_050), [(-2, 10_050, 10, True)], id="crossed, no bids"),
        pytest.param(-1, make_book(9_900, 10_300), [(-1, 10_000, 10, True)], id="in the spread"),
    ],
)
def test_desired_inventory_sells_at_next_level_or_best_passive_price(
    slot: int, book: BookTop, expected: list[tuple[int, int, int, bool]]
) -> None:
    assert (
        exits_of(decide(make_grid(**NARROW), slots=(make_slot(slot, 10),), book=book)) == expected
    )


def test_desired_exit_sells_whole_lots_of_inventory_less_base_fee() -> None:
    bought = make_slot(0, inventory_units=10 * LOT_UNITS - 1, cost_units=10**10)
    assert exits_of(decide(make_grid(), slots=(bought,))) == [(0, 10_100, 9, True)]


@pytest.mark.parametrize(
    ("order", "orders", "book", "expected"),
    [
        pytest.param(sell(0), (), BOOK, (10_100, 10, False), id="at its level"),
        pytest.param(
            sell(0),
            (),
            make_book(10_095, 10_099),
            (10_100, 10, False),
            id="price inside the buffer",
        ),
        pytest.param(
            sell(0), (), make_book(10_200, 10_210), (10_100, 10, False), id="crossed by the price"
        ),
        pytest.param(
            sell(0, price_ticks=10_199), (), BOOK, (10_199, 10, False), id="up to a step dearer"
        ),
        pytest.param(
            sell(0, price_ticks=10_200), (), BOOK, (10_100, 10, False), id="a step dearer: replaced"
        ),
        pytest.param(
            sell(0, price_ticks=10_099), (), BOOK, (10_100, 10, False), id="below: replaced"
        ),
        pytest.param(sell(0, 6), (), BOOK, (10_100, 10, False), id="too small: resized"),
        pytest.param(
            sell(0, 6), (buy(0, 14, filled=10),), BOOK, (10_100, 6, False), id="entry still live"
        ),
        pytest.param(sell(0, 11), (), BOOK, (10_100, 10, False), id="too large: resized"),
        pytest.param(
            sell(0, 11), (buy(0, 14, filled=10),), BOOK, (10_100, 10, False), id="never above"
        ),
        pytest.param(sell(0, 15, filled=5), (), BOOK, (10_100, 10, False), id="its remainder fits"),
    ],
)
def test_desired_live_exit_is_kept_while_it_fits(
    order: Order, orders: tuple[Order, ...], book: BookTop, expected: tuple[int, int, bool]
) -> None:
    desired = decide(make_grid(), order, *orders, slots=(make_slot(0, 10),), book=book)
    assert exits_of(desired) == [(0, *expected)]


@pytest.mark.parametrize(("slot", "is_kept"), [(3, True), (4, False)])
def test_desired_live_exit_is_dropped_two_levels_outside_window(slot: int, is_kept: bool) -> None:
    desired = decide(make_grid(**NARROW), sell(slot), slots=(make_slot(slot, 10),))
    assert bool(exits_of(desired)) is is_kept


def test_desired_live_exit_of_small_remainder_is_kept() -> None:
    grid = make_grid(make_instrument(min_notional=Decimal(50)))
    desired = decide(grid, sell(0, 10, filled=7), slots=(make_slot(0, 4),))
    assert exits_of(desired) == [(0, 10_100, 3, False)]


@pytest.mark.parametrize(
    ("stance", "sides"),
    [
        (Stance.TRADE, {Side.BUY, Side.SELL}),
        (Stance.EXIT, {Side.SELL}),
        (Stance.NOTHING, set()),
    ],
)
def test_desired_orders_are_those_the_stance_allows(stance: Stance, sides: set[Side]) -> None:
    desired = decide(make_grid(), buy(-1), sell(0), slots=(make_slot(0, 10),), stance=stance)
    assert {order.side for order in desired} == sides


def test_desired_budget_goes_to_nearest_and_counts_inventory_at_cost() -> None:
    # One order costs about 100; a slot holds 100.
    grid = make_grid(budget_quote="310")
    desired = decide(grid, slots=(make_slot(3, 10),))
    assert entry_slots(desired, placeable=True) == [0, -1]


def test_desired_nearer_slot_waits_for_budget_of_the_farthest() -> None:
    grid = make_grid(budget_quote="310")
    desired = decide(grid, buy(-1), buy(-2), buy(-3))
    assert entry_slots(desired, placeable=True) == []
    assert entry_slots(desired) == [0, -1, -2]


def test_desired_max_open_orders_prefers_exits_then_nearest_entries() -> None:
    grid = make_grid(max_open_orders=3)
    held = make_slot(1, 10)
    assert entry_slots(decide(grid, slots=(held,)), placeable=True) == [0, -1]
    full = decide(grid, buy(0), buy(-1), buy(-2), slots=(held,))
    assert exits_of(full) == [(1, 10_200, 10, False)]
    assert entry_slots(full) == [0, -1]


def test_desired_place_waits_for_order_count_that_others_hold() -> None:
    grid = make_grid(max_open_orders=3)
    undesired = [buy(-8), buy(-9)]
    desired = decide(grid, *undesired, slots=(make_slot(1, 10),))
    assert exits_of(desired) == [(1, 10_200, 10, True)]
    assert entry_slots(desired) == [0, -1]
    assert entry_slots(desired, placeable=True) == []


def test_desired_orders_outside_collar_are_not_placed() -> None:
    grid = make_grid(price_collar="0.02")
    desired = decide(grid, slots=(make_slot(1, 10), make_slot(2, 10)))
    assert exits_of(desired) == [(1, 10_200, 10, True)]
    assert entry_slots(desired) == [0, -1]


def test_desired_own_orders_never_cross() -> None:
    wide = make_book(9_600, 10_800)
    # In the spread, slot -2's exit at level -1 is below the entry of slot 0 and of slot -1.
    desired = decide(make_grid(), slots=(make_slot(-2, 10),), book=wide)
    assert exits_of(desired) == [(-2, 9_900, 10, True)]
    assert entry_slots(desired)[0] == -3
    # An entry that rests above it holds the exit back.
    crossed = decide(make_grid(), buy(0), slots=(make_slot(-2, 10),), book=wide)
    assert exits_of(crossed) == []
    assert 0 in entry_slots(crossed, placeable=False)


def test_desired_slot_that_would_lose_gets_no_entry() -> None:
    # A step of 0.19 earns at 90 but not at 110, with 0.1 % on each side.
    grid = make_grid(spacing={"kind": "arithmetic", "step": "0.19"})
    assert entry_slots(decide(grid, book=make_book(8_999, 9_001)))
    assert entry_slots(decide(grid, book=make_book(10_999, 11_001))) == []


@pytest.mark.parametrize("direction", [1, -1])
def test_desired_price_walking_through_levels_drops_nothing_on_its_way(direction: int) -> None:
    grid = make_grid()
    slots = (make_slot(1, 10), make_slot(2, 10), make_slot(3, 10))
    orders = [buy(slot) for slot in range(-5, 1)] + [sell(slot.id.number) for slot in slots]
    for moved in range(0, 450, 7):
        mid = 10_050 + direction * moved
        desired = decide(grid, *orders, slots=slots, book=make_book(mid - 2, mid + 2))
        wanted = {
            (order.slot, order.side): (order.price_ticks, order.quantity_lots) for order in desired
        }
        for order in orders:
            key = order.intent.tag.slot, order.intent.side
            assert wanted[key] == (order.intent.price_ticks, order.remaining_lots)

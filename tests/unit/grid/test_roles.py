"""Short and neutral grids, the skew, the initial position and the way out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import Purpose, Side
from domain.instrument import MarketKind
from domain.market import BookTop
from domain.orders import Order
from grid.desired import Stance, desired_orders
from grid.grid import Desired, Grid
from grid.ladder import LadderVersion
from grid.plan import live_by_slot
from grid.slots import Slot
from grid.spec import ArithmeticSpacing
from unit.grid.factories import (
    INSTRUMENT,
    make_book,
    make_grid,
    make_instrument,
    make_order,
    make_slot,
    make_spec,
    slot_id,
)

#: No fees, so that a mirrored grid earns the same.
PERPETUAL = make_instrument(kind=MarketKind.LINEAR, maker_fee=Decimal(0), symbol="ABC/USDT:USDT")
#: Mid 10,050: between level 0 at 10,000 and level 1 at 10,100.
BOOK = make_book(10_040, 10_060)
#: (slot, side, price, lots, placeable)
Wanted = tuple[int, str, int, int, bool]


def decide(
    grid: Grid,
    *orders: Order,
    slots: tuple[Slot, ...] = (),
    book: BookTop = BOOK,
    stance: Stance = Stance.TRADE,
) -> list[Wanted]:
    desired = desired_orders(
        grid, {slot.id: slot for slot in slots}, book, live_by_slot(orders), stance=stance
    )
    return [wanted(order) for order in desired]


def wanted(order: Desired) -> Wanted:
    return (
        order.slot.number,
        order.side.value,
        order.price_ticks,
        order.quantity_lots,
        order.placeable,
    )


def perpetual(**changes: Any) -> Grid:
    narrow = {"kind": "window", "buy_window": 3, "sell_window": 3, "anchor": "100"}
    return make_grid(PERPETUAL, **({"range": narrow} | changes))


def sold(number: int, lots: int = 10) -> Slot:
    return make_slot(number, -lots)


def reflected_slot(slot: Slot) -> Slot:
    """A long slot as the short one in the mirror around level 0."""
    short = make_slot(-slot.id.number - 1, -PERPETUAL.tradable_lots(slot.inventory_units))
    return replace(short, inventory_units=-slot.inventory_units)


def reflected_order(order: Order) -> Order:
    intent = order.intent
    return make_order(
        -intent.tag.slot.number - 1,
        intent.side.opposite,
        20_000 - intent.price_ticks,
        intent.quantity_lots,
        purpose=intent.tag.purpose,
        state=order.state,
    )


@given(
    mid=st.integers(9_700, 10_300),
    half_spread=st.integers(1, 60),
    held=st.dictionaries(st.integers(-5, 4), st.integers(1, 10), max_size=5),
    buying=st.sets(st.integers(-6, 3), max_size=4),
    selling=st.sets(st.integers(-5, 4), max_size=3),
    stance=st.sampled_from(Stance),
)
def test_desired_short_grid_is_a_long_one_in_a_mirror(
    mid: int,
    half_spread: int,
    held: dict[int, int],
    buying: set[int],
    selling: set[int],
    stance: Stance,
) -> None:
    settings: dict[str, Any] = {
        "budget_quote": "1000000",
        "price_collar": "0.9",
        "slippage": "0.00000001",  # less than a tick: a part of the price is no mirror image
    }
    slots = tuple(make_slot(number, lots) for number, lots in held.items())
    orders = [make_order(number, Side.BUY, 10_000 + 100 * number) for number in buying]
    orders += [make_order(number, Side.SELL, 10_100 + 100 * number) for number in selling]
    bid, ask = mid - half_spread, mid + half_spread

    long = decide(
        perpetual(**settings), *orders, slots=slots, book=make_book(bid, ask), stance=stance
    )
    short = decide(
        perpetual(mode="short", **settings),
        *(reflected_order(order) for order in orders),
        slots=tuple(reflected_slot(slot) for slot in slots),
        book=make_book(20_000 - ask, 20_000 - bid),
        stance=stance,
    )

    assert short == [
        (-number - 1, Side(side).opposite.value, 20_000 - price, lots, placeable)
        for number, side, price, lots, placeable in long
    ]


def test_desired_neutral_grid_buys_below_its_anchor_and_sells_above() -> None:
    assert decide(perpetual(mode="neutral")) == [
        (-1, "buy", 9_900, 10, True),
        (-2, "buy", 9_800, 10, True),
        (0, "sell", 10_100, 10, True),
        (1, "sell", 10_200, 10, True),
        (2, "sell", 10_300, 10, True),
    ]


def test_desired_neutral_grid_closes_each_slot_at_its_own_level() -> None:
    desired = decide(perpetual(mode="neutral"), slots=(make_slot(-1, 10), sold(1)))
    assert (-1, "sell", 10_060, 10, True) in desired  # crossed: beside the best ask
    assert (1, "buy", 10_040, 10, True) in desired  # crossed the other way
    assert not [order for order in desired if order[0] == 1 and order[1] == "sell"]


def test_desired_neutral_exits_that_would_meet_in_a_wide_spread_do_not() -> None:
    wide = make_book(9_700, 10_500)
    desired = decide(perpetual(mode="neutral"), slots=(make_slot(-3, 10), sold(2)), book=wide)
    buys = [price for _, side, price, _, placeable in desired if side == "buy" and placeable]
    sells = [price for _, side, price, _, placeable in desired if side == "sell" and placeable]
    assert max(buys) < min(sells)
    # Level -2 is 300 ticks from the mid of 10,100 and level 2 is 100: the farther waits.
    assert (2, "buy", 10_200, 10, True) in desired
    assert (-3, "sell", 9_800, 10, True) not in desired


def test_desired_fixed_neutral_range_turns_at_the_price_it_starts_at() -> None:
    grid = perpetual(mode="neutral", range={"kind": "fixed", "lower": "97", "upper": "103"})
    assert [order[:2] for order in decide(grid, book=make_book(9_990, 10_010))] == [
        (2, "buy"),
        (1, "buy"),
        (0, "buy"),
        (3, "sell"),
        (4, "sell"),
        (5, "sell"),
    ]


def test_desired_spot_short_sells_no_more_than_the_declared_base() -> None:
    grid = make_grid(mode="short", base_inventory="2.5")
    assert [order[0] for order in decide(grid)] == [0, 1]
    assert [order[0] for order in decide(grid, slots=(sold(3),))] == [3, 0]


@pytest.mark.parametrize(
    ("slots", "entries"),
    [
        pytest.param((), [0, -1, -2], id="flat"),
        pytest.param((make_slot(3, 10),), [0, -1, -2], id="half a level: none"),
        pytest.param((make_slot(2, 10), make_slot(3, 10)), [-1, -2, -3], id="one level"),
        pytest.param(tuple(make_slot(i, 10) for i in range(2, 8)), [-2, -3, -4], id="at most two"),
    ],
)
def test_desired_skew_moves_the_entry_window_against_the_inventory(
    slots: tuple[Slot, ...], entries: list[int]
) -> None:
    grid = perpetual(skew={"levels_per_slot": "0.5", "max_levels": 2})
    desired = decide(grid, slots=slots)
    assert [order[0] for order in desired if order[1] == "buy"] == entries


def test_desired_skew_moves_no_exit_and_drops_no_nearer_entry() -> None:
    held = make_slot(2, 10), make_slot(3, 10)
    resting = make_order(0, Side.BUY, 10_000)
    grid = perpetual(skew={"levels_per_slot": "1", "max_levels": 3})
    desired = decide(grid, resting, slots=held)
    assert (2, "sell", 10_300, 10, True) in desired
    assert (0, "buy", 10_000, 10, False) in desired


def test_desired_initial_position_is_what_the_slots_above_sell() -> None:
    grid = Grid.fresh(
        make_spec(
            range={"kind": "window", "buy_window": 1, "sell_window": 3, "anchor": "100"},
            initial_position=True,
            slippage="0.001",
        ),
        INSTRUMENT,
        Decimal("100.5"),
    )
    desired = desired_orders(grid, {}, BOOK, {}, stance=Stance.TRADE)
    initial = [order for order in desired if order.purpose is Purpose.INITIAL]
    assert [wanted(order)[:4] for order in initial] == [
        (number, "buy", 10_060 + 10, 10) for number in (1, 2, 3)
    ]
    assert not any(order.post_only for order in initial)


def test_desired_initial_position_is_taken_once() -> None:
    grid = Grid.fresh(make_spec(initial_position=True), INSTRUMENT, Decimal("100.5"))
    traded = make_slot(1, trades=2)
    slots = {traded.id: traded}
    desired = desired_orders(grid, slots, BOOK, {}, stance=Stance.TRADE)
    assert slot_id(1) not in {order.slot for order in desired}


def test_desired_initial_position_of_a_short_grid_is_sold_below() -> None:
    grid = Grid.fresh(
        make_spec(mode="short", initial_position=True, slippage="0.001"),
        PERPETUAL,
        Decimal("100.5"),
    )
    desired = desired_orders(grid, {}, BOOK, {}, stance=Stance.TRADE)
    initial = [wanted(order)[:3] for order in desired if order.purpose is Purpose.INITIAL]
    assert initial[0] == (-1, "sell", 10_040 - 10)


def test_desired_flattening_closes_every_slot_at_a_bounded_price() -> None:
    grid = perpetual(mode="neutral", slippage="0.01")
    resting = make_order(-1, Side.BUY, 9_900)
    held = make_slot(-2, 10), sold(1, 7)
    desired = decide(grid, resting, slots=held, stance=Stance.FLATTEN)
    # The buy of 7 at 10,160 would meet it: of two as far from the price the sell goes first.
    assert desired == [(-2, "sell", 9_940, 10, True)]


def test_desired_flattening_order_that_the_price_left_is_replaced() -> None:
    grid = perpetual(slippage="0.01")
    held = (make_slot(0, 10),)
    beside = make_order(0, Side.SELL, 10_030, purpose=Purpose.FLATTEN)
    left = make_order(0, Side.SELL, 10_050, purpose=Purpose.FLATTEN)
    kept = decide(grid, beside, slots=held, stance=Stance.FLATTEN)
    assert kept == [(0, "sell", 10_030, 10, False)]
    replaced = decide(grid, left, slots=held, stance=Stance.FLATTEN)
    assert replaced == [(0, "sell", 9_940, 10, False)]


def test_desired_slot_of_a_former_ladder_exits_at_its_own_level_and_takes_no_entry() -> None:
    wider = ArithmeticSpacing(step=Decimal(2))
    versions = [
        LadderVersion(version=0, anchor=Decimal(100), spacing=ArithmeticSpacing(step=Decimal(1))),
        LadderVersion(version=1, anchor=Decimal(100), spacing=wider),
    ]
    grid = Grid.of(make_spec(), INSTRUMENT, versions, Decimal(100))
    slots = (make_slot(0, 10), make_slot(-1))
    desired = desired_orders(
        grid,
        {slot.id: slot for slot in slots},
        BOOK,
        live_by_slot([make_order(-1, Side.BUY, 9_900)]),
        stance=Stance.TRADE,
    )
    (exit_,) = (order for order in desired if order.side is Side.SELL)
    assert (exit_.slot, exit_.price_ticks) == (slot_id(0), 10_100)
    entries = [order for order in desired if order.side is Side.BUY]
    assert {order.slot.version for order in entries} == {1}
    assert [order.price_ticks for order in entries][:2] == [10_000, 9_800]

"""Which closing orders of a grid on contracts are reduce-only."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from domain.ids import Side
from domain.instrument import MarketKind
from domain.orders import Order
from grid.desired import Stance, desired_orders
from grid.grid import SlotSide
from grid.slots import Slot
from grid.view import Desired
from unit.grid.factories import (
    make_book,
    make_grid,
    make_instrument,
    make_order,
    make_slot,
    slot_id,
)

CONTRACT = make_instrument(kind=MarketKind.LINEAR)
#: The mid is at 100.00, where the default ladder has its level 0.
BOOK = make_book(9_999, 10_001)


def closing(
    *slots: Slot,
    live: Mapping[SlotSide, Order] | None = None,
    stance: Stance = Stance.EXIT,
    kind: MarketKind = MarketKind.LINEAR,
    mode: str = "neutral",
) -> list[Desired]:
    grid = make_grid(CONTRACT if kind is MarketKind.LINEAR else make_instrument(), mode=mode)
    held = {slot.id: slot for slot in slots}
    return [
        order
        for order in desired_orders(grid, held, BOOK, live or {}, stance=stance)
        if order.placeable
    ]


def flags(orders: list[Desired], side: Side) -> dict[int, bool]:
    return {order.slot.number: order.reduce_only for order in orders if order.side is side}


def test_exits_of_a_long_grid_all_reduce_only() -> None:
    orders = closing(make_slot(-3, 10), make_slot(0, 10), make_slot(1, 10), mode="long")
    assert flags(orders, Side.SELL) == {-3: True, 0: True, 1: True}


def test_exits_on_spot_are_plain() -> None:
    orders = closing(make_slot(0, 10), kind=MarketKind.SPOT, mode="long")
    assert flags(orders, Side.SELL) == {0: False}


def test_exits_beyond_the_net_position_are_plain_the_nearest_ones_reduce_only() -> None:
    orders = closing(
        make_slot(-2, 10),
        make_slot(-4, 10),
        make_slot(-6, 10),
        make_slot(5, -10),
    )
    # 30 long and 10 short net to 20: two sells fit, and no buy.
    assert sorted(flags(orders, Side.SELL).values()) == [False, True, True]
    nearest = min(
        (order for order in orders if order.side is Side.SELL), key=lambda order: order.price_ticks
    )
    assert nearest.reduce_only
    assert flags(orders, Side.BUY) == {5: False}


@pytest.mark.parametrize(("short_lots", "expected"), [(0, True), (-10, False)])
def test_live_exits_take_their_part_of_the_position_first(short_lots: int, expected: bool) -> None:
    live = {(slot_id(-3), Side.SELL): make_order(-3, Side.SELL, 10_001, 10)}
    shorts = [make_slot(4, short_lots)] if short_lots else []
    orders = closing(make_slot(-3, 10), make_slot(-2, 10), *shorts, live=live)
    assert flags(orders, Side.SELL) == {-2: expected}


@pytest.mark.parametrize(("short_lots", "expected"), [(0, True), (-10, False)])
def test_flattening_reduces_only_where_it_can(short_lots: int, expected: bool) -> None:
    slots = [make_slot(-1, 10)] + ([make_slot(3, short_lots)] if short_lots else [])
    orders = closing(*slots, stance=Stance.FLATTEN)
    assert all(order.reduce_only is expected for order in orders)
    assert orders


def test_entries_are_never_reduce_only() -> None:
    orders = closing(make_slot(-2, 10), stance=Stance.TRADE)
    entries = [order for order in orders if order.slot.number != -2]
    assert entries
    assert not any(order.reduce_only for order in entries)

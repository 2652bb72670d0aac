"""A position becomes slots: nothing is lost, nothing invented, and no slot holds too much."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import Side
from domain.instrument import MarketKind
from grid.adopt import Cost, adopt, cost_of
from grid.role import Role
from grid.slots import Slot
from unit.grid.factories import INSTRUMENT, LOT_UNITS, make_grid, make_instrument, make_trade

#: The price lies between levels 0 and 1; a slot's entry is 1 base, ten lots.
PRICE = 10_050
ENTRY_UNITS = 10 * LOT_UNITS
LINEAR = make_instrument(kind=MarketKind.LINEAR, symbol="ABC/USDT:USDT")


def numbers(slots: tuple[Slot, ...]) -> list[int]:
    return [slot.id.number for slot in slots]


def lots(slots: tuple[Slot, ...]) -> list[Decimal]:
    return [Decimal(slot.inventory_units) / LOT_UNITS for slot in slots]


def test_adopt_long_position_fills_the_slots_above_the_price_nearest_first() -> None:
    slots = adopt(make_grid(), 25 * LOT_UNITS, 2_500_000_000_00, PRICE)
    assert numbers(slots) == [1, 2, 3]
    assert lots(slots) == [10, 10, 5]


def test_adopt_short_position_is_the_mirror() -> None:
    grid = make_grid(LINEAR, mode="short")
    slots = adopt(grid, -25 * LOT_UNITS, -2_500_000_000_00, PRICE)
    assert numbers(slots) == [-1, -2, -3]
    assert lots(slots) == [-10, -10, -5]
    assert sum(slot.cost_units for slot in slots) == -2_500_000_000_00


@pytest.mark.parametrize(
    ("base_lots", "changes", "held"),
    [
        pytest.param("10.4", {}, [10], id="less than a lot is left over"),
        pytest.param("10.9", {"order_size": {"kind": "base", "amount": "2"}}, ["10.9"], id="dust"),
        pytest.param("0.4", {}, [], id="less than the venue takes"),
        pytest.param("1000", {}, [10] * 10, id="more than the window shows"),
        pytest.param("1000", {"budget_quote": "250"}, [10, 10], id="more than the budget bears"),
        pytest.param(
            "1000",
            {"range": {"kind": "fixed", "lower": "98", "upper": "103"}},
            [10, 10],
            id="to the end of a range",
        ),
        pytest.param("-10", {}, [], id="of the other sign"),
        pytest.param("0", {}, [], id="nothing"),
    ],
)
def test_adopt_leaves_over_what_does_not_fit(
    base_lots: str, changes: dict[str, Any], held: list[object]
) -> None:
    units = int(Decimal(base_lots) * LOT_UNITS)
    cost = INSTRUMENT.notional_units(10_000, 1) * units // LOT_UNITS
    slots = adopt(make_grid(**changes), units, cost, PRICE)
    assert lots(slots) == [Decimal(str(part)) for part in held]


@given(
    units=st.integers(1, 200 * LOT_UNITS),
    cost=st.integers(0, 10**13),
    price=st.integers(9_000, 11_000),
    role=st.sampled_from(Role),
)
def test_adopt_keeps_sums_to_the_unit_and_no_slot_above_its_entry(
    units: int, cost: int, price: int, role: Role
) -> None:
    grid = make_grid(LINEAR, mode="long" if role is Role.LONG else "short")
    slots = adopt(grid, role * units, role * cost, price)
    held = sum(slot.held_units for slot in slots)
    assert held <= units
    # Where all of it found a place, so did all of its cost; else its share, but for one unit.
    shared = sum(role * slot.cost_units for slot in slots)
    assert abs(shared * units - cost * held) < units if held else shared == 0
    if held == units:
        assert shared == cost
    assert len(set(numbers(slots))) == len(slots)
    for slot in slots:
        assert 0 < slot.held_units <= ENTRY_UNITS
        assert slot.inventory_units * role > 0
        assert not grid.is_dust(slot.id, slot.held_units)
        lower, upper = grid.levels(slot.id)
        assert lower >= price if role is Role.LONG else upper <= price
    whole = [slot for slot in slots if slot.held_units == ENTRY_UNITS]
    assert slots[: len(whole)] == tuple(whole)


TRADES = [
    make_trade(Side.BUY, "90", "2"),
    make_trade(Side.BUY, "100", "1", fee="0.01", fee_asset="ABC"),
    make_trade(Side.SELL, "105", "1.5"),
    make_trade(Side.BUY, "110", "1", fee="0.5", fee_asset="USDT"),
]


@pytest.mark.parametrize(
    ("base", "cost", "traded"),
    [
        pytest.param("0.5", "55.25", "0.5", id="part of the newest buy, with its fee"),
        pytest.param("1", "110.5", "1", id="the newest buy"),
        pytest.param("1.99", "210.5", "1.99", id="a fee in base makes the rest dearer"),
        pytest.param("2.99", "300.5", "2.99", id="part of the oldest"),
        pytest.param("5", "491.5", "3.99", id="more than was traded: the rest at the price"),
    ],
)
def test_cost_of_a_long_position_is_that_of_its_newest_buys(
    base: str, cost: str, traded: str
) -> None:
    units = INSTRUMENT.base_to_units(Decimal(base))
    assert cost_of(TRADES, units, INSTRUMENT, 10_000) == Cost(
        cost_units=INSTRUMENT.quote_to_units(Decimal(cost)),
        traded_units=INSTRUMENT.base_to_units(Decimal(traded)),
    )


def test_cost_of_a_short_position_is_what_its_newest_sells_brought() -> None:
    units = INSTRUMENT.base_to_units(Decimal(-1))
    found = cost_of(TRADES, units, INSTRUMENT, 10_000)
    assert INSTRUMENT.units_to_quote(found.cost_units) == -105


def test_cost_of_a_position_without_trades_is_the_price_now() -> None:
    units = INSTRUMENT.base_to_units(Decimal(2))
    found = cost_of([], units, INSTRUMENT, 10_000)
    assert (INSTRUMENT.units_to_quote(found.cost_units), found.traded_units) == (200, 0)

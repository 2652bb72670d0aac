"""The sum of a grid at a mark price."""

from __future__ import annotations

from grid.profit import Profit, total_profit
from unit.grid.factories import INSTRUMENT, make_slot


def test_total_profit_adds_pairs_open_rounds_and_inventory_at_mark() -> None:
    slots = [
        make_slot(0, 10),
        make_slot(1, 5, closed_units=1, closed_cost_units=50, proceeds_units=80),
    ]
    profit = total_profit(1_000, slots, INSTRUMENT, 10_200)
    # 1 base bought at 100 gained 2; half a base bought at 101 gained half.
    assert profit == Profit(grid_units=1_000, unpaired_units=30, floating_units=250_000_000)
    assert profit.total_units == 250_001_030


def test_total_profit_fraction_of_a_unit_is_rounded_down() -> None:
    dust = make_slot(0, inventory_units=1, cost_units=100)
    assert total_profit(0, [dust], INSTRUMENT, 10_050).floating_units == 0
    assert total_profit(0, [dust], INSTRUMENT, 9_999).floating_units == -1

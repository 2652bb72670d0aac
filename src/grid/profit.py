"""What a grid has earned, in quote units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.instrument import Instrument
from grid.slots import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """All after fees in base and quote; fees in a third asset are the ledger's affair."""

    #: Matched pairs.
    grid_units: int
    #: Brought by round trips that have not ended, less what that part had cost.
    unpaired_units: int
    #: Inventory at the mark, rounded down, less its cost.
    floating_units: int

    @property
    def total_units(self) -> int:
        return self.grid_units + self.unpaired_units + self.floating_units


def total_profit(
    paired_units: int, slots: Iterable[Slot], instrument: Instrument, mark_ticks: int
) -> Profit:
    """Sum a grid up at a mark price.

    Parameters
    ----------
    paired_units : int
        Σ `Pair.profit_units` of all pairs so far.
    """
    inventory_units = cost_units = unpaired_units = 0
    for slot in slots:
        inventory_units += slot.inventory_units
        cost_units += slot.cost_units
        unpaired_units += slot.proceeds_units - slot.closed_cost_units
    value = inventory_units * mark_ticks * instrument.quote_units_per_tick_lot
    return Profit(
        grid_units=paired_units,
        unpaired_units=unpaired_units,
        floating_units=value // instrument.base_units_per_lot - cost_units,
    )

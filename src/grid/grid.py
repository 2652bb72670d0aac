"""A spec made concrete on an instrument: the ladder, the order of each slot and the limits."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from domain.ids import Side
from domain.instrument import Instrument, Rounding
from grid.ladder import Ladder
from grid.sizing import entry_cost_units, order_lots, required_lots, round_trip_profit_units
from grid.spec import LEVELS_MAX, GridSpec, WindowRange

#: The place of an order in the grid; at most one live order each.
SlotSide = tuple[int, Side]


class Entry(NamedTuple):
    """The entry order of a flat slot; no lots where the slot must take none."""

    price_ticks: int
    quantity_lots: int
    #: Quote it ties up.
    cost_units: int


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Everything about a grid that no tick changes."""

    spec: GridSpec
    instrument: Instrument
    ladder: Ladder
    #: Levels below and above the price that are live; a fixed range has them all.
    buy_window: int
    sell_window: int
    budget_units: int
    _entries: dict[int, Entry] = field(default_factory=dict, compare=False, repr=False)
    _costs: dict[tuple[int, int], array[int]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @staticmethod
    def of(spec: GridSpec, instrument: Instrument, anchor: Decimal, version: int = 1) -> Grid:
        """Raises `ConfigurationError` as `Ladder.of` does."""
        window = spec.range if isinstance(spec.range, WindowRange) else None
        return Grid(
            spec=spec,
            instrument=instrument,
            ladder=Ladder.of(spec, instrument, anchor, version),
            buy_window=window.buy_window if window else LEVELS_MAX,
            sell_window=window.sell_window if window else LEVELS_MAX,
            budget_units=instrument.quote_to_units(spec.budget_quote, Rounding.FLOOR),
        )

    def entry(self, slot: int) -> Entry:
        """The slot's entry order.

        It has no lots where the venue would not take the order or its exit, where a round trip
        would lose money, and where it alone would break the budget.
        """
        entry = self._entries.get(slot)
        if entry is None:
            entry = self._entries[slot] = self._make_entry(slot)
        return entry

    def entry_costs(self, first: int, last: int) -> array[int]:
        """Cost of the entries of slots `first` to `last`, as a copy to write in."""
        costs = self._costs.get((first, last))
        if costs is None:
            # The window moves rarely and comes back rarely: one is kept.
            self._costs.clear()
            costs = array("q", (self.entry(slot).cost_units for slot in range(first, last + 1)))
            self._costs[first, last] = costs
        return costs[:]

    def is_buffered(self, level: int, slot: int, price_ticks: int) -> bool:
        """Whether a level is too near to the price, measured in steps of a slot."""
        low_ticks, high_ticks = self.ladder.price_ticks(slot), self.ladder.price_ticks(slot + 1)
        distance_ticks = abs(self.ladder.price_ticks(level) - price_ticks)
        return distance_ticks <= self.spec.placement_buffer * (high_ticks - low_ticks)

    def is_dust(self, slot: int, base_units: int) -> bool:
        """Whether an inventory is too little for the venue to take its exit."""
        if base_units < self.instrument.base_units_per_lot:
            return True
        lots = self.instrument.tradable_lots(base_units)
        return not self.instrument.is_orderable(self.ladder.price_ticks(slot + 1), lots)

    def _make_entry(self, slot: int) -> Entry:
        buy_ticks, sell_ticks = self.ladder.price_ticks(slot), self.ladder.price_ticks(slot + 1)
        lots = order_lots(self.spec.order_size, self.instrument, buy_ticks)
        cost_units = entry_cost_units(self.instrument, buy_ticks, lots)
        if (
            lots < required_lots(self.instrument, buy_ticks, sell_ticks)
            or round_trip_profit_units(self.instrument, buy_ticks, sell_ticks, lots) <= 0
            or cost_units > self.budget_units
        ):
            return Entry(buy_ticks, 0, 0)
        return Entry(buy_ticks, lots, cost_units)


def collar_band(price_ticks: int, collar: Decimal) -> tuple[int, int]:
    """The lowest and the highest price an order may have around a market price."""
    return (
        int((price_ticks * (1 - collar)).to_integral_value(ROUND_CEILING)),
        int((price_ticks * (1 + collar)).to_integral_value(ROUND_FLOOR)),
    )

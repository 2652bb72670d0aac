"""A spec made concrete on an instrument: the ladders, the order of each slot and the limits."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cached_property
from typing import NamedTuple

from domain.ids import Purpose, Side, SlotId
from domain.instrument import Instrument, MarketKind, Rounding
from grid.ladder import Ladder, LadderVersion
from grid.role import Role
from grid.sizing import entry_cost_units, order_lots, required_lots, round_trip_profit_units
from grid.spec import LEVELS_MAX, GridSpec, Mode, WindowRange

#: The place of an order in the grid; at most one live order each.
SlotSide = tuple[SlotId, Side]


class Entry(NamedTuple):
    """The entry order of a flat slot; no lots where the slot must take none."""

    price_ticks: int
    quantity_lots: int
    #: What it ties up: quote units, or base units where a spot grid sells first.
    cost_units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """An order the grid wants to be live."""

    slot: SlotId
    side: Side
    purpose: Purpose
    price_ticks: int
    #: What is to rest: of a live order, its remainder.
    quantity_lots: int
    #: Whether to place it now; otherwise it is live already, or waits for what others hold.
    placeable: bool
    #: False for an order that is meant to be filled at once.
    post_only: bool = True
    #: Of an order about to be placed on contracts: whether it may only close.
    reduce_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Everything about a grid that no tick changes."""

    spec: GridSpec
    instrument: Instrument
    #: The current version: only its slots take entries.
    ladder: Ladder
    #: Versions before it: their slots exit, and vanish when they are flat.
    former: Mapping[int, Ladder] = field(default_factory=dict)
    #: Where the grid started, or starts once its trigger is reached.
    start_ticks: int
    _entries: dict[int, Entry] = field(default_factory=dict, compare=False, repr=False)
    _desired: dict[tuple[int, bool], Desired] = field(
        default_factory=dict, compare=False, repr=False
    )
    _costs: dict[range, array[int]] = field(default_factory=dict, compare=False, repr=False)

    @staticmethod
    def of(
        spec: GridSpec,
        instrument: Instrument,
        ladders: Sequence[LadderVersion],
        start_price: Decimal,
    ) -> Grid:
        """Build a grid from its ladder versions, the current one last.

        Raises
        ------
        ConfigurationError
            If a step would be smaller than a tick.
        """
        *former, current = (Ladder.of(version, spec.range, instrument) for version in ladders)
        return Grid(
            spec=spec,
            instrument=instrument,
            ladder=current,
            former={ladder.version: ladder for ladder in former},
            start_ticks=instrument.price_to_ticks(start_price, Rounding.FLOOR),
        )

    @staticmethod
    def fresh(spec: GridSpec, instrument: Instrument, price: Decimal) -> Grid:
        """The grid that a spec makes at a price, before anything of it is persisted."""
        start = spec.trigger_price or price
        return Grid.of(spec, instrument, [LadderVersion.first(spec, instrument, start)], start)

    def shifted(self, levels: int) -> Grid:
        """The grid whose fixed range trailed the price by so many levels."""
        return replace(self, ladder=self.ladder.shifted(levels)) if levels else self

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        match self.spec.mode:
            case Mode.LONG:
                return (Role.LONG,)
            case Mode.SHORT:
                return (Role.SHORT,)
            case Mode.NEUTRAL:
                return (Role.LONG, Role.SHORT)

    def role_of(self, slot: SlotId) -> Role:
        if self.spec.mode is Mode.NEUTRAL:
            return Role.LONG if slot.number < self._ladder_of(slot).pivot else Role.SHORT
        return self.roles[0]

    def levels(self, slot: SlotId) -> tuple[int, int]:
        """The prices of a slot's lower and upper level."""
        ladder = self._ladder_of(slot)
        return ladder.price_ticks(slot.number), ladder.price_ticks(slot.number + 1)

    def exit_ticks(self, slot: SlotId) -> int:
        """The level at which a slot's inventory is to be closed."""
        lower_ticks, upper_ticks = self.levels(slot)
        return upper_ticks if self.role_of(slot) is Role.LONG else lower_ticks

    def windows(self, role: Role) -> tuple[int, int]:
        """Levels around the price at which entries and exits of a role are live."""
        if isinstance(self.spec.range, WindowRange):
            windows = self.spec.range.buy_window, self.spec.range.sell_window
            return windows if role is Role.LONG else windows[::-1]
        return LEVELS_MAX, LEVELS_MAX

    @cached_property
    def budget_units(self) -> int:
        """Most quote that inventory and entries of one role tie up."""
        return self.instrument.quote_to_units(self.spec.budget_quote, Rounding.FLOOR)

    def sells_base(self, role: Role) -> bool:
        """Whether a role's entries tie up base that the operator holds instead of quote."""
        return role is Role.SHORT and self.instrument.kind is MarketKind.SPOT

    def role_budget_units(self, role: Role) -> int:
        """What all inventory and entries of a role may tie up; see `Entry.cost_units`."""
        if self.sells_base(role):
            return self.instrument.base_to_units(self.spec.base_inventory or Decimal(0))
        return self.budget_units

    def cost_units(self, role: Role, price_ticks: int, quantity_lots: int) -> int:
        """What an entry at a price ties up."""
        if self.sells_base(role):
            return quantity_lots * self.instrument.base_units_per_lot
        return entry_cost_units(self.instrument, price_ticks, quantity_lots)

    def entry(self, index: int) -> Entry:
        """The entry order of a slot of the current ladder.

        It has no lots where the venue would not take the order or its exit, where a round trip
        would lose money, and where it alone would break the budget.
        """
        entry = self._entries.get(index)
        if entry is None:
            entry = self._entries[index] = self._make_entry(SlotId(self.ladder.version, index))
        return entry

    def desired_entry(self, index: int, *, placeable: bool) -> Desired:
        """The whole entry order of a slot, as it is wanted."""
        desired = self._desired.get((index, placeable))
        if desired is None:
            slot, entry = SlotId(self.ladder.version, index), self.entry(index)
            desired = self._desired[index, placeable] = Desired(
                slot=slot,
                side=self.role_of(slot).entry_side,
                purpose=Purpose.ENTRY,
                price_ticks=entry.price_ticks,
                quantity_lots=entry.quantity_lots,
                placeable=placeable,
            )
        return desired

    def entry_costs(self, indices: range) -> array[int]:
        """Costs of the entries of some slots, as a copy to write in."""
        costs = self._costs.get(indices)
        if costs is None:
            # The window moves rarely and comes back rarely: one of each role is kept.
            if len(self._costs) >= len(self.roles):
                self._costs.clear()
            costs = array("q", (self.entry(index).cost_units for index in indices))
            self._costs[indices] = costs
        return costs[:]

    def is_dust(self, slot: SlotId, base_units: int) -> bool:
        """Whether an inventory is too little for the venue to take its exit."""
        if base_units < self.instrument.base_units_per_lot:
            return True
        lots = self.instrument.tradable_lots(base_units)
        return not self.instrument.is_orderable(self.exit_ticks(slot), lots)

    def _ladder_of(self, slot: SlotId) -> Ladder:
        return self.ladder if slot.version == self.ladder.version else self.former[slot.version]

    def _make_entry(self, slot: SlotId) -> Entry:
        role = self.role_of(slot)
        lower_ticks, upper_ticks = self.levels(slot)
        price_ticks = lower_ticks if role is Role.LONG else upper_ticks
        lots = order_lots(self.spec.order_size, self.instrument, price_ticks)
        cost_units = self.cost_units(role, price_ticks, lots)
        if (
            lots < required_lots(self.instrument, lower_ticks, upper_ticks)
            or round_trip_profit_units(self.instrument, lower_ticks, upper_ticks, lots) <= 0
            or cost_units > self.role_budget_units(role)
        ):
            return Entry(price_ticks, 0, 0)
        return Entry(price_ticks, lots, cost_units)


def collar_band(price_ticks: int, collar: Decimal) -> tuple[int, int]:
    """The lowest and the highest price an order may have around a market price."""
    return (
        int((price_ticks * (1 - collar)).to_integral_value(ROUND_CEILING)),
        int((price_ticks * (1 + collar)).to_integral_value(ROUND_FLOOR)),
    )

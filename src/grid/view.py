"""A grid as its long slots see it, or as its short ones see it in a mirror.

A short grid is a long one in a mirror: prices change their sign, slot i becomes slot -i - 1, asks
become bids. What is cheap there is dear here, and a short slot sells like a long one buys. So every
rule is written once, for slots that buy low and sell high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.ids import Purpose, Side, SlotId
from domain.market import BookTop
from domain.orders import Order
from grid.grid import Entry, Grid, SlotSide, collar_band
from grid.role import OPENING, Role
from grid.slots import Slot


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


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One decision's inputs for the slots of one role.

    Indices, prices and signs are the mirror's for a short role; `SlotId`s, orders and slots are the
    grid's own.
    """

    grid: Grid
    role: Role
    slots: Mapping[SlotId, Slot]
    #: Live orders of the role's slots.
    entries: Mapping[SlotId, Order]
    exits: Mapping[SlotId, Order]
    #: Best price on the role's exit side and on its entry side.
    bid_ticks: int | None
    ask_ticks: int | None
    price_ticks: int
    #: The prices an order may have.
    lowest_ticks: int
    highest_ticks: int
    #: Between which own orders rest, of any role: entries cross none of the upper ones.
    highest_buy_ticks: int | None
    lowest_sell_ticks: int | None
    #: Greatest level strictly below the price.
    base: int

    @staticmethod
    def of(
        grid: Grid,
        role: Role,
        slots: Mapping[SlotId, Slot],
        book: BookTop,
        live: Mapping[SlotSide, Order],
    ) -> View:
        lowest_ticks, highest_ticks = collar_band(book.mid_ticks, grid.spec.price_collar)
        bid_ticks, ask_ticks = book.bid_ticks, book.ask_ticks
        if role is Role.SHORT:
            lowest_ticks, highest_ticks = -highest_ticks, -lowest_ticks
            bid_ticks = None if book.ask_ticks is None else -book.ask_ticks
            ask_ticks = None if book.bid_ticks is None else -book.bid_ticks
        sides: dict[Side, list[int]] = {role.entry_side: [], role.exit_side: []}
        orders: dict[Side, dict[SlotId, Order]] = {role.entry_side: {}, role.exit_side: {}}
        for (slot, side), order in live.items():
            sides[side].append(role * order.intent.price_ticks)
            if grid.role_of(slot) is role:
                orders[side][slot] = order
        return View(
            grid=grid,
            role=role,
            slots={key: slot for key, slot in slots.items() if grid.role_of(key) is role},
            entries=orders[role.entry_side],
            exits=orders[role.exit_side],
            bid_ticks=bid_ticks,
            ask_ticks=ask_ticks,
            price_ticks=role * book.mid_ticks,
            lowest_ticks=lowest_ticks,
            highest_ticks=highest_ticks,
            highest_buy_ticks=max(sides[role.entry_side], default=None),
            lowest_sell_ticks=min(sides[role.exit_side], default=None),
            base=_index_below(grid, role, role * book.mid_ticks),
        )

    def slot_id(self, index: int) -> SlotId:
        """A slot of the current ladder."""
        return SlotId(self.grid.ladder.version, self._reflected(index))

    def index(self, slot: SlotId) -> int | None:
        """A slot's index; `None` if it is not of the current ladder."""
        if slot.version != self.grid.ladder.version:
            return None
        return self._reflected(slot.number)

    def index_below(self, price_ticks: int) -> int:
        """The greatest level strictly below a price."""
        return _index_below(self.grid, self.role, price_ticks)

    def level(self, index: int) -> int:
        """Price of a level of the current ladder."""
        return self.role * self.grid.ladder.price_ticks(self.role * index)

    def levels(self, slot: SlotId) -> tuple[int, int]:
        """The prices at which a slot buys and sells."""
        lower_ticks, upper_ticks = self.grid.levels(slot)
        if self.role is Role.LONG:
            return lower_ticks, upper_ticks
        return -upper_ticks, -lower_ticks

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest slot that may take entries."""
        ladder, grid = self.grid.ladder, self.grid
        lowest, highest = ladder.lowest_index, ladder.highest_index - 1
        if len(grid.roles) > 1:
            if self.role is Role.LONG:
                highest = min(highest, grid.pivot - 1)
            else:
                lowest = max(lowest, grid.pivot)
        if self.role is Role.LONG:
            return lowest, highest
        return self._reflected(highest), self._reflected(lowest)

    def entry(self, index: int) -> Entry:
        """The entry order of a slot; its price is the mirror's."""
        entry = self.grid.entry(self._reflected(index))
        return entry._replace(price_ticks=self.role * entry.price_ticks)

    def indices(self, first: int, last: int) -> range:
        """The slots `first` to `last` as the ladder counts them."""
        if self.role is Role.LONG:
            return range(first, last + 1)
        return range(self._reflected(first), self._reflected(last) - 1, -1)

    def is_buffered(self, level: int, index: int) -> bool:
        """Whether a level is too near to the price, measured in steps of a slot."""
        step_ticks = self.level(index + 1) - self.level(index)
        distance_ticks = abs(self.level(level) - self.price_ticks)
        return distance_ticks <= self.grid.spec.placement_buffer * step_ticks

    def price_of(self, order: Order) -> int:
        return self.role * order.intent.price_ticks

    def tied_units(self, slot: Slot) -> int:
        """What a slot's inventory takes of the role's budget."""
        if self.grid.sells_base(self.role):
            return slot.held_units
        return self.role * slot.cost_units

    def held_units(self, order: Order) -> int:
        """What the remainder of a live entry takes of the role's budget."""
        return self.grid.cost_units(self.role, order.intent.price_ticks, order.remaining_lots)

    def desired(
        self,
        slot: SlotId,
        purpose: Purpose,
        price_ticks: int,
        quantity_lots: int,
        *,
        placeable: bool,
        post_only: bool = True,
    ) -> Desired:
        """An order of the role, back from the mirror."""
        opens = purpose in OPENING
        return Desired(
            slot=slot,
            side=self.role.entry_side if opens else self.role.exit_side,
            purpose=purpose,
            price_ticks=self.role * price_ticks,
            quantity_lots=quantity_lots,
            placeable=placeable,
            post_only=post_only,
        )

    def _reflected(self, index: int) -> int:
        return index if self.role is Role.LONG else -index - 1


def _index_below(grid: Grid, role: Role, price_ticks: int) -> int:
    if role is Role.LONG:
        return grid.ladder.index_below(price_ticks)
    return -grid.ladder.index_above(-price_ticks)

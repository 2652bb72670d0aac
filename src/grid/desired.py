"""Which orders a long grid wants: a pure function of slots, price and what is live.

Window, buffer and collar gate placement only. An order that is live stays while it still fits its
slot, so a price that approaches or crosses it cancels nothing; it goes when its slot changed, when
its side is forbidden, when nearer orders need the budget, or when it lies more than one level
outside the window.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from domain.ids import Purpose, Side
from domain.market import BookTop
from domain.orders import Order
from ext.ladder import DENIED, LIVE, PLACEABLE, VACANT, WANTED, grant_entries
from grid.grid import Grid, SlotSide, collar_band
from grid.sizing import entry_cost_units
from grid.slots import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """An order the grid wants to be live."""

    slot: int
    side: Side
    purpose: Purpose
    price_ticks: int
    #: What is to rest: of a live order, its remainder.
    quantity_lots: int
    #: Whether to place it now; otherwise it is live already, or waits for what others hold.
    placeable: bool


@dataclass(frozen=True, slots=True)
class _View:
    """One decision's inputs, and the price's place on the ladder."""

    grid: Grid
    slots: Mapping[int, Slot]
    book: BookTop
    live: Mapping[SlotSide, Order]
    price_ticks: int
    #: Greatest level strictly below the price.
    base: int
    lowest_ticks: int
    highest_ticks: int

    def live_on(self, side: Side) -> list[tuple[int, Order]]:
        return [(slot, order) for (slot, other), order in self.live.items() if other is side]


def desired_orders(
    grid: Grid,
    slots: Mapping[int, Slot],
    book: BookTop,
    live: Mapping[SlotSide, Order],
    *,
    entries_allowed: bool,
    exits_allowed: bool,
) -> tuple[Desired, ...]:
    """Decide what should rest at the venue, exits first and each side nearest first.

    Parameters
    ----------
    slots : mapping of slot index to Slot
        Slots that ever traded or had an order; any other is flat.
    live : mapping of slot and side to Order
        Every order that may rest, whatever is known of it, with the filled lots of the trades that
        are in `slots`. Where a report is ahead of its trades, the order stays as it was before
        that report until they are in: else its money and its slot would look free.
    """
    price_ticks = book.mid_ticks
    lowest_ticks, highest_ticks = collar_band(price_ticks, grid.spec.price_collar)
    view = _View(
        grid,
        slots,
        book,
        live,
        price_ticks,
        grid.ladder.index_below(price_ticks),
        lowest_ticks,
        highest_ticks,
    )
    exits = _exits(view) if exits_allowed else []
    entries = _entries(view, exits) if entries_allowed else []
    return (*exits, *entries)


def _exits(view: _View) -> list[Desired]:
    free_orders = view.grid.spec.max_open_orders - len(view.live)
    highest_buy_ticks = max(
        (order.intent.price_ticks for _, order in view.live_on(Side.BUY)), default=0
    )
    lot_units = view.grid.instrument.base_units_per_lot
    exits: list[Desired] = []
    for index in sorted(view.slots):
        if len(exits) == view.grid.spec.max_open_orders:
            break
        slot = view.slots[index]
        if slot.inventory_units < lot_units:
            continue
        order = view.live.get((index, Side.SELL))
        if order is not None and _keeps_exit(view, slot, order):
            exits.append(_exit(index, order.intent.price_ticks, order.remaining_lots))
            continue
        price_ticks = _passive_sell_ticks(view.grid.ladder.price_ticks(index + 1), view.book)
        # Own orders never cross: whichever rests already, the other waits.
        if price_ticks <= highest_buy_ticks or not _may_place_exit(view, slot, price_ticks):
            continue
        placeable = order is None and free_orders > 0
        free_orders -= placeable
        lots = view.grid.instrument.tradable_lots(slot.inventory_units)
        exits.append(_exit(index, price_ticks, lots, placeable=placeable))
    return exits


def _keeps_exit(view: _View, slot: Slot, order: Order) -> bool:
    """Whether a live exit still fits its slot.

    It may be up to a step dearer than it would be placed now, so that it does not chase the book.
    It may be smaller than the inventory while the slot's entry is live and still adds to it, and
    where the venue would not take a larger one; it is never larger.
    """
    ladder = view.grid.ladder
    buy_ticks, level_ticks = ladder.price_ticks(slot.index), ladder.price_ticks(slot.index + 1)
    desired_ticks = _passive_sell_ticks(level_ticks, view.book)
    lots = view.grid.instrument.tradable_lots(slot.inventory_units)
    remaining = order.remaining_lots
    return (
        slot.index <= view.base + view.grid.sell_window
        and level_ticks <= order.intent.price_ticks < desired_ticks + level_ticks - buy_ticks
        and remaining <= lots
        and (
            remaining == lots
            or (slot.index, Side.BUY) in view.live
            or view.grid.is_dust(slot.index, slot.inventory_units)
        )
    )


def _may_place_exit(view: _View, slot: Slot, price_ticks: int) -> bool:
    level = slot.index + 1
    crossed = price_ticks > view.grid.ladder.price_ticks(level)
    return (
        level <= view.base + view.grid.sell_window
        and view.lowest_ticks <= price_ticks <= view.highest_ticks
        and (crossed or not view.grid.is_buffered(level, slot.index, view.price_ticks))
        and not view.grid.is_dust(slot.index, slot.inventory_units)
    )


def _passive_sell_ticks(level_ticks: int, book: BookTop) -> int:
    """Where an exit rests: at its level or, once that is crossed, beside the best ask.

    Joining the ask gives nothing of a wide spread away and does not chase: a lone ask of our own
    is the best ask. Without bids nobody shows what the price is, so an exit never undercuts.
    """
    if book.bid_ticks is None:
        return max(level_ticks, book.ask_ticks or level_ticks)
    if level_ticks > book.bid_ticks:
        return level_ticks
    return book.ask_ticks or book.bid_ticks + 1


def _exit(slot: int, price_ticks: int, quantity_lots: int, *, placeable: bool = False) -> Desired:
    return Desired(
        slot=slot,
        side=Side.SELL,
        purpose=Purpose.EXIT,
        price_ticks=price_ticks,
        quantity_lots=quantity_lots,
        placeable=placeable,
    )


def _entries(view: _View, exits: list[Desired]) -> list[Desired]:
    grid = view.grid
    kept = {
        slot: order for slot, order in view.live_on(Side.BUY) if _keeps_entry(view, slot, order)
    }
    bottom, top = _entry_window(view, exits)
    first, last = min((bottom, *kept)), max((top, *kept))
    if first > last:
        return []
    costs = grid.entry_costs(first, last)
    states = bytearray([VACANT]) * (last - first + 1)
    states[bottom - first : top - first + 1] = bytearray([WANTED]) * (top - bottom + 1)
    for slot in view.slots.values():
        if first <= slot.index <= last and not grid.is_dust(slot.index, slot.inventory_units):
            states[slot.index - first] = VACANT
    for index, _ in view.live_on(Side.SELL):
        # A round trip ends with its exit: until then its slot takes no new entry.
        if first <= index <= last:
            states[index - first] = VACANT
    for index, order in kept.items():
        states[index - first] = LIVE
        costs[index - first] = _held_units(view, order)
    grants = _grant(view, exits, costs, states)
    return [
        _entry(view, index, kept.get(index), placeable=grants[index - first] == PLACEABLE)
        for index in range(last, first - 1, -1)
        if grants[index - first] != DENIED
    ]


def _keeps_entry(view: _View, index: int, order: Order) -> bool:
    """Whether a live entry still fits its slot: nothing but its own fills may be in it."""
    grid = view.grid
    entry = grid.entry(index)
    slot = view.slots.get(index)
    held_units = slot.inventory_units if slot else 0
    own_units = order.filled_lots * grid.instrument.base_units_per_lot
    return (
        max(grid.ladder.lowest_index, view.base - grid.buy_window) <= index
        and index < grid.ladder.highest_index
        and order.intent.price_ticks == entry.price_ticks
        and (order.filled_lots > 0 or order.intent.quantity_lots == entry.quantity_lots)
        and grid.is_dust(index, held_units - own_units)
    )


def _entry_window(view: _View, exits: list[Desired]) -> tuple[int, int]:
    """The lowest and the highest slot that may get a new entry; empty if they are reversed by one.

    The highest lies below the price, its buffer and every own exit.
    """
    ladder = view.grid.ladder
    bottom = max(
        ladder.lowest_index,
        view.base - view.grid.buy_window + 1,
        ladder.index_below(view.lowest_ticks) + 1,
    )
    top = min(view.base, ladder.highest_index - 1)
    if top == view.base >= bottom and view.grid.is_buffered(top, top, view.price_ticks):
        top -= 1
    sells = [order.intent.price_ticks for _, order in view.live_on(Side.SELL)]
    sells += [exit_.price_ticks for exit_ in exits if exit_.placeable]
    if sells:
        top = min(top, ladder.index_below(min(sells)))
    return bottom, max(top, bottom - 1)


def _grant(view: _View, exits: list[Desired], costs: array[int], states: bytearray) -> bytearray:
    spec = view.grid.spec
    budget_units = view.grid.budget_units - sum(slot.cost_units for slot in view.slots.values())
    held_units = sum(_held_units(view, order) for _, order in view.live_on(Side.BUY))
    placing = sum(exit_.placeable for exit_ in exits)
    return grant_entries(
        costs,
        states,
        budget_units=max(budget_units, 0),
        free_units=max(budget_units - held_units, 0),
        max_orders=spec.max_open_orders - len(exits),
        free_orders=spec.max_open_orders - len(view.live) - placing,
    )


def _held_units(view: _View, order: Order) -> int:
    return entry_cost_units(view.grid.instrument, order.intent.price_ticks, order.remaining_lots)


def _entry(view: _View, index: int, order: Order | None, *, placeable: bool) -> Desired:
    entry = view.grid.entry(index)
    return Desired(
        slot=index,
        side=Side.BUY,
        purpose=Purpose.ENTRY,
        price_ticks=entry.price_ticks,
        quantity_lots=order.remaining_lots if order else entry.quantity_lots,
        placeable=placeable,
    )

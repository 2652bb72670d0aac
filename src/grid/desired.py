"""Which orders a grid wants: a pure function of slots, price and what is live.

Window, buffer and collar gate placement only. An order that is live stays while it still fits its
slot, so a price that approaches or crosses it cancels nothing; it goes when its slot changed, when
its side is forbidden, when nearer orders need the budget, or when it lies more than one level
outside the window.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum

from domain.ids import Purpose, Side, SlotId
from domain.market import BookTop
from domain.orders import Order
from ext.ladder import DENIED, LIVE, PLACEABLE, VACANT, WANTED, grant_entries
from grid.grid import Desired, Grid, SlotSide
from grid.reduce_only import with_reduce_only
from grid.sizing import round_trip_profit_units
from grid.slots import Slot
from grid.view import View


class Stance(Enum):
    """What a grid may want at all."""

    TRADE = "trade"
    #: Only what lowers the position.
    EXIT = "exit"
    #: Close all inventory now, at a little worse than the best price.
    FLATTEN = "flatten"
    #: No order.
    NOTHING = "nothing"


def desired_orders(
    grid: Grid,
    slots: Mapping[SlotId, Slot],
    book: BookTop,
    live: Mapping[SlotSide, Order],
    *,
    stance: Stance,
) -> tuple[Desired, ...]:
    """Decide what should rest at the venue, exits first and each side nearest first.

    Parameters
    ----------
    slots : mapping of SlotId to Slot
        Slots that ever traded or had an order; any other is flat.
    live : mapping of slot and side to Order
        Every order that may rest, whatever is known of it, with the filled lots of the trades that
        are in `slots`. Where a report is ahead of its trades, the order stays as it was before
        that report until they are in: else its money and its slot would look free.
    """
    if stance is Stance.NOTHING:
        return ()
    views = [View.of(grid, role, slots, book, live) for role in grid.roles]
    #: Orders of each role; those of a neutral grid share evenly.
    most_orders = grid.spec.max_open_orders // len(views)
    if stance is Stance.FLATTEN:
        closing = [order for view in views for order in _flattening(view, most_orders)]
        return _marked(closing, grid, slots, book, live)
    exits = [_exits(view, most_orders) for view in views]
    desired = [order for orders in exits for order in orders]
    if stance is Stance.TRADE:
        levels = _skew_levels(views)
        for view, own_exits in zip(views, exits, strict=True):
            desired += _entries(view, own_exits, most_orders, view.role * levels)
    return _marked(desired, grid, slots, book, live)


def _marked(
    desired: list[Desired],
    grid: Grid,
    slots: Mapping[SlotId, Slot],
    book: BookTop,
    live: Mapping[SlotSide, Order],
) -> tuple[Desired, ...]:
    uncrossed = _uncrossed(desired, book.mid_ticks)
    return with_reduce_only(uncrossed, slots.values(), live, grid.instrument)


def _exits(view: View, most_orders: int) -> list[Desired]:
    free_orders = most_orders - len(view.entries) - len(view.exits)
    lot_units = view.grid.instrument.base_units_per_lot
    held = sorted(
        (view.levels(slot.id)[1], slot.id)
        for slot in view.slots.values()
        if slot.held_units >= lot_units
    )
    exits: list[Desired] = []
    for level_ticks, slot_id in held:
        if len(exits) == most_orders:
            break
        slot = view.slots[slot_id]
        order = view.exits.get(slot_id)
        if order is not None and _keeps_exit(view, slot, order):
            exits.append(
                view.desired(
                    slot_id,
                    Purpose.EXIT,
                    view.price_of(order),
                    order.remaining_lots,
                    placeable=False,
                )
            )
            continue
        price_ticks = _passive_sell_ticks(view, level_ticks)
        # Own orders never cross: whichever rests already, the other waits.
        if _meets_own_buy(view, price_ticks) or not _may_place_exit(view, slot, price_ticks):
            continue
        placeable = order is None and free_orders > 0
        free_orders -= placeable
        lots = view.grid.instrument.tradable_lots(slot.held_units)
        exits.append(view.desired(slot_id, Purpose.EXIT, price_ticks, lots, placeable=placeable))
    return exits


def _keeps_exit(view: View, slot: Slot, order: Order) -> bool:
    """Whether a live exit still fits its slot.

    It may be up to a step dearer than it would be placed now, so that it does not chase the book.
    It may be smaller than the inventory while the slot's entry is live and still adds to it, and
    where the venue would not take a larger one; it is never larger.
    """
    buy_ticks, level_ticks = view.levels(slot.id)
    desired_ticks = _passive_sell_ticks(view, level_ticks)
    lots = view.grid.instrument.tradable_lots(slot.held_units)
    remaining = order.remaining_lots
    return (
        order.intent.tag.purpose is Purpose.EXIT
        and exit_level(view, slot.id) <= view.base + 1 + view.grid.windows(view.role)[1]
        and level_ticks <= view.price_of(order) < desired_ticks + level_ticks - buy_ticks
        and remaining <= lots
        and (
            remaining == lots
            or slot.id in view.entries
            or view.grid.is_dust(slot.id, slot.held_units)
        )
    )


def _may_place_exit(view: View, slot: Slot, price_ticks: int) -> bool:
    buy_ticks, level_ticks = view.levels(slot.id)
    crossed = price_ticks > level_ticks
    step_ticks = level_ticks - buy_ticks
    distance_ticks = abs(level_ticks - view.price_ticks)
    return (
        exit_level(view, slot.id) <= view.base + view.grid.windows(view.role)[1]
        and view.lowest_ticks <= price_ticks <= view.highest_ticks
        and (crossed or distance_ticks > view.grid.spec.placement_buffer * step_ticks)
        and not view.grid.is_dust(slot.id, slot.held_units)
    )


def exit_level(view: View, slot: SlotId) -> int:
    """The level of the current ladder at which a slot exits, or the next one above."""
    index = view.index(slot)
    if index is not None:
        return index + 1
    return view.index_below(view.levels(slot)[1]) + 1


def _passive_sell_ticks(view: View, level_ticks: int) -> int:
    """Where an exit rests: at its level or, once that is crossed, beside the best ask.

    Joining the ask gives nothing of a wide spread away and does not chase: a lone ask of our own
    is the best ask. Without bids nobody shows what the price is, so an exit never undercuts.
    """
    bid_ticks, ask_ticks = view.bid_ticks, view.ask_ticks
    if bid_ticks is None:
        return level_ticks if ask_ticks is None else max(level_ticks, ask_ticks)
    if level_ticks > bid_ticks:
        return level_ticks
    return bid_ticks + 1 if ask_ticks is None else ask_ticks


def _meets_own_buy(view: View, price_ticks: int) -> bool:
    return view.highest_buy_ticks is not None and price_ticks <= view.highest_buy_ticks


def _flattening(view: View, most_orders: int) -> list[Desired]:
    """Orders that close what each slot holds, now."""
    if view.bid_ticks is None:
        return []
    free_orders = most_orders - len(view.entries) - len(view.exits)
    price_ticks = view.bid_ticks - _slippage_ticks(view, view.bid_ticks)
    orders: list[Desired] = []
    for slot in view.slots.values():
        lots = view.grid.instrument.tradable_lots(slot.held_units)
        order = view.exits.get(slot.id)
        if (
            order is not None
            and order.intent.tag.purpose is Purpose.FLATTEN
            and view.price_of(order) <= view.bid_ticks
            and order.remaining_lots <= lots
        ):
            wanted_ticks, lots = view.price_of(order), order.remaining_lots
        elif not view.grid.instrument.is_orderable(abs(price_ticks), lots):
            continue
        else:
            wanted_ticks = price_ticks
        placeable = order is None and free_orders > 0 and not _meets_own_buy(view, wanted_ticks)
        free_orders -= placeable
        orders.append(
            view.desired(
                slot.id,
                Purpose.FLATTEN,
                wanted_ticks,
                lots,
                placeable=placeable,
                post_only=False,
            )
        )
    return orders[:most_orders]


def _slippage_ticks(view: View, price_ticks: int) -> int:
    return int(abs(price_ticks) * view.grid.spec.slippage)


def _skew_levels(views: Iterable[View]) -> int:
    """By how many levels the entry windows move for the net inventory; against its sign."""
    views = list(views)
    skew = views[0].grid.spec.skew
    if skew is None:
        return 0
    net = sum(
        view.role
        for view in views
        for slot in view.slots.values()
        if not view.grid.is_dust(slot.id, slot.held_units)
    )
    levels = min(int(abs(net) * skew.levels_per_slot), skew.max_levels)
    return -levels if net > 0 else levels


def _entries(view: View, exits: list[Desired], most_orders: int, skew: int) -> list[Desired]:
    grid = view.grid
    kept = {
        index: order
        for slot, order in view.entries.items()
        if (index := view.index(slot)) is not None and _keeps_entry(view, index, order, skew)
    }
    budget = _Budget(view, exits, most_orders)
    initial = _initial_entries(view, budget, _lowest_sell_ticks(view, exits))
    bottom, top = _entry_window(view, exits, skew)
    first, last = min((bottom, *kept)), max((top, *kept))
    if first > last:
        return initial
    costs = grid.entry_costs(view.indices(first, last))
    states = bytearray([VACANT]) * (last - first + 1)
    states[bottom - first : top - first + 1] = bytearray([WANTED]) * (top - bottom + 1)
    for slot in view.slots.values():
        index = view.index(slot.id)
        if index is None or not first <= index <= last:
            continue
        # A round trip ends with its exit: until then its slot takes no new entry.
        if slot.id in view.exits or not grid.is_dust(slot.id, slot.held_units):
            states[index - first] = VACANT
    for taken in initial:
        index = view.index(taken.slot)
        if index is not None and first <= index <= last:
            states[index - first] = VACANT
    for index, order in kept.items():
        states[index - first] = LIVE
        costs[index - first] = view.held_units(order)
    grants = budget.grant(costs, states)
    return initial + [
        _entry(view, index, kept.get(index), placeable=grants[index - first] == PLACEABLE)
        for index in range(last, first - 1, -1)
        if grants[index - first] != DENIED
    ]


def _keeps_entry(view: View, index: int, order: Order, skew: int) -> bool:
    """Whether a live entry still fits its slot: nothing but its own fills may be in it."""
    grid = view.grid
    lowest, highest = view.bounds
    entry = view.entry(index)
    slot_id = view.slot_id(index)
    slot = view.slots.get(slot_id)
    held_units = slot.held_units if slot else 0
    own_units = order.filled_lots * grid.instrument.base_units_per_lot
    return (
        order.intent.tag.purpose is Purpose.ENTRY
        and max(lowest, view.base - grid.windows(view.role)[0] + skew) <= index <= highest
        and order.intent.price_ticks == entry.price_ticks
        and (order.filled_lots > 0 or order.intent.quantity_lots == entry.quantity_lots)
        and grid.is_dust(slot_id, held_units - own_units)
    )


def _entry_window(view: View, exits: list[Desired], skew: int) -> tuple[int, int]:
    """The lowest and the highest slot that may get a new entry; empty if they are reversed by one.

    The highest lies below the price, its buffer and every own exit.
    """
    lowest, highest = view.bounds
    bottom = max(
        lowest,
        view.base - view.grid.windows(view.role)[0] + 1 + skew,
        view.index_below(view.lowest_ticks) + 1,
    )
    top = min(view.base + min(skew, 0), highest)
    if top == view.base >= bottom and view.is_buffered(top, top):
        top -= 1
    lowest_sell_ticks = _lowest_sell_ticks(view, exits)
    if lowest_sell_ticks is not None:
        top = min(top, view.index_below(lowest_sell_ticks))
    return bottom, max(top, bottom - 1)


def _lowest_sell_ticks(view: View, exits: list[Desired]) -> int | None:
    """The own sell, live or about to be placed, that no entry may reach."""
    sells = [view.role * exit_.price_ticks for exit_ in exits if exit_.placeable]
    if view.lowest_sell_ticks is not None:
        sells.append(view.lowest_sell_ticks)
    return min(sells, default=None)


class _Budget:
    """What a role's entries may still tie up, and how many orders they may be."""

    def __init__(self, view: View, exits: list[Desired], most_orders: int) -> None:
        units = view.grid.role_budget_units(view.role) - sum(
            view.tied_units(slot) for slot in view.slots.values()
        )
        held_units = sum(view.held_units(order) for order in view.entries.values())
        placing = sum(exit_.placeable for exit_ in exits)
        self._units = max(units, 0)
        self._free_units = max(units - held_units, 0)
        self._orders = most_orders - len(exits)
        self._free_orders = most_orders - len(view.entries) - len(view.exits) - placing

    def take(self, cost_units: int, *, is_live: bool) -> bool | None:
        """Take one order; whether it may be placed now, `None` if it is out of budget."""
        if self._orders <= 0 or cost_units > self._units:
            return None
        self._units -= cost_units
        self._orders -= 1
        if is_live or self._free_orders <= 0 or cost_units > self._free_units:
            return False
        self._free_units -= cost_units
        self._free_orders -= 1
        return True

    def grant(self, costs: array[int], states: bytearray) -> bytearray:
        """Share what is left among entries, nearest first."""
        return grant_entries(
            costs,
            states,
            budget_units=self._units,
            free_units=self._free_units,
            max_orders=max(self._orders, 0),
            free_orders=max(self._free_orders, 0),
        )


def initial_slots(view: View) -> list[int]:
    """The slots above the price whose inventory is still to be bought at once.

    Those above the price at which the grid started, while they have never held anything or their
    order rests.
    """
    if not view.grid.spec.initial_position:
        return []
    start = view.index_below(view.role * view.grid.start_ticks)
    last = min(start + view.grid.windows(view.role)[1], view.bounds[1])
    slots = []
    for index in range(max(start, view.base) + 1, last + 1):
        slot_id = view.slot_id(index)
        order = view.entries.get(slot_id)
        is_fresh = order is None and not _was_used(view.slots.get(slot_id))
        if is_fresh or (order is not None and order.intent.tag.purpose is Purpose.INITIAL):
            slots.append(index)
    return slots


def _initial_entries(view: View, budget: _Budget, lowest_sell_ticks: int | None) -> list[Desired]:
    """Buy at once what the slots above the price are to sell."""
    if view.ask_ticks is None:
        return []
    price_ticks = view.ask_ticks + _slippage_ticks(view, view.ask_ticks)
    if lowest_sell_ticks is not None:
        price_ticks = min(price_ticks, lowest_sell_ticks - 1)
    # Behind an own order it would only rest.
    may_place = price_ticks >= view.ask_ticks
    orders: list[Desired] = []
    for index in initial_slots(view):
        slot_id = view.slot_id(index)
        order = view.entries.get(slot_id)
        if order is not None:
            if view.bid_ticks is not None and view.price_of(order) < view.bid_ticks:
                continue
            wanted_ticks, lots = view.price_of(order), order.remaining_lots
        else:
            wanted_ticks, lots = price_ticks, view.entry(index).quantity_lots
            if not may_place or not lots or not _earns(view, wanted_ticks, view.level(index + 1)):
                continue
        cost_units = view.grid.cost_units(view.role, view.role * wanted_ticks, lots)
        placeable = budget.take(cost_units, is_live=order is not None)
        if placeable is None:
            break
        orders.append(
            view.desired(
                slot_id, Purpose.INITIAL, wanted_ticks, lots, placeable=placeable, post_only=False
            )
        )
    return orders


def _was_used(slot: Slot | None) -> bool:
    """Whether it traded, or began with inventory that was there already."""
    return slot is not None and bool(slot.trades or slot.held_units)


def _earns(view: View, buy_ticks: int, sell_ticks: int) -> bool:
    low_ticks, high_ticks = sorted((abs(buy_ticks), abs(sell_ticks)))
    profit_units = round_trip_profit_units(view.grid.instrument, low_ticks, high_ticks, 1)
    return buy_ticks < sell_ticks and profit_units > 0


def _entry(view: View, index: int, order: Order | None, *, placeable: bool) -> Desired:
    desired = view.desired_entry(index, placeable=placeable)
    if order is None or order.remaining_lots == desired.quantity_lots:
        return desired
    return replace(desired, quantity_lots=order.remaining_lots)


def _uncrossed(desired: list[Desired], price_ticks: int) -> tuple[Desired, ...]:
    """Keep back new orders of one role that would meet those of the other.

    After a gap the exits of both may want to rest inside the spread; the one that is farther from
    the price waits.
    """
    while True:
        buys = [order for order in desired if order.placeable and order.side is Side.BUY]
        sells = [order for order in desired if order.placeable and order.side is Side.SELL]
        if not buys or not sells:
            return tuple(desired)
        buy = max(buys, key=lambda order: order.price_ticks)
        sell = min(sells, key=lambda order: order.price_ticks)
        if buy.price_ticks < sell.price_ticks:
            return tuple(desired)
        farther = max(buy, sell, key=lambda order: abs(order.price_ticks - price_ticks))
        desired.remove(farther)

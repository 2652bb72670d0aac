"""Between which prices a decision would come out as it just did.

Nothing here decides: it only spares a shard the work of deciding the same again. Wherever the
answer would be hard to give there is none, and each tick is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domain.ids import Purpose, SlotId
from domain.market import BookTop
from domain.orders import Order
from ext.engine import QuietBand
from grid.desired import Stance, exit_level, initial_slots
from grid.grid import Grid, SlotSide, collar_band
from grid.ladder import PRICE_TICKS_MAX
from grid.phase import Phase, Stage, next_phase
from grid.role import Role
from grid.slots import Slot
from grid.view import View


def quiet_band(
    grid: Grid,
    phase: Phase,
    slots: Mapping[SlotId, Slot],
    book: BookTop,
    live: Mapping[SlotSide, Order],
    *,
    stance: Stance,
    profit_at: Callable[[int], int],
) -> QuietBand | None:
    """The prices around a book at which the same orders are wanted and the phase stays.

    Parameters
    ----------
    book : BookTop
        A decision at this book found nothing to do.
    profit_at : function of a mark price in ticks
        As for `next_phase`.

    Returns
    -------
    QuietBand or None
        For two-sided books only; `None` while anything waits for a price of its own: an exit that
        does not rest yet or was crossed, an initial position, a trigger, a closing grid.
    """
    if stance not in {Stance.TRADE, Stance.EXIT} or phase.stage is not Stage.RUNNING:
        return None
    if book.bid_ticks is None or book.ask_ticks is None:
        return None
    low_ticks, high_ticks = 1, PRICE_TICKS_MAX
    bid_max, ask_min = PRICE_TICKS_MAX, 0
    for role in grid.roles:
        view = View.of(grid, role, slots, book, live)
        exit_ticks = _nearest_resting_exit(view)
        if exit_ticks is None or initial_slots(view):
            return None
        cell = _cell(view)
        if stance is Stance.TRADE and _collar_cuts(view, *cell):
            return None
        if role is Role.LONG:
            bid_max = min(bid_max, exit_ticks - 1)
        else:
            cell = -cell[1], -cell[0]
            ask_min = max(ask_min, 1 - exit_ticks)
        low_ticks, high_ticks = max(low_ticks, cell[0]), min(high_ticks, cell[1])
    if not low_ticks <= book.mid_ticks <= high_ticks:
        return None
    # Stops are touched for good at one end or the other: profit and price are monotone between.
    for mark_ticks in (low_ticks, high_ticks):
        edge = BookTop(mark_ticks, mark_ticks, book.exchange_ms)
        if next_phase(phase, grid, slots, edge, profit_at) != phase:
            return None
    return QuietBand(low_ticks, high_ticks, bid_max, ask_min)


def _nearest_resting_exit(view: View) -> int | None:
    """The lowest level that the bid must stay below; `None` if an exit does not rest at its own."""
    lowest = PRICE_TICKS_MAX
    for slot in view.slots.values():
        if view.grid.is_dust(slot.id, slot.held_units) and slot.id not in view.exits:
            continue
        order = view.exits.get(slot.id)
        level_ticks = view.levels(slot.id)[1]
        if (
            order is None
            and exit_level(view, slot.id) > view.base + view.grid.windows(view.role)[1]
        ):
            continue
        if order is None or order.intent.tag.purpose is not Purpose.EXIT:
            return None
        if view.bid_ticks is not None and view.bid_ticks >= level_ticks:
            return None
        lowest = min(lowest, level_ticks)
    return lowest


def _cell(view: View) -> tuple[int, int]:
    """The middle prices, both included, between the same levels and on the same side of buffers."""
    lower_ticks, upper_ticks = view.level(view.base), view.level(view.base + 1)
    buffer_ticks = int(view.grid.spec.placement_buffer * (upper_ticks - lower_ticks))
    low_end, high_start = lower_ticks + buffer_ticks, upper_ticks - buffer_ticks
    if view.price_ticks <= low_end:
        return lower_ticks + 1, low_end
    if view.price_ticks >= high_start:
        return high_start, upper_ticks
    return low_end + 1, high_start - 1


def _collar_cuts(view: View, low_ticks: int, high_ticks: int) -> bool:
    """Whether the collar, not the window, bounds the entries somewhere between two prices."""
    skew = view.grid.spec.skew
    window = view.base - view.grid.windows(view.role)[0] + 1 - (skew.max_levels if skew else 0)
    bottom = max(view.bounds[0], window)
    nearest = 0
    for price_ticks in (low_ticks, high_ticks):
        lowest, highest = collar_band(abs(price_ticks), view.grid.spec.price_collar)
        edge = lowest if view.role is Role.LONG else -highest
        nearest = max(nearest, view.index_below(edge) + 1 - bottom)
    return nearest > 0

"""Slots from a position that is there already: how much of it, what it cost, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import localcontext

from domain.instrument import EXACT_DIGITS, Instrument
from domain.market import BookTop
from domain.orders import Trade
from grid.grid import Grid
from grid.role import Role
from grid.slots import Slot
from grid.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a position counts for."""

    #: Signed as in `Slot`: paid for a long position, received for a short one.
    cost_units: int
    #: How much of the position own trades explain; the rest counts at the price now.
    traded_units: int


def adopt(grid: Grid, base_units: int, cost_units: int, price_ticks: int) -> tuple[Slot, ...]:
    """Give a position to the slots that would hold it had they traded: beyond the price.

    A long position goes to the slots above the price, the nearest first, each up to its own entry,
    as long as the venue takes its exit, the window shows it and the budget bears it; a short one to
    the slots below. What does not fit is left over: the slots hold less than was given.

    Parameters
    ----------
    base_units, cost_units : int
        Signed as in `Slot`. Each slot has its part of the cost in proportion, to the last unit.
    """
    role = Role.LONG if base_units > 0 else Role.SHORT
    if not base_units or role not in grid.roles:
        return ()
    view = View.of(grid, role, {}, BookTop(price_ticks, None, 0), {})
    last = min(view.base + grid.windows(role)[1], view.bounds[1])
    held_units = abs(base_units)
    taken_units = tied_units = 0
    slots: list[Slot] = []
    for index in range(max(view.base + 1, view.bounds[0]), last + 1):
        slot_id = view.slot_id(index)
        entry_units = view.entry(index).quantity_lots * grid.instrument.base_units_per_lot
        units = min(entry_units, held_units - taken_units)
        if grid.is_dust(slot_id, units):
            continue
        # The difference of two shares of the whole: rounding adds up to nothing.
        before = cost_units * taken_units // held_units
        cost = cost_units * (taken_units + units) // held_units - before
        slot = Slot(id=slot_id, inventory_units=role * units, cost_units=cost)
        tied_units += view.tied_units(slot)
        if tied_units > grid.role_budget_units(role):
            break
        taken_units += units
        slots.append(slot)
    return tuple(slots)


def cost_of(
    trades: Sequence[Trade], base_units: int, instrument: Instrument, price_ticks: int
) -> Cost:
    """What a position cost, first in first out: its newest opening trades are what is left of it.

    Fees are counted as in `slots.apply_trade`: one in base makes the same quote buy less, one in
    quote costs more. What no trade explains counts at the price now.

    Parameters
    ----------
    trades : sequence of Trade
        The account's own, oldest first.
    """
    role = Role.LONG if base_units > 0 else Role.SHORT
    missing = abs(base_units)
    cost = 0
    for trade in reversed(trades):
        if not missing:
            break
        if trade.side is not role.entry_side:
            continue
        gained, paid = _opened(trade, role, instrument)
        if gained <= 0:
            continue
        taken = min(gained, missing)
        cost += paid * taken // gained
        missing -= taken
    value = missing * price_ticks * instrument.quote_units_per_tick_lot
    cost += role * value // instrument.base_units_per_lot
    return Cost(cost_units=cost, traded_units=abs(base_units) - missing)


def _opened(trade: Trade, role: Role, instrument: Instrument) -> tuple[int, int]:
    """Base by which a trade made the position larger, and the quote that it paid."""
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        base = trade.quantity
        quote = role * trade.price * trade.quantity
        if trade.fee_asset == instrument.base:
            base -= role * trade.fee
        elif trade.fee_asset == instrument.quote:
            quote += trade.fee
        return instrument.base_to_units(base), instrument.quote_to_units(quote)

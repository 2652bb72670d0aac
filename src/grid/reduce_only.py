"""Which orders of a grid on contracts may be reduce-only.

The venue nets long and short slots into one position and lets a reduce-only order close no more
than that. So orders that close are reduce-only, nearest first, while all closing orders of their
side stay within the net position; what lies beyond it would be refused, and is plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from domain.ids import Side
from domain.instrument import Instrument, MarketKind
from domain.orders import Order
from grid.grid import Desired, SlotSide
from grid.role import OPENING
from grid.slots import Slot


def with_reduce_only(
    desired: Sequence[Desired],
    slots: Iterable[Slot],
    live: Mapping[SlotSide, Order],
    instrument: Instrument,
) -> tuple[Desired, ...]:
    """The desired orders, those about to be placed marked; each side comes nearest first."""
    if instrument.kind is MarketKind.SPOT:
        return tuple(desired)
    net_units = sum(slot.inventory_units for slot in slots)
    #: What of the position no closing order of that side has taken yet.
    free_units = {Side.SELL: net_units, Side.BUY: -net_units}
    for order in live.values():
        if order.intent.tag.purpose not in OPENING:
            free_units[order.intent.side] -= order.remaining_lots * instrument.base_units_per_lot
    marked: list[Desired] = []
    for wanted in desired:
        if not wanted.placeable or wanted.purpose in OPENING:
            marked.append(wanted)
            continue
        free_units[wanted.side] -= wanted.quantity_lots * instrument.base_units_per_lot
        marked.append(replace(wanted, reduce_only=free_units[wanted.side] >= 0))
    return tuple(marked)

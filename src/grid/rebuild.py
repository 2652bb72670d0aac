"""A grid's slots from the orders and trades that the exchange tells, and from nothing else.

A trade changes a slot here by the same function as on the day it was made; what the shard had in
memory then, whether an exit still rested, is read from the times of the orders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.errors import InvariantViolation
from domain.ids import OrderTag, Purpose, Side, SlotId, VenueOrderId
from domain.orders import LIVE_STATUSES, OrderRecord, OrderStatus, Trade, VenueStatus
from grid.grid import Grid, SlotSide
from grid.role import OPENING, Role
from grid.slots import Pair, Slot, apply_trade


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedOrder:
    """An order of ours, and its place in the grid as its id spells it."""

    tag: OrderTag
    record: OrderRecord

    @property
    def slot_side(self) -> SlotSide:
        return self.tag.slot, self.tag.side

    @property
    def role(self) -> Role:
        return Role.of_order(self.tag.side, self.tag.purpose)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltOrder:
    """An order with all that its trades say."""

    order: TaggedOrder
    status: OrderStatus
    filled: Decimal
    #: What the trades that are told come to.
    traded: Decimal

    @property
    def is_live(self) -> bool:
        return self.status in LIVE_STATUSES

    @property
    def rest(self) -> Decimal:
        """What may still be filled."""
        return self.order.record.report.quantity - self.filled if self.is_live else Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that must have happened at the exchange and that it does not tell."""

    slot: SlotId
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    slots: Mapping[SlotId, Slot]
    #: Oldest first.
    orders: tuple[RebuiltOrder, ...]
    #: Own trades with their orders, oldest first.
    fills: tuple[tuple[Trade, TaggedOrder], ...]
    #: Matched pairs with the trade that closed each, or was the first to find it closed.
    pairs: tuple[tuple[Pair, Trade], ...]
    #: Inventory with which slots began, where trades from before are left out.
    began: Mapping[SlotId, Slot]
    gaps: tuple[Gap, ...]

    @property
    def live(self) -> tuple[RebuiltOrder, ...]:
        return tuple(order for order in self.orders if order.is_live)


def rebuild(
    grid: Grid,
    orders: Sequence[TaggedOrder],
    trades: Sequence[Trade],
    *,
    since_ms: int | None = None,
) -> Rebuilt:
    """Slots, orders and pairs as the exchange's own records have them.

    Parameters
    ----------
    orders, trades : sequence
        Of one shard, oldest first; trades of other orders are passed over.
    since_ms : int, optional
        Venue time. Orders that ended before and their trades are left out, but for the generations
        they used. A slot then begins with the least that its later exits can have closed, at the
        cost of its entry level.
    """
    kept = orders if since_ms is None else _kept(orders, since_ms)
    by_venue_id = {order.record.report.venue_order_id: order for order in kept}
    fills = tuple(
        (trade, by_venue_id[trade.venue_order_id])
        for trade in trades
        if trade.venue_order_id in by_venue_id
    )
    settled: dict[VenueOrderId, Decimal] = defaultdict(Decimal)
    for trade, order in fills:
        settled[order.record.report.venue_order_id] += trade.quantity
    rebuilt_orders = tuple(_rebuilt(order, settled) for order in kept)
    began = _beginnings(grid, rebuilt_orders, fills) if since_ms is not None else {}
    slots, pairs, gaps = _replay(grid, kept, fills, began)
    for slot_side, generation in last_generations(orders).items():
        slots[slot_side[0]] = _having_used(slots, slot_side, generation)
    return Rebuilt(
        slots=slots,
        orders=rebuilt_orders,
        fills=fills,
        pairs=tuple(pairs),
        began=began,
        gaps=(*gaps, *_untold(rebuilt_orders), *_uncovered(grid, rebuilt_orders, slots)),
    )


def last_generations(orders: Iterable[TaggedOrder]) -> dict[SlotSide, int]:
    """The highest generation that any order of a slot and side has used."""
    last: dict[SlotSide, int] = {}
    for order in orders:
        last[order.slot_side] = max(last.get(order.slot_side, 0), order.tag.generation)
    return last


def contradiction(grid: Grid, order: RebuiltOrder) -> str:
    """Why a grid cannot have a live order at all; empty if it can."""
    report, role = order.order.record.report, grid.role_of(order.order.tag.slot)
    if report.price % grid.instrument.tick_size or report.quantity % grid.instrument.lot_size:
        return "its price or quantity is not in the market's steps"
    return "" if order.order.role is role else f"its slot is {role.name.lower()} in this grid"


def misfit(grid: Grid, order: RebuiltOrder) -> str:
    """Why a grid would not place a live order so, and cancel it; empty if it keeps it."""
    tag, report = order.order.tag, order.order.record.report
    levels = grid.levels(tag.slot)
    lower, upper = (grid.instrument.ticks_to_price(price_ticks) for price_ticks in levels)
    level = lower if tag.side is Side.BUY else upper
    if tag.purpose is Purpose.ENTRY:
        return "" if report.price == level else f"its slot enters at {level}"
    if tag.purpose is Purpose.EXIT:
        is_worse = report.price > level if tag.side is Side.BUY else report.price < level
        return f"its slot exits at {level}" if is_worse else ""
    return ""


class _Exits:
    """Which exits of a slot rested when."""

    def __init__(self, grid: Grid, orders: Sequence[TaggedOrder]) -> None:
        self._orders: dict[SlotId, list[TaggedOrder]] = defaultdict(list)
        self._placed_ms: dict[SlotId, list[int]] = defaultdict(list)
        for order in orders:
            slot = order.tag.slot
            if order.tag.side is grid.role_of(slot).exit_side:
                self._orders[slot].append(order)
                self._placed_ms[slot].append(order.record.placed_ms)

    def rest(self, slot: SlotId, trade: Trade, filled: Decimal) -> bool:
        """Whether one rested after a trade; `filled` is what its order had then."""
        last = bisect_right(self._placed_ms[slot], trade.traded_ms) - 1
        if last < 0:
            return False
        record = self._orders[slot][last].record
        is_own = record.report.venue_order_id == trade.venue_order_id
        if is_own and filled >= record.report.quantity:
            return False
        if record.report.status is VenueStatus.FILLED:
            # Its last trade ends it, and others may be of the same instant.
            return is_own or record.changed_ms > trade.traded_ms
        return record.rests or record.changed_ms > trade.traded_ms


def _replay(
    grid: Grid,
    orders: Sequence[TaggedOrder],
    fills: Sequence[tuple[Trade, TaggedOrder]],
    began: Mapping[SlotId, Slot],
) -> tuple[dict[SlotId, Slot], list[tuple[Pair, Trade]], list[Gap]]:
    """Every trade into its slot; where one cannot have happened so, its slot is left there."""
    exits = _Exits(grid, orders)
    slots = dict(began)
    pairs: list[tuple[Pair, Trade]] = []
    gaps: dict[SlotId, Gap] = {}
    filled: dict[VenueOrderId, Decimal] = defaultdict(Decimal)
    for trade, order in fills:
        slot_id = order.tag.slot
        filled[trade.venue_order_id] += trade.quantity
        if slot_id in gaps:
            continue
        try:
            slot, pair = apply_trade(
                slots.get(slot_id, Slot(id=slot_id)),
                trade,
                order.tag.purpose,
                grid.instrument,
                exit_level_ticks=grid.exit_ticks(slot_id),
                exit_live=exits.rest(slot_id, trade, filled[trade.venue_order_id]),
            )
        except InvariantViolation as error:
            gaps[slot_id] = Gap(slot=slot_id, detail=str(error))
            continue
        slots[slot_id] = slot
        if pair is not None:
            pairs.append((pair, trade))
    return slots, pairs, list(gaps.values())


def _rebuilt(order: TaggedOrder, settled: Mapping[VenueOrderId, Decimal]) -> RebuiltOrder:
    report = order.record.report
    traded = settled.get(report.venue_order_id, Decimal(0))
    filled = max(report.filled, traded)
    if filled >= report.quantity:
        status = OrderStatus.FILLED
    elif not order.record.rests:
        status = OrderStatus.CANCELLED
    else:
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
    return RebuiltOrder(order=order, status=status, filled=filled, traded=traded)


def _kept(orders: Sequence[TaggedOrder], since_ms: int) -> list[TaggedOrder]:
    """What ended since, or did not end, and what was there in the same slot at the same time.

    The trades of an order count all or none: where an old one still rests, what was closed
    meanwhile of what it opened counts too.
    """
    kept: set[VenueOrderId] = set()
    began_ms: dict[SlotId, int] = defaultdict(lambda: since_ms)
    for order in orders:
        if order.record.rests:
            began_ms[order.tag.slot] = min(began_ms[order.tag.slot], order.record.placed_ms)
    for order in sorted(orders, key=lambda order: order.record.changed_ms, reverse=True):
        slot, changed_ms = order.tag.slot, order.record.changed_ms
        if order.record.rests or changed_ms >= since_ms or changed_ms > began_ms[slot]:
            began_ms[slot] = min(began_ms[slot], order.record.placed_ms)
            kept.add(order.record.report.venue_order_id)
    return [order for order in orders if order.record.report.venue_order_id in kept]


def _having_used(slots: Mapping[SlotId, Slot], slot_side: SlotSide, generation: int) -> Slot:
    slot_id, side = slot_side
    slot = slots.get(slot_id, Slot(id=slot_id))
    if side is Side.BUY:
        return replace(slot, buy_generation=generation)
    return replace(slot, sell_generation=generation)


def _beginnings(
    grid: Grid, orders: Sequence[RebuiltOrder], fills: Sequence[tuple[Trade, TaggedOrder]]
) -> dict[SlotId, Slot]:
    """The least with which each slot can have begun, so that all its exits had something to close.

    Its live exit counts as what is still to be closed.
    """
    instrument = grid.instrument
    held: dict[SlotId, int] = defaultdict(int)
    least: dict[SlotId, int] = defaultdict(int)

    def move(order: TaggedOrder, base_units: int) -> None:
        slot_id = order.tag.slot
        held[slot_id] += base_units
        least[slot_id] = min(least[slot_id], held[slot_id])

    for trade, order in fills:
        quantity_units = instrument.base_to_units(trade.quantity)
        fee_units = instrument.base_to_units(trade.fee) if trade.fee_asset == instrument.base else 0
        sign = 1 if order.tag.purpose in OPENING else -1
        move(order, sign * quantity_units - order.role * fee_units)
    for rebuilt in orders:
        if rebuilt.order.tag.purpose not in OPENING:
            move(rebuilt.order, -instrument.base_to_units(rebuilt.rest))
    return {
        slot_id: _holding(grid, slot_id, -units) for slot_id, units in least.items() if units < 0
    }


def _holding(grid: Grid, slot_id: SlotId, base_units: int) -> Slot:
    """A slot with an inventory at the cost of its entry level."""
    role, instrument = grid.role_of(slot_id), grid.instrument
    lower_ticks, upper_ticks = grid.levels(slot_id)
    entry_ticks = lower_ticks if role is Role.LONG else upper_ticks
    value = base_units * entry_ticks * instrument.quote_units_per_tick_lot
    cost_units = value // instrument.base_units_per_lot
    return Slot(id=slot_id, inventory_units=role * base_units, cost_units=role * cost_units)


def _untold(orders: Sequence[RebuiltOrder]) -> list[Gap]:
    """Orders of which more was filled than trades are told."""
    return [
        Gap(
            slot=order.order.tag.slot,
            detail=f"order {order.order.record.report.client_order_id} was filled"
            f" {order.filled}, and not all of its trades are told",
        )
        for order in orders
        if order.traded < order.filled
    ]


def _uncovered(
    grid: Grid, orders: Sequence[RebuiltOrder], slots: Mapping[SlotId, Slot]
) -> list[Gap]:
    """Live exits of more than their slots hold: what they close was opened by trades not told."""
    wanted: dict[SlotId, Decimal] = defaultdict(Decimal)
    for order in orders:
        if order.order.tag.purpose not in OPENING:
            wanted[order.order.tag.slot] += order.rest
    held = {
        slot_id: grid.instrument.units_to_base(slot.held_units) for slot_id, slot in slots.items()
    }
    return [
        Gap(
            slot=slot_id,
            detail=f"its exit is to close {rest}, and the trades told leave"
            f" {held.get(slot_id, Decimal(0))}",
        )
        for slot_id, rest in wanted.items()
        if rest > held.get(slot_id, Decimal(0))
    ]

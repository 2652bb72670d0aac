"""A slot's inventory, what it cost, and the round trip in progress.

Everything here is exact and signed as the account sees it: a long slot holds base that it paid
quote for; a short slot holds less than no base, and its cost is the quote it received, negative.
A trade moves integers between fields and out into a `Pair`, so that at any instant, over a slot's
whole life,

- quote flows of opening trades = `cost` of all pairs + `closed_cost` of the round + `cost` of the
  inventory;
- quote flows of closing trades = `proceeds` of all pairs + `proceeds` of the round;
- base flows of all trades, fees included = inventory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import localcontext

from domain.errors import InvariantViolation
from domain.ids import OrderTag, Purpose, Side, SlotId
from domain.instrument import EXACT_DIGITS, Instrument
from domain.orders import Trade
from grid.role import OPENING, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One slot of a grid; see `Role` for its cycle."""

    id: SlotId
    #: Base held, in its smallest unit; negative in a short slot.
    inventory_units: int = 0
    #: Quote units paid for exactly that inventory, fees in quote included; received: negative.
    cost_units: int = 0
    #: Of the round in progress: base closed, what it had cost, and what it brought less fees.
    closed_units: int = 0
    closed_cost_units: int = 0
    proceeds_units: int = 0
    #: Fees since the last pair, already inside cost, proceeds and inventory; for display.
    fee_quote_units: int = 0
    fee_base_units: int = 0
    #: Last generation used on each side; 0 before the first intent.
    buy_generation: int = 0
    sell_generation: int = 0
    #: Trades so far.
    trades: int = 0

    def next_generation(self, side: Side) -> int:
        return 1 + (self.buy_generation if side is Side.BUY else self.sell_generation)

    @property
    def held_units(self) -> int:
        """Base held or owed."""
        return abs(self.inventory_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One round trip: what was closed, what it had cost and what it brought, after fees."""

    slot: SlotId
    quantity_units: int
    #: Signed as in `Slot`: of a short round trip both are negative.
    cost_units: int
    proceeds_units: int
    fee_quote_units: int
    fee_base_units: int

    @property
    def profit_units(self) -> int:
        return self.proceeds_units - self.cost_units


def apply_trade(
    slot: Slot,
    trade: Trade,
    purpose: Purpose,
    instrument: Instrument,
    *,
    exit_level_ticks: int,
    exit_live: bool,
) -> tuple[Slot, Pair | None]:
    """Fold one trade into its slot; each trade must come exactly once.

    An opening trade moves its quantity and a base fee into the inventory, and its price and a
    quote fee into the cost. A closing trade takes its quantity and a base fee from the inventory,
    with the same share of the cost, rounded down: the rest of a unit stays with the inventory, and
    the last one takes all. Fees in a third asset touch neither. The opening trades of a slot share
    one price, so this average equals first-in-first-out but for the price improvements the venue
    gave.

    Parameters
    ----------
    exit_level_ticks : int
        Level of the slot's exit, where a residue is judged to be dust or not.
    exit_live : bool
        Whether an exit of this slot still rests after the trade.

    Returns
    -------
    tuple of Slot and Pair or None
        A pair when the round trip ended: see `close_round`. A closing trade closes the round it
        finishes. An opening one first closes a round that ended without a trade, by the cancel of
        its exit.

    Raises
    ------
    InvariantViolation
        If the trade is empty, is of the other role than the inventory, or closes more than there
        is.
    """
    role = Role.of_order(trade.side, purpose)
    if role * slot.inventory_units < 0:
        raise InvariantViolation(
            f"slot {slot.id}: trade {trade.trade_id} is a {trade.side} for {purpose.name},"
            f" the slot holds {slot.inventory_units} base units"
        )
    if purpose in OPENING:
        slot, pair = close_round(
            slot, instrument, exit_level_ticks=exit_level_ticks, exit_live=exit_live
        )
        return _opened(slot, trade, role, instrument), pair
    slot = _closed(slot, trade, role, instrument)
    return close_round(slot, instrument, exit_level_ticks=exit_level_ticks, exit_live=exit_live)


def close_round(
    slot: Slot, instrument: Instrument, *, exit_level_ticks: int, exit_live: bool
) -> tuple[Slot, Pair | None]:
    """Record the round trip in progress if something was closed and the slot is flat but for dust.

    It is when no whole lot is left, or when no exit rests and what is left is less than the venue
    takes at the exit level. The residue stays in the slot with its cost, for the next exit.
    """
    if slot.closed_units == 0:
        return slot, None
    lots = instrument.tradable_lots(slot.held_units)
    if lots and (exit_live or instrument.is_orderable(exit_level_ticks, lots)):
        return slot, None
    pair = Pair(
        slot=slot.id,
        quantity_units=slot.closed_units,
        cost_units=slot.closed_cost_units,
        proceeds_units=slot.proceeds_units,
        fee_quote_units=slot.fee_quote_units,
        fee_base_units=slot.fee_base_units,
    )
    fresh = replace(
        slot,
        closed_units=0,
        closed_cost_units=0,
        proceeds_units=0,
        fee_quote_units=0,
        fee_base_units=0,
    )
    return fresh, pair


def record_intent(slot: Slot, tag: OrderTag) -> Slot:
    """Remember that a slot's side used a generation.

    Raises
    ------
    InvariantViolation
        If it is not the next one: a generation is used once.
    """
    if tag.generation != slot.next_generation(tag.side):
        raise InvariantViolation(
            f"slot {slot.id}: {tag.side} generation {tag.generation}"
            f" after {slot.next_generation(tag.side) - 1}"
        )
    if tag.side is Side.BUY:
        return replace(slot, buy_generation=tag.generation)
    return replace(slot, sell_generation=tag.generation)


def _opened(slot: Slot, trade: Trade, role: Role, instrument: Instrument) -> Slot:
    quantity_units, quote_units, fee_base_units, fee_quote_units = _amounts(trade, instrument)
    return replace(
        slot,
        inventory_units=slot.inventory_units + role * quantity_units - fee_base_units,
        cost_units=slot.cost_units + role * quote_units + fee_quote_units,
        fee_base_units=slot.fee_base_units + fee_base_units,
        fee_quote_units=slot.fee_quote_units + fee_quote_units,
        trades=slot.trades + 1,
    )


def _closed(slot: Slot, trade: Trade, role: Role, instrument: Instrument) -> Slot:
    quantity_units, quote_units, fee_base_units, fee_quote_units = _amounts(trade, instrument)
    taken_units = quantity_units + role * fee_base_units
    if taken_units > slot.held_units:
        raise InvariantViolation(
            f"slot {slot.id}: trade {trade.trade_id} closes {taken_units} base units"
            f" of {slot.held_units}"
        )
    taken_cost_units = slot.cost_units * taken_units // slot.held_units
    return replace(
        slot,
        inventory_units=slot.inventory_units - role * taken_units,
        cost_units=slot.cost_units - taken_cost_units,
        closed_units=slot.closed_units + quantity_units,
        closed_cost_units=slot.closed_cost_units + taken_cost_units,
        proceeds_units=slot.proceeds_units + role * quote_units - fee_quote_units,
        fee_base_units=slot.fee_base_units + fee_base_units,
        fee_quote_units=slot.fee_quote_units + fee_quote_units,
        trades=slot.trades + 1,
    )


def _amounts(trade: Trade, instrument: Instrument) -> tuple[int, int, int, int]:
    """Base and quote exchanged, then the fee in base and the fee in quote."""
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        base_units = instrument.base_to_units(trade.quantity)
        quote_units = instrument.quote_to_units(trade.price * trade.quantity)
    if base_units <= 0:
        raise InvariantViolation(f"trade {trade.trade_id}: quantity must be > 0, was {base_units}")
    fee_base_units = fee_quote_units = 0
    if trade.fee_asset == instrument.base:
        fee_base_units = instrument.base_to_units(trade.fee)
    elif trade.fee_asset == instrument.quote:
        fee_quote_units = instrument.quote_to_units(trade.fee)
    return base_units, quote_units, fee_base_units, fee_quote_units

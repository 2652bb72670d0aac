"""A slot's inventory, what it cost, and the round trip in progress.

Everything here is exact: a trade moves integers between fields and out into a `Pair`, so that at
any instant, over a slot's whole life,

- quote paid for buys = `cost` of all pairs + `sold_cost` of the round + `cost` of the inventory;
- quote received from sells = `proceeds` of all pairs + `proceeds` of the round;
- base bought less base fees = base sold + inventory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import localcontext

from domain.errors import InvariantViolation
from domain.ids import OrderTag, Purpose, Side
from domain.instrument import EXACT_DIGITS, Instrument
from domain.orders import Trade

#: Purposes that add to a position; all others lower it.
OPENING = frozenset({Purpose.ENTRY, Purpose.INITIAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One slot of a long grid: flat → buy at level i → long → sell at level i + 1 → flat."""

    index: int
    ladder_version: int
    #: Base held, in its smallest unit; never negative.
    inventory_units: int = 0
    #: Quote units paid for exactly that inventory, fees in quote included.
    cost_units: int = 0
    #: Of the round in progress: base sold, what it had cost, and what it brought less fees.
    sold_units: int = 0
    sold_cost_units: int = 0
    proceeds_units: int = 0
    #: Fees since the last pair, already inside cost, proceeds and inventory; for display.
    fee_quote_units: int = 0
    fee_base_units: int = 0
    #: Last generation used on each side; 0 before the first intent.
    buy_generation: int = 0
    sell_generation: int = 0

    def next_generation(self, side: Side) -> int:
        return 1 + (self.buy_generation if side is Side.BUY else self.sell_generation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One round trip: what was sold, what it had cost and what it brought, after fees."""

    slot: int
    ladder_version: int
    quantity_units: int
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

    A buy adds its quantity less a base fee to the inventory, and its price plus a quote fee to the
    cost. A sell takes its quantity plus a base fee from the inventory, with the same share of the
    cost, rounded down: the rest of a unit stays with the inventory, and the last sale takes all.
    Fees in a third asset touch neither. The buys of a slot share one price, so this average equals
    first-in-first-out but for the price improvements the venue gave.

    Parameters
    ----------
    exit_level_ticks : int
        Level of the slot's exit, where a residue is judged to be dust or not.
    exit_live : bool
        Whether an exit of this slot still rests after the trade.

    Returns
    -------
    tuple of Slot and Pair or None
        A pair when the round trip ended: see `close_round`. A sell closes the round it finishes. A
        buy first closes a round that ended without a trade, by the cancel of its exit.

    Raises
    ------
    InvariantViolation
        If the trade is empty or on the wrong side for its purpose, or sells more than the slot
        holds.
    """
    opens = purpose in OPENING
    if (trade.side is Side.BUY) is not opens:
        raise InvariantViolation(
            f"slot {slot.index}: trade {trade.trade_id} is a {trade.side} for {purpose.name}"
        )
    if opens:
        slot, pair = close_round(
            slot, instrument, exit_level_ticks=exit_level_ticks, exit_live=exit_live
        )
        return _bought(slot, trade, instrument), pair
    slot = _sold(slot, trade, instrument)
    return close_round(slot, instrument, exit_level_ticks=exit_level_ticks, exit_live=exit_live)


def close_round(
    slot: Slot, instrument: Instrument, *, exit_level_ticks: int, exit_live: bool
) -> tuple[Slot, Pair | None]:
    """Record the round trip in progress if something was sold and the slot is flat but for dust.

    It is when no whole lot is left, or when no exit rests and what is left is less than the venue
    takes at the exit level. The residue stays in the slot with its cost, for the next exit.
    """
    if slot.sold_units == 0:
        return slot, None
    lots = instrument.tradable_lots(slot.inventory_units)
    if lots and (exit_live or instrument.is_orderable(exit_level_ticks, lots)):
        return slot, None
    pair = Pair(
        slot=slot.index,
        ladder_version=slot.ladder_version,
        quantity_units=slot.sold_units,
        cost_units=slot.sold_cost_units,
        proceeds_units=slot.proceeds_units,
        fee_quote_units=slot.fee_quote_units,
        fee_base_units=slot.fee_base_units,
    )
    fresh = replace(
        slot,
        sold_units=0,
        sold_cost_units=0,
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
            f"slot {slot.index}: {tag.side} generation {tag.generation}"
            f" after {slot.next_generation(tag.side) - 1}"
        )
    if tag.side is Side.BUY:
        return replace(slot, buy_generation=tag.generation)
    return replace(slot, sell_generation=tag.generation)


def _bought(slot: Slot, trade: Trade, instrument: Instrument) -> Slot:
    quantity_units, quote_units, fee_base_units, fee_quote_units = _amounts(trade, instrument)
    return replace(
        slot,
        inventory_units=slot.inventory_units + quantity_units - fee_base_units,
        cost_units=slot.cost_units + quote_units + fee_quote_units,
        fee_base_units=slot.fee_base_units + fee_base_units,
        fee_quote_units=slot.fee_quote_units + fee_quote_units,
    )


def _sold(slot: Slot, trade: Trade, instrument: Instrument) -> Slot:
    quantity_units, quote_units, fee_base_units, fee_quote_units = _amounts(trade, instrument)
    taken_units = quantity_units + fee_base_units
    if taken_units > slot.inventory_units:
        raise InvariantViolation(
            f"slot {slot.index}: trade {trade.trade_id} sells {taken_units} base units"
            f" of {slot.inventory_units}"
        )
    taken_cost_units = slot.cost_units * taken_units // slot.inventory_units
    return replace(
        slot,
        inventory_units=slot.inventory_units - taken_units,
        cost_units=slot.cost_units - taken_cost_units,
        sold_units=slot.sold_units + quantity_units,
        sold_cost_units=slot.sold_cost_units + taken_cost_units,
        proceeds_units=slot.proceeds_units + quote_units - fee_quote_units,
        fee_base_units=slot.fee_base_units + fee_base_units,
        fee_quote_units=slot.fee_quote_units + fee_quote_units,
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

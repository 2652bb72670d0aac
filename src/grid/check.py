"""Whether a spec makes sense on an instrument at a price, and the numbers it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from domain.errors import ConfigurationError
from domain.instrument import Instrument, Rounding
from grid.grid import Grid
from grid.ladder import Ladder, anchor_for, ratio_ceil
from grid.sizing import entry_cost_units, order_lots, required_lots, round_trip_profit_units
from grid.spec import LEVELS_MAX, ArithmeticSpacing, FixedRange, GridSpec, QuoteSize

#: Quote units the kernels can add without leaving int64.
_UNITS_MAX = 1 << 61


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReport:
    """What an accepted spec comes to. "Nearest" is the slot right below the price."""

    anchor: Decimal
    #: Slots that can hold inventory at once: the whole range, or the buy window.
    slots: int
    lowest_buy: Decimal
    highest_sell: Decimal
    #: Of the nearest slot, in base.
    order_quantity: Decimal
    #: Of the nearest slot, in quote and after maker fees on both sides.
    profit_per_round_trip: Decimal
    #: Base held when every slot is filled that the budget allows, the highest first.
    max_inventory: Decimal
    #: Quote that fills every slot, whatever the budget.
    quote_needed: Decimal


def check_spec(spec: GridSpec, instrument: Instrument, price: Decimal) -> SpecReport:
    """Refuse a spec that cannot work; report what an acceptable one comes to.

    A fixed range is judged on all its slots, a window on those it would buy at this price.

    Raises
    ------
    ConfigurationError
        With the smallest change that makes the field acceptable.
    """
    _check_whole_ticks(spec, instrument)
    anchor = anchor_for(spec, price)
    grid = Grid.of(spec, instrument, anchor)
    slots = _judged_slots(grid, price)
    _check_profit(spec, instrument, price, grid.ladder, slots)
    _check_size(grid, slots)
    _check_budget(grid, slots)
    return _report(grid, slots, anchor, price)


def _check_whole_ticks(spec: GridSpec, instrument: Instrument) -> None:
    fields: dict[str, Decimal] = {}
    if isinstance(spec.spacing, ArithmeticSpacing):
        fields["spacing.step"] = spec.spacing.step
    if isinstance(spec.range, FixedRange):
        fields["range.lower"] = spec.range.lower
    for field, value in fields.items():
        if value % instrument.tick_size:
            ticks = instrument.price_to_ticks(value, Rounding.CEIL)
            raise ConfigurationError(
                field=field,
                rule=f"must be a whole number of ticks of {instrument.tick_size}",
                value=value,
                remedy=f"use {instrument.ticks_to_price(ticks)}",
            )


def _judged_slots(grid: Grid, price: Decimal) -> range:
    ladder, instrument = grid.ladder, grid.instrument
    if isinstance(grid.spec.range, FixedRange):
        levels = ladder.highest_index - ladder.lowest_index + 1
        if levels < 2:
            first_sell = instrument.ticks_to_price(ladder.price_ticks(1))
            raise ConfigurationError(
                field="range.upper",
                rule="must leave room for one slot above `range.lower`",
                value=grid.spec.range.upper,
                remedy=f"use {first_sell} or more, or a smaller step",
            )
        if levels > LEVELS_MAX:
            highest = instrument.ticks_to_price(ladder.price_ticks(LEVELS_MAX - 1))
            raise ConfigurationError(
                field="range",
                rule=f"must hold at most {LEVELS_MAX} levels",
                value=levels,
                remedy=f"use an upper price of at most {highest}, or a larger step",
            )
        return range(ladder.lowest_index, ladder.highest_index)
    nearest = ladder.index_below(instrument.price_to_ticks(price, Rounding.FLOOR))
    slots = range(
        max(ladder.lowest_index, nearest - grid.buy_window + 1),
        min(nearest, ladder.highest_index - 1) + 1,
    )
    if not slots:
        raise ConfigurationError(
            field="range.anchor",
            rule="must give the ladder a level below the price",
            value=instrument.ticks_to_price(ladder.anchor_ticks),
            remedy="use an anchor nearer to the price, or a smaller step",
        )
    return slots


def _check_profit(
    spec: GridSpec, instrument: Instrument, price: Decimal, ladder: Ladder, slots: range
) -> None:
    if _is_profitable(instrument, ladder, slots):
        return
    if isinstance(spec.spacing, ArithmeticSpacing):
        raise ConfigurationError(
            field="spacing.step",
            rule="must earn more than the maker fees of both sides",
            value=spec.spacing.step,
            remedy=_step_remedy(spec, instrument, price),
        )
    # Rounding may bring two levels half a tick closer each; at the lowest price that counts most.
    buy_ticks = ladder.price_ticks(slots[0])
    sell_ticks = (buy_ticks + Decimal("0.5")) / (1 - instrument.maker_fee) ** 2 + Decimal("0.5")
    raise ConfigurationError(
        field="spacing.ratio",
        rule="must earn more than the maker fees of both sides",
        value=spec.spacing.ratio,
        remedy=f"use {ratio_ceil(sell_ticks / (buy_ticks - Decimal('0.5')))} or more",
    )


def _step_remedy(spec: GridSpec, instrument: Instrument, price: Decimal) -> str:
    """Find the smallest step that works.

    The dearest sell level S earns if step > k·S with k = 1 − (1 − fee)². It lies less than a step
    from the top of the range, or from the price, so few steps have to be tried.
    """
    top = spec.range.upper if isinstance(spec.range, FixedRange) else price
    share = 1 - (1 - instrument.maker_fee) ** 2
    top_ticks = instrument.price_to_ticks(top, Rounding.FLOOR)
    fewest = int(top_ticks * share / (1 + share))
    most = int((top_ticks + 1) * share / (1 - share)) + 2

    def is_enough(step_ticks: int) -> bool:
        step = instrument.ticks_to_price(step_ticks)
        wider = spec.model_copy(update={"spacing": ArithmeticSpacing(step=step)})
        grid = Grid.of(wider, instrument, anchor_for(spec, price))
        ladder = grid.ladder
        if ladder.lowest_index >= ladder.highest_index:
            return False
        return _is_profitable(instrument, ladder, _judged_slots(grid, price)[-1:])

    step_ticks = _first(is_enough, range(max(fewest, 1), most + 1))
    if step_ticks is None:
        return "use a wider range: no step in it earns the fees"
    return f"the smallest step that works is {instrument.ticks_to_price(step_ticks)}"


def _first(accepts: Callable[[int], bool], candidates: Iterable[int]) -> int | None:
    return next((candidate for candidate in candidates if accepts(candidate)), None)


def _is_profitable(instrument: Instrument, ladder: Ladder, slots: range) -> bool:
    return all(
        round_trip_profit_units(
            instrument, ladder.price_ticks(slot), ladder.price_ticks(slot + 1), 1
        )
        > 0
        for slot in slots
    )


def _check_size(grid: Grid, slots: range) -> None:
    instrument, ladder, size = grid.instrument, grid.ladder, grid.spec.order_size
    needed = {
        slot: required_lots(instrument, ladder.price_ticks(slot), ladder.price_ticks(slot + 1))
        for slot in slots
    }
    if all(
        order_lots(size, instrument, ladder.price_ticks(slot)) >= lots
        for slot, lots in needed.items()
    ):
        return
    if isinstance(size, QuoteSize):
        smallest = instrument.units_to_quote(
            max(
                instrument.notional_units(ladder.price_ticks(slot), lots)
                for slot, lots in needed.items()
            )
        )
        asset = instrument.quote
    else:
        smallest = instrument.lots_to_quantity(max(needed.values()))
        asset = instrument.base
    raise ConfigurationError(
        field="order_size.amount",
        rule=f"must reach the minimum notional of {instrument.min_notional} {instrument.quote}"
        " when bought and, less the fee, when sold",
        value=size.amount,
        remedy=f"use {smallest.normalize():f} {asset} or more",
    )


def _check_budget(grid: Grid, slots: range) -> None:
    instrument = grid.instrument
    if grid.budget_units > _UNITS_MAX:
        raise ConfigurationError(
            field="budget_quote",
            rule="must be countable in units of the quote asset",
            value=grid.spec.budget_quote,
            remedy=f"use {instrument.units_to_quote(_UNITS_MAX)} or less",
        )
    dearest_units = max(_cost_units(grid, slot) for slot in slots)
    if dearest_units > grid.budget_units:
        raise ConfigurationError(
            field="budget_quote",
            rule="must pay for one order with its fee",
            value=grid.spec.budget_quote,
            remedy=f"use {instrument.units_to_quote(dearest_units).normalize():f} or more",
        )


def _report(grid: Grid, slots: range, anchor: Decimal, price: Decimal) -> SpecReport:
    instrument, ladder = grid.instrument, grid.ladder
    price_ticks = instrument.price_to_ticks(price, Rounding.FLOOR)
    nearest = min(max(ladder.index_below(price_ticks), slots[0]), slots[-1])
    lots = grid.entry(nearest).quantity_lots
    profit_units = round_trip_profit_units(
        instrument, ladder.price_ticks(nearest), ladder.price_ticks(nearest + 1), lots
    )
    inventory_lots = needed_units = 0
    for slot in reversed(slots):
        entry = grid.entry(slot)
        needed_units += entry.cost_units
        if needed_units <= grid.budget_units:
            inventory_lots += entry.quantity_lots
    return SpecReport(
        anchor=anchor,
        slots=len(slots),
        lowest_buy=instrument.ticks_to_price(ladder.price_ticks(slots[0])),
        highest_sell=instrument.ticks_to_price(ladder.price_ticks(slots[-1] + 1)),
        order_quantity=instrument.lots_to_quantity(lots),
        profit_per_round_trip=instrument.units_to_quote(profit_units),
        max_inventory=instrument.lots_to_quantity(inventory_lots),
        quote_needed=instrument.units_to_quote(needed_units),
    )


def _cost_units(grid: Grid, slot: int) -> int:
    price_ticks = grid.ladder.price_ticks(slot)
    lots = order_lots(grid.spec.order_size, grid.instrument, price_ticks)
    return entry_cost_units(grid.instrument, price_ticks, lots)

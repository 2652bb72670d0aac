"""Whether a spec makes sense on an instrument at a price, and the numbers it comes to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.errors import ConfigurationError
from domain.ids import SlotId
from domain.instrument import Instrument, MarketKind, Rounding
from domain.market import BookTop
from grid.grid import Grid
from grid.ladder import anchor_for, ratio_ceil
from grid.role import Role
from grid.sizing import order_lots, required_lots, round_trip_profit_units
from grid.spec import (
    LEVELS_MAX,
    ArithmeticSpacing,
    DivisionSpacing,
    FixedRange,
    GridSpec,
    Mode,
    QuoteSize,
    WindowRange,
)
from grid.view import View

#: Units the kernels can add without leaving int64.
_UNITS_MAX = 1 << 61


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReport:
    """What an accepted spec comes to. "Nearest" is the slot right beside the price."""

    anchor: Decimal
    #: Slots that can hold inventory at once: the whole range, or the windows of entries.
    slots: int
    lowest_buy: Decimal
    highest_sell: Decimal
    #: Of the nearest slot, in base.
    order_quantity: Decimal
    #: Of the nearest slot, in quote and after maker fees on both sides.
    profit_per_round_trip: Decimal
    #: Base held, or owed, when every slot is filled that the budget allows, the nearest first.
    max_inventory: Decimal
    #: Quote that fills every slot of a role, whatever the budget.
    quote_needed: Decimal
    #: Base that the short slots of a spot grid need.
    base_needed: Decimal


def check_spec(spec: GridSpec, instrument: Instrument, price: Decimal) -> SpecReport:
    """Refuse a spec that cannot work; report what an acceptable one comes to.

    A fixed range is judged on all its slots, a window on those that it would fill at this price, or
    at the price that triggers it.

    Raises
    ------
    ConfigurationError
        With the smallest change that makes the field acceptable.
    """
    _check_whole_ticks(spec, instrument)
    _check_market(spec, instrument)
    start = spec.trigger_price or price
    _check_prices(spec, price, start)
    grid = Grid.fresh(spec, instrument, price)
    roles = {role: _judged_slots(grid, role) for role in grid.roles}
    slots = sorted({slot for judged in roles.values() for slot in judged})
    _check_range(grid, slots)
    _check_profit(grid, price, slots)
    _check_size(grid, slots)
    for role, judged in roles.items():
        _check_budget(grid, role, judged)
    return _report(grid, roles)


def why_idle(grid: Grid, book: BookTop) -> str:
    """Why no slot beside the price takes an entry; empty if any does, or none is there.

    What made sense when the spec was accepted may not do so under the rules and fees of today.
    """
    roles = {role: _slots_beside(grid, role, book) for role in grid.roles}
    slots = sorted({slot for beside in roles.values() for slot in beside})
    if not slots or any(grid.entry(slot.number).quantity_lots for slot in slots):
        return ""
    try:
        _check_profit(grid, grid.instrument.ticks_to_price(book.mid_ticks), slots)
        _check_size(grid, slots)
        for role, beside in roles.items():
            _check_budget(grid, role, beside)
    except ConfigurationError as error:
        return str(error)
    return ""


def _check_whole_ticks(spec: GridSpec, instrument: Instrument) -> None:
    fields: dict[str, Decimal] = {}
    if isinstance(spec.spacing, ArithmeticSpacing):
        fields["spacing.step"] = spec.spacing.step
    if isinstance(spec.range, FixedRange):
        fields["range.lower"] = spec.range.lower
        if isinstance(spec.spacing, DivisionSpacing):
            fields["range.upper"] = spec.range.upper
    for field, value in fields.items():
        if value % instrument.tick_size:
            ticks = instrument.price_to_ticks(value, Rounding.CEIL)
            raise ConfigurationError(
                field=field,
                rule=f"must be a whole number of ticks of {instrument.tick_size}",
                value=value,
                remedy=f"use {instrument.ticks_to_price(ticks)}",
            )


def _check_market(spec: GridSpec, instrument: Instrument) -> None:
    sells_first = spec.mode is not Mode.LONG
    if instrument.kind is MarketKind.SPOT and sells_first and spec.base_inventory is None:
        raise ConfigurationError(
            field="base_inventory",
            rule=f"must say how much {instrument.base} a {spec.mode} grid may sell: a spot account"
            " cannot owe any",
            value=None,
            remedy="declare what you hold for it, or use mode long",
        )
    if spec.base_inventory and (instrument.kind is MarketKind.LINEAR or not sells_first):
        raise ConfigurationError(
            field="base_inventory",
            rule="must be left out where no slot sells base that you hold",
            value=spec.base_inventory,
            remedy="leave it out, or use mode neutral or short on a spot market",
        )


def _check_prices(spec: GridSpec, price: Decimal, start: Decimal) -> None:
    """Prices that end or bound the grid must lie on the side they are meant for."""
    up = spec.mode is Mode.LONG
    checks: list[tuple[str, Decimal | None, bool, Decimal]] = []
    if spec.mode is not Mode.NEUTRAL:
        for field, stop, above in (
            ("stop_loss.price", spec.stop_loss, not up),
            ("take_profit.price", spec.take_profit, up),
        ):
            checks.append((field, stop.price if stop else None, above, start))
    if spec.trailing and isinstance(spec.range, FixedRange):
        checks.append(("trailing.up_to", spec.trailing.up_to, True, spec.range.upper))
        checks.append(("trailing.down_to", spec.trailing.down_to, False, spec.range.lower))
    for field, value, above, than in checks:
        if value is not None and not (value > than if above else value < than):
            raise ConfigurationError(
                field=field,
                rule=f"must lie {'above' if above else 'below'} {than}",
                value=value,
                remedy=f"use a {'higher' if above else 'lower'} price",
            )
    if spec.trigger_price == price:
        raise ConfigurationError(
            field="trigger_price",
            rule="must differ from the price now",
            value=spec.trigger_price,
            remedy="leave it out to start at once",
        )


def _judged_slots(grid: Grid, role: Role) -> list[SlotId]:
    return _slots_beside(grid, role, BookTop(grid.start_ticks, None, 0))


def _slots_beside(grid: Grid, role: Role, book: BookTop) -> list[SlotId]:
    """All of a fixed range; of a window those that it would fill at the price."""
    view = View.of(grid, role, {}, book, {})
    first, last = view.bounds
    if not isinstance(grid.spec.range, FixedRange):
        entries, exits = grid.windows(role)
        first = max(first, view.base - entries + 1)
        last = min(last, view.base + (exits if grid.spec.initial_position else 0))
    if last - first >= LEVELS_MAX:
        last = first + LEVELS_MAX - 1  # a range this wide is refused by its size
    return [view.slot_id(index) for index in range(first, last + 1)]


def _check_range(grid: Grid, slots: Sequence[SlotId]) -> None:
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
    if not slots:
        raise ConfigurationError(
            field="range.anchor",
            rule="must give the ladder a level beside the price",
            value=instrument.ticks_to_price(ladder.anchor_ticks),
            remedy="use an anchor nearer to the price, or a smaller step",
        )


def _check_profit(grid: Grid, price: Decimal, slots: Sequence[SlotId]) -> None:
    spec, instrument = grid.spec, grid.instrument
    if _is_profitable(grid, slots):
        return
    if isinstance(spec.spacing, DivisionSpacing):
        raise ConfigurationError(
            field="spacing.count",
            rule="must make steps that earn more than the maker fees of both sides",
            value=spec.spacing.count,
            remedy=_count_remedy(grid, spec.spacing, price),
        )
    if isinstance(spec.spacing, ArithmeticSpacing):
        raise ConfigurationError(
            field="spacing.step",
            rule="must earn more than the maker fees of both sides",
            value=spec.spacing.step,
            remedy=_step_remedy(spec, instrument, price),
        )
    # Rounding may bring two levels half a tick closer each; at the lowest price that counts most.
    buy_ticks, _ = grid.levels(slots[0])
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
    above L steps over the top of the range, or over the price, where L counts the slots above the
    price that are judged. So few steps have to be tried.
    """
    top = spec.range.upper if isinstance(spec.range, FixedRange) else spec.trigger_price or price
    share = 1 - (1 - instrument.maker_fee) ** 2
    top_ticks = instrument.price_to_ticks(top, Rounding.FLOOR)
    reaches_up = spec.mode is not Mode.LONG or spec.initial_position
    above = 0
    if isinstance(spec.range, WindowRange) and reaches_up:
        above = spec.range.sell_window
    if share * (above + 1) >= 1:
        return "use a smaller sell_window: no step earns the fees of its highest level"
    fewest = int(top_ticks * share / (1 - share * (above - 1))) - 1
    most = int((top_ticks + 1) * share / (1 - share * (above + 1))) + 2

    start_ticks = instrument.price_to_ticks(spec.trigger_price or price, Rounding.FLOOR)
    anchor_ticks = instrument.price_to_ticks(
        anchor_for(spec, spec.trigger_price or price), Rounding.FLOOR
    )

    def is_enough(step_ticks: int) -> bool:
        if isinstance(spec.range, FixedRange):
            level = (top_ticks - anchor_ticks) // step_ticks
        elif spec.mode is Mode.LONG:
            level = (start_ticks - 1 - anchor_ticks) // step_ticks + 1 + above
        else:
            level = (start_ticks - anchor_ticks) // step_ticks + above
        sell_ticks = anchor_ticks + level * step_ticks
        buy_ticks = sell_ticks - step_ticks
        return (
            buy_ticks >= max(anchor_ticks if isinstance(spec.range, FixedRange) else 1, 1)
            and round_trip_profit_units(instrument, buy_ticks, sell_ticks, 1) > 0
        )

    step_ticks = _first(is_enough, range(max(fewest, 1), most + 1))
    if step_ticks is None:
        return "use a wider range: no step in it earns the fees"
    return f"the smallest step that works is {instrument.ticks_to_price(step_ticks)}"


def _count_remedy(grid: Grid, division: DivisionSpacing, price: Decimal) -> str:
    """Find the most levels that work: fewer of them lie farther apart."""

    def is_too_much(count: int) -> bool:
        spacing = division.model_copy(update={"count": count})
        spec = grid.spec.model_copy(update={"spacing": spacing})
        try:
            fewer = Grid.fresh(spec, grid.instrument, price)
        except ConfigurationError:
            return False  # so few that they lie too far apart
        slots = {slot for role in fewer.roles for slot in _judged_slots(fewer, role)}
        return not _is_profitable(fewer, slots)

    counts = range(2, division.count)
    most = bisect_left(counts, True, key=is_too_much) + 1
    if most < counts.start:
        return "use a wider range: no step in it earns the fees"
    return f"use {most} or fewer"


def _first(accepts: Callable[[int], bool], candidates: Iterable[int]) -> int | None:
    return next((candidate for candidate in candidates if accepts(candidate)), None)


def _is_profitable(grid: Grid, slots: Iterable[SlotId]) -> bool:
    return all(
        round_trip_profit_units(grid.instrument, *grid.levels(slot), 1) > 0 for slot in slots
    )


def _check_size(grid: Grid, slots: Sequence[SlotId]) -> None:
    instrument, size = grid.instrument, grid.spec.order_size
    needed = {slot: required_lots(instrument, *grid.levels(slot)) for slot in slots}
    if all(
        order_lots(size, instrument, _entry_ticks(grid, slot)) >= lots
        for slot, lots in needed.items()
    ):
        return
    if isinstance(size, QuoteSize):
        smallest = instrument.units_to_quote(
            max(
                instrument.notional_units(_entry_ticks(grid, slot), lots)
                for slot, lots in needed.items()
            )
        )
        asset = instrument.quote
    else:
        smallest = instrument.lots_to_quantity(max(needed.values()))
        asset = instrument.base
    raise ConfigurationError(
        field="order_size.amount",
        rule=f"must reach the minimum notional of {instrument.min_notional.normalize():f}"
        f" {instrument.quote}"
        " when bought and, less the fee, when sold",
        value=size.amount,
        remedy=f"use {smallest.normalize():f} {asset} or more",
    )


def _check_budget(grid: Grid, role: Role, slots: Sequence[SlotId]) -> None:
    instrument = grid.instrument
    if grid.budget_units > _UNITS_MAX:
        raise ConfigurationError(
            field="budget_quote",
            rule="must be countable in units of the quote asset",
            value=grid.spec.budget_quote,
            remedy=f"use {instrument.units_to_quote(_UNITS_MAX)} or less",
        )
    dearest_units = max((_cost_units(grid, role, slot) for slot in slots), default=0)
    if dearest_units <= grid.role_budget_units(role):
        return
    if grid.sells_base(role):
        field, value = "base_inventory", grid.spec.base_inventory
        least = instrument.units_to_base(dearest_units)
    else:
        field, value = "budget_quote", grid.spec.budget_quote
        least = instrument.units_to_quote(dearest_units)
    raise ConfigurationError(
        field=field,
        rule="must pay for one order with its fee",
        value=value,
        remedy=f"use {least.normalize():f} or more",
    )


def _report(grid: Grid, roles: dict[Role, list[SlotId]]) -> SpecReport:
    instrument = grid.instrument
    slots = sorted({slot for judged in roles.values() for slot in judged})
    inventory_lots = quote_units = base_units = 0
    for role, judged in roles.items():
        # Nearest first: the highest of the long slots, the lowest of the short ones.
        budget_units, needed_units, lots = grid.role_budget_units(role), 0, 0
        for slot in sorted(judged, reverse=role is Role.LONG):
            entry = grid.entry(slot.number)
            needed_units += entry.cost_units
            if needed_units <= budget_units:
                lots += entry.quantity_lots
        inventory_lots = max(inventory_lots, lots)
        if grid.sells_base(role):
            base_units = needed_units
        else:
            quote_units = max(quote_units, needed_units)
    nearest = min(slots, key=lambda slot: abs(_entry_ticks(grid, slot) - grid.start_ticks))
    lots = grid.entry(nearest.number).quantity_lots
    profit_units = round_trip_profit_units(instrument, *grid.levels(nearest), lots)
    return SpecReport(
        anchor=instrument.ticks_to_price(grid.ladder.anchor_ticks),
        slots=len(slots),
        lowest_buy=instrument.ticks_to_price(grid.levels(slots[0])[0]),
        highest_sell=instrument.ticks_to_price(grid.levels(slots[-1])[1]),
        order_quantity=instrument.lots_to_quantity(lots),
        profit_per_round_trip=instrument.units_to_quote(profit_units),
        max_inventory=instrument.lots_to_quantity(inventory_lots),
        quote_needed=instrument.units_to_quote(quote_units),
        base_needed=instrument.units_to_base(base_units),
    )


def _entry_ticks(grid: Grid, slot: SlotId) -> int:
    lower_ticks, upper_ticks = grid.levels(slot)
    return lower_ticks if grid.role_of(slot) is Role.LONG else upper_ticks


def _cost_units(grid: Grid, role: Role, slot: SlotId) -> int:
    price_ticks = _entry_ticks(grid, slot)
    lots = order_lots(grid.spec.order_size, grid.instrument, price_ticks)
    return grid.cost_units(role, price_ticks, lots)

"""A grid's ladders, start and phase as far as its orders tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from domain.errors import ConfigurationError
from domain.ids import Purpose, Side
from domain.instrument import Instrument
from grid.anchor import Fit, Sighting, find_ladder, widened
from grid.ladder import Ladder, LadderVersion, spacing_of
from grid.phase import Phase, Stage
from grid.rebuild import TaggedOrder
from grid.role import OPENING, Role
from grid.spec import FixedRange, GridSpec, Mode


def find_ladders(
    orders: Sequence[TaggedOrder], spec: GridSpec, instrument: Instrument
) -> tuple[Fit, ...]:
    """Every ladder that orders name, the one that takes entries last.

    Raises
    ------
    ConfigurationError
        If the prices of one do not lie on any ladder of the spec.
    """
    spacing = spacing_of(spec, instrument)
    by_version: dict[int, list[TaggedOrder]] = {}
    for order in orders:
        by_version.setdefault(order.tag.slot.version, []).append(order)
    fits: dict[int, Fit] = {}
    for version, named in by_version.items():
        fit = find_ladder(_sightings(named), version, spacing, spec.range, instrument)
        if fit is not None:
            fits[version] = fit
    anchors = [fit.ladder for fit in fits.values() if not fit.misfits]
    for version, named in by_version.items():
        if anchors and (version not in fits or fits[version].misfits):
            other = widened(_sightings(named), anchors[-1], instrument)
            wide = other and find_ladder(_sightings(named), version, other, spec.range, instrument)
            if wide and (version not in fits or len(wide.misfits) < len(fits[version].misfits)):
                fits[version] = wide
    for version, named in by_version.items():
        _refuse_unfit(version, fits.get(version), len(named))
    current = _current(orders)
    former = [version for version in sorted(fits) if version != current]
    return tuple(
        replace(
            fits[version],
            ladder=replace(fits[version].ladder, pivot=_pivot(by_version[version], spec, version)),
        )
        for version in (*former, current)
    )


def find_start(
    orders: Sequence[TaggedOrder], spec: GridSpec, instrument: Instrument, current: LadderVersion
) -> Decimal:
    """The price at which the grid started, as near as its orders tell it."""
    if spec.trigger_price is not None:
        return spec.trigger_price
    levels = Ladder.of(current, spec.range, instrument)
    initial = [order for order in orders if order.tag.purpose is Purpose.INITIAL]
    longs = [order.tag.slot.number for order in initial if order.role is Role.LONG]
    shorts = [order.tag.slot.number for order in initial if order.role is Role.SHORT]
    index = current.pivot
    if spec.mode is Mode.LONG and longs:
        index = min(longs)
    elif spec.mode is Mode.SHORT and shorts:
        index = max(shorts) + 1
    return instrument.ticks_to_price(levels.price_ticks(index))


def find_phase(
    orders: Sequence[TaggedOrder],
    spec: GridSpec,
    instrument: Instrument,
    current: LadderVersion,
) -> Phase:
    """Running; a range that trails has moved at least as far as what rests lies outside it."""
    shift = 0
    if spec.trailing is not None and isinstance(spec.range, FixedRange):
        levels = Ladder.of(current, spec.range, instrument)
        resting = [
            order.tag.slot.number
            for order in orders
            if order.record.rests and order.tag.slot.version == current.version
        ]
        above = max((number + 1 - levels.highest_index for number in resting), default=0)
        below = min((number - levels.lowest_index for number in resting), default=0)
        shift = max(above, 0) or min(below, 0)
    return Phase(stage=Stage.RUNNING, shift=shift)


def _sightings(orders: Sequence[TaggedOrder]) -> list[Sighting]:
    """Entries stand on their level exactly; where there are none exits have to do."""
    entries = [order for order in orders if order.tag.purpose is Purpose.ENTRY]
    exits = [order for order in orders if order.tag.purpose is Purpose.EXIT]
    return [
        Sighting(
            index=order.tag.slot.number + (order.tag.side is Side.SELL),
            price=order.record.report.price,
            at_ms=order.record.placed_ms,
        )
        for order in entries or exits
    ]


def _refuse_unfit(version: int, fit: Fit | None, orders: int) -> None:
    beside = {seen.index for seen in fit.misfits} if fit else set()
    if fit is None or len(beside) >= fit.levels:
        found = "no anchor that does"
        if fit is not None:
            found = f"{len(beside)} levels beside it, {fit.levels} on it at {fit.ladder.anchor}"
        raise ConfigurationError(
            field="spacing",
            rule=f"must put the prices of {orders} orders of ladder {version} on its levels",
            value=found,
            remedy="declare the grid as it was when it traded, and change it afterwards",
        )


def _current(orders: Sequence[TaggedOrder]) -> int:
    """Only the newest ladder takes entries."""
    opening = [order for order in orders if order.tag.purpose in OPENING]
    return (opening or orders)[-1].tag.slot.version


def _pivot(orders: Sequence[TaggedOrder], spec: GridSpec, version: int) -> int:
    """The first short slot of a neutral grid: beyond every slot that was long.

    Raises
    ------
    ConfigurationError
        If a long slot lies above a short one: the grid was not neutral.
    """
    if spec.mode is not Mode.NEUTRAL:
        return 0
    longs = [order.tag.slot.number for order in orders if order.role is Role.LONG]
    shorts = [order.tag.slot.number for order in orders if order.role is Role.SHORT]
    lowest = max(longs) + 1 if longs else None
    highest = min(shorts) if shorts else None
    if lowest is not None and highest is not None and lowest > highest:
        raise ConfigurationError(
            field="mode",
            rule=f"must have the short slots of ladder {version} above the long ones",
            value=f"a long slot {lowest - 1} above a short slot {highest}",
            remedy="declare the mode in which it traded",
        )
    pivot = 0
    if lowest is not None:
        pivot = max(pivot, lowest)
    if highest is not None:
        pivot = min(pivot, highest)
    return pivot

"""What another spec does to a grid that is there: its ladder, its phase and its start. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from domain.errors import ConfigurationError
from domain.instrument import Instrument, Rounding
from grid.check import SpecReport, check_spec
from grid.grid import Grid
from grid.ladder import LadderVersion, anchor_for, pivot_of, spacing_of
from grid.phase import Phase, Stage, first_phase, touched_stop
from grid.spec import GridSpec, Mode, WindowRange
from grid.volatility import VERSIONS, free_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A grid as it stands before an edit."""

    spec: GridSpec
    #: The current one.
    ladder: LadderVersion
    #: Ladder versions whose slots hold something or have orders.
    taken: frozenset[int]
    phase: Phase
    start_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What becomes of it."""

    spec: GridSpec
    #: A new version, where levels change: the slots of those before become exit-only.
    ladder: LadderVersion | None
    phase: Phase
    start_price: Decimal
    report: SpecReport


def edit_grid(now: Standing, wanted: GridSpec, instrument: Instrument, price: Decimal) -> Edit:
    """Give a grid another spec at a price.

    One that has ended starts again, and so does one that waits where its trigger moves.

    Raises
    ------
    ConfigurationError
        If the spec cannot work, would end the grid at once, or changes what may not change.
    """
    _check_mode(now.spec, wanted)
    starts_again = _starts_again(now, wanted)
    start = (wanted.trigger_price or price) if starts_again else now.start_price
    ladder = _next_ladder(now, wanted, instrument, start if starts_again else price, starts_again)
    current = ladder or now.ladder
    if starts_again:
        phase = first_phase(wanted.trigger_price, price)
    elif ladder or wanted.range != now.spec.range:
        phase = replace(now.phase, shift=0)  # the range lies where it was asked for
    else:
        phase = now.phase
    judged = wanted if starts_again else _as_it_stands(wanted, current)
    report = check_spec(judged, instrument, price)
    if phase.stage is Stage.RUNNING:
        _check_stops(Grid.of(wanted, instrument, [current], start), price)
    return Edit(spec=wanted, ladder=ladder, phase=phase, start_price=start, report=report)


def _check_mode(present: GridSpec, wanted: GridSpec) -> None:
    """A slot with inventory would change its side."""
    if wanted.mode is not present.mode:
        raise ConfigurationError(
            field="mode",
            rule=f"must stay {present.mode} while the symbol is traded",
            value=wanted.mode,
            remedy="remove the symbol and add it again",
        )


def _starts_again(now: Standing, wanted: GridSpec) -> bool:
    if now.phase.stage is Stage.WAITING:
        return wanted.trigger_price != now.spec.trigger_price
    return now.phase.stage is Stage.ENDED


def _next_ladder(
    now: Standing, wanted: GridSpec, instrument: Instrument, price: Decimal, starts_again: bool
) -> LadderVersion | None:
    """A new version where the levels, or the roles of their slots, are to be others."""
    current = now.ladder
    anchor = anchor_for(wanted, price if starts_again else current.anchor)
    # The candles have made the present step what it is.
    keeps_step = wanted.volatility is not None and wanted.spacing == now.spec.spacing
    spacing = current.spacing if keeps_step else spacing_of(wanted, instrument)
    pivot = pivot_of(wanted.range, instrument, anchor, spacing, price)
    stays = (anchor, spacing) == (current.anchor, current.spacing)
    if stays and wanted.mode is Mode.NEUTRAL:
        is_same_kind = wanted.range.kind == now.spec.range.kind
        stays = pivot == current.pivot if starts_again else is_same_kind
    if stays:
        return None
    version = free_version(current, now.taken)
    if version is None:
        raise ConfigurationError(
            field="spacing",
            rule=f"must stay while {VERSIONS} ladders hold inventory",
            value=wanted.spacing,
            remedy="wait until some of it is sold, or keep the levels",
        )
    return LadderVersion(version=version, anchor=anchor, spacing=spacing, pivot=pivot)


def _as_it_stands(wanted: GridSpec, ladder: LadderVersion) -> GridSpec:
    """The spec of a grid that has started: no trigger any more, and an anchor."""
    changes: dict[str, object] = {"trigger_price": None}
    if isinstance(wanted.range, WindowRange):
        changes["range"] = wanted.range.model_copy(update={"anchor": ladder.anchor})
    return wanted.model_copy(update=changes)


def _check_stops(grid: Grid, price: Decimal) -> None:
    touched = touched_stop(grid, grid.instrument.price_to_ticks(price, Rounding.FLOOR))
    if touched is not None:
        name, stop = touched
        raise ConfigurationError(
            field=f"{name.replace('-', '_')}.price",
            rule=f"must not be reached already: the price is {price}",
            value=stop,
            remedy="put it beyond the price, or remove the symbol",
        )

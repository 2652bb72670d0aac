"""A step that follows the market: the next ladder version from closed candles."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext

from domain.instrument import EXACT_DIGITS, Instrument, Rounding
from domain.market import Candle
from grid.ladder import LadderVersion, ratio_ceil, spacing_of
from grid.spec import ArithmeticSpacing, GeometricSpacing, GridSpec

#: A step that differs by less makes no new version.
LEAST_CHANGE = Decimal("0.1")
VERSIONS = 256


def average_true_range(candles: Sequence[Candle]) -> Decimal:
    """Mean true range of all candles but the first, in quote.

    The true range is the greatest of high - low, |high - previous close| and |low - previous
    close| (Wilder, New Concepts in Technical Trading Systems, 1978). The mean is the plain one, so
    that it depends on nothing but the candles given, also after a restart.
    """
    ranges = [
        max(candle.high, before.close) - min(candle.low, before.close)
        for before, candle in itertools.pairwise(candles)
    ]
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        return sum(ranges, Decimal(0)) / len(ranges)


def next_ladder(
    spec: GridSpec,
    instrument: Instrument,
    current: LadderVersion,
    taken: Collection[int],
    candles: Sequence[Candle],
) -> LadderVersion | None:
    """The ladder that the candles ask for; `None` where the present one will do.

    Parameters
    ----------
    taken : collection of version numbers
        Versions whose slots hold more than dust or have live orders: they keep their levels.
    candles : sequence of Candle
        Closed ones, oldest first; too few of them ask for nothing.
    """
    if spec.volatility is None or len(candles) <= spec.volatility.candles:
        return None
    range_ = average_true_range(candles[-spec.volatility.candles - 1 :])
    wanted = range_ * spec.volatility.scale
    spacing = _scaled(spec, instrument, current.anchor, wanted, candles[-1].close)
    before, after = _step(current.spacing), _step(spacing)
    if abs(after - before) < LEAST_CHANGE * before:
        return None
    free = free_version(current, taken)
    return None if free is None else replace(current, version=free, spacing=spacing)


def free_version(current: LadderVersion, taken: Collection[int]) -> int | None:
    """The next version whose slots are all flat; `None` if there is none."""
    versions = (
        version % VERSIONS for version in range(current.version + 1, current.version + VERSIONS)
    )
    return next((version for version in versions if version not in taken), None)


def _scaled(
    spec: GridSpec, instrument: Instrument, anchor: Decimal, wanted: Decimal, price: Decimal
) -> ArithmeticSpacing | GeometricSpacing:
    """The spec's spacing, or the wanted step if that is wider; a tick at the least.

    Ticks may have become coarser since the spec was checked.
    """
    least = spacing_of(spec, instrument)
    if isinstance(least, ArithmeticSpacing):
        ticks = instrument.price_to_ticks(wanted, Rounding.CEIL)
        step = max(least.step, instrument.tick_size, instrument.ticks_to_price(ticks))
        return ArithmeticSpacing(step=step)
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        one_tick = ratio_ceil(1 + 1 / Decimal(instrument.price_to_ticks(anchor, Rounding.FLOOR)))
        ratio = max(least.ratio, one_tick, ratio_ceil(1 + wanted / price))
    return GeometricSpacing(ratio=min(ratio, Decimal(2)))


def _step(spacing: ArithmeticSpacing | GeometricSpacing) -> Decimal:
    return spacing.step if isinstance(spacing, ArithmeticSpacing) else spacing.ratio - 1

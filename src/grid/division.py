"""A fixed range cut into a number of levels: the step, or the ratio, that this comes to.

The levels follow from the step as those of any ladder do. Steps are rounded up beyond what a tick
can show, so that flooring finds each level where it was meant, and the last one on the upper end.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from domain.errors import ConfigurationError
from domain.instrument import EXACT_DIGITS, Instrument, Rounding
from grid.spec import ArithmeticSpacing, DivisionSpacing, FixedRange, GeometricSpacing

#: As many decimals as a spec may have.
_FINEST = Decimal("1e-18")
_RATIO_MAX = 2
_TICKS = "give each level a tick of its own"


def divide(
    range_: FixedRange, division: DivisionSpacing, instrument: Instrument
) -> ArithmeticSpacing | GeometricSpacing:
    """The spacing with which `count` levels lie in the range, the last on its upper end.

    Raises
    ------
    ConfigurationError
        If two levels would share a tick, or lie too far apart, with the count that would work.
    """
    lower_ticks = instrument.price_to_ticks(range_.lower, Rounding.FLOOR)
    upper_ticks = instrument.price_to_ticks(range_.upper, Rounding.FLOOR)
    if division.progression == "geometric":
        return _geometric(division, lower_ticks, upper_ticks)
    most = upper_ticks - lower_ticks + 1
    if division.count > most:
        raise _refused(division, _TICKS, f"use {most} or fewer")
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        step = instrument.ticks_to_price(upper_ticks - lower_ticks) / (division.count - 1)
        return ArithmeticSpacing(step=step.quantize(_FINEST, ROUND_CEILING))


def _geometric(division: DivisionSpacing, lower_ticks: int, upper_ticks: int) -> GeometricSpacing:
    fewest, most = _fewest(lower_ticks, upper_ticks), _most(lower_ticks, upper_ticks)
    neither = "use progression arithmetic: the range has too few ticks" if most < fewest else ""
    if division.count > most:
        raise _refused(division, _TICKS, neither or f"use {most} or fewer")
    if division.count < fewest:
        raise _refused(
            division, "at most double the price a level", neither or f"use {fewest} or more"
        )
    return GeometricSpacing(ratio=_ratio(lower_ticks, upper_ticks, division.count - 1))


def _ratio(lower_ticks: int, upper_ticks: int, steps: int) -> Decimal:
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        exact = (Decimal(upper_ticks) / lower_ticks) ** (Decimal(1) / steps)
        # The power is a rounded one: where it is two it must not become more.
        return min(exact.quantize(_FINEST, ROUND_CEILING), Decimal(_RATIO_MAX))


def _most(lower_ticks: int, upper_ticks: int) -> int:
    """The most levels whose lowest step is a tick."""
    if lower_ticks < 1:
        return 0
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        growth = (Decimal(upper_ticks) / lower_ticks).ln()
        steps = int((growth / (1 + Decimal(1) / lower_ticks).ln()).to_integral_value(ROUND_FLOOR))
        # The logarithms are rounded ones: one more may just do.
        is_enough = lower_ticks * (_ratio(lower_ticks, upper_ticks, steps + 1) - 1) >= 1
        return steps + (2 if is_enough else 1)


def _fewest(lower_ticks: int, upper_ticks: int) -> int:
    """The fewest levels that at most double the price."""
    steps = 1
    while max(lower_ticks, 1) * _RATIO_MAX**steps < upper_ticks:
        steps += 1
    return steps + 1


def _refused(division: DivisionSpacing, rule: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        field="spacing.count", rule=f"must {rule}", value=division.count, remedy=remedy
    )

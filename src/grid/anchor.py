"""Where a ladder's level 0 lies, told by the entries that stood on its levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction

from domain.errors import ConfigurationError
from domain.instrument import EXACT_DIGITS, Instrument, Rounding
from grid.ladder import Ladder, LadderVersion
from grid.spec import ArithmeticSpacing, FixedRange, GeometricSpacing, WindowRange

#: So many of the newest entries say where the ladder is now; older ones may be of another ladder
#: with the same number.
NEWEST = 100
_HALF = Decimal("0.5")
MAX_RATIO = 2
_RATIO_STEP = Decimal("0.000001")
#: A level's rounding to whole ticks hides the ratio's last decimals.
_RATIO_REACH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A price that the venue told of a level."""

    index: int
    price: Decimal
    #: Venue time.
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A ladder as its entries prove it to be."""

    ladder: LadderVersion
    #: Entries from here on all lie on it, venue time.
    since_ms: int
    #: How many of its levels the newest entries prove, and those of them that lie elsewhere.
    levels: int
    misfits: tuple[Sighting, ...]
    #: Anchors, in ticks, that would fit as well: far levels may be off by a tick.
    alternatives: int


def find_ladder(
    sightings: Sequence[Sighting],
    version: int,
    spacing: ArithmeticSpacing | GeometricSpacing,
    range_: WindowRange | FixedRange,
    instrument: Instrument,
) -> Fit | None:
    """The anchor on which most of the newest entries lie; `None` if none lies on a whole tick.

    Parameters
    ----------
    sightings : sequence of Sighting
        Oldest first.
    """
    asked = range_.lower if isinstance(range_, FixedRange) else range_.anchor
    newest = [seen for seen in sightings[::-1][:NEWEST] if seen.price % instrument.tick_size == 0]
    if not newest:
        return None
    spans = [_anchors(seen, spacing, instrument) for seen in newest]
    low, high = _most_covered(spans)
    anchor_ticks = low
    if asked is not None:
        asked_ticks = int(asked // instrument.tick_size)
        if low <= asked_ticks <= high:
            anchor_ticks = asked_ticks
    if anchor_ticks < 1:
        return None
    ladder = LadderVersion(
        version=version, anchor=instrument.ticks_to_price(anchor_ticks), spacing=spacing
    )
    try:
        levels = Ladder.of(ladder, range_, instrument)
    except ConfigurationError:
        return None

    def fits(seen: Sighting) -> bool:
        return seen.price == instrument.ticks_to_price(levels.price_ticks(seen.index))

    since_ms = sightings[-1].at_ms + 1
    for seen in reversed(sightings):
        if not fits(seen):
            break
        since_ms = seen.at_ms
    misfits = tuple(seen for seen in newest if not fits(seen))
    return Fit(
        ladder=ladder,
        since_ms=since_ms,
        levels=len({seen.index for seen in newest if fits(seen)}),
        misfits=misfits,
        alternatives=high - low,
    )


def widened(
    sightings: Sequence[Sighting],
    known: LadderVersion,
    instrument: Instrument,
) -> ArithmeticSpacing | GeometricSpacing | None:
    """The spacing of another version on the same anchor; `None` if no entry can tell.

    Volatility makes such versions: their steps are whole ticks, their ratios have six decimals.
    """
    newest = [seen for seen in sightings[::-1][:NEWEST] if seen.index]
    if not newest:
        return None
    farthest = max(newest, key=lambda seen: abs(seen.index))
    if isinstance(known.spacing, ArithmeticSpacing):
        step = (farthest.price - known.anchor) / farthest.index
        is_whole = step > 0 and step % instrument.tick_size == 0
        return ArithmeticSpacing(step=step) if is_whole else None
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        growth = ((farthest.price / known.anchor).ln() / farthest.index).exp()
        ratio = growth.quantize(_RATIO_STEP)
        near = (ratio + steps * _RATIO_STEP for steps in range(-_RATIO_REACH, _RATIO_REACH + 1))
        spacings = [GeometricSpacing(ratio=each) for each in near if 1 < each <= MAX_RATIO]
        anchor_ticks = instrument.price_to_ticks(known.anchor, Rounding.FLOOR)

        def fitting(spacing: GeometricSpacing) -> int:
            spans = [_anchors(seen, spacing, instrument) for seen in newest]
            return sum(low <= anchor_ticks <= high for low, high in spans)

        return max(spacings, key=fitting, default=None)


def _anchors(
    seen: Sighting, spacing: ArithmeticSpacing | GeometricSpacing, instrument: Instrument
) -> tuple[int, int]:
    """The lowest and the highest anchor, in ticks, that have the level at that price."""
    price_ticks = instrument.price_to_ticks(seen.price)
    if isinstance(spacing, ArithmeticSpacing):
        step, per = (Fraction(spacing.step) / Fraction(instrument.tick_size)).as_integer_ratio()
        anchor = price_ticks - seen.index * step // per
        return anchor, anchor
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        growth = spacing.ratio**seen.index
        low = ((price_ticks - _HALF) / growth).to_integral_value(ROUND_CEILING)
        above = ((price_ticks + _HALF) / growth).to_integral_value(ROUND_CEILING)
        return int(low), int(above) - 1


def _most_covered(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The lowest stretch of whole numbers that lies in most of the spans, ends included."""
    turns = sorted(
        [(low, 1) for low, high in spans if low <= high]
        + [(high + 1, -1) for low, high in spans if low <= high]
    )
    best, best_from, best_to, depth = 0, 0, -1, 0
    for at, (where, change) in enumerate(turns):
        depth += change
        if depth > best:
            best, best_from, best_to = depth, where, turns[at + 1][0] - 1
    return best_from, best_to

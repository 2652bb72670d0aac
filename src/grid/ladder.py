"""The levels of a grid: whole ticks, strictly increasing, a function of the anchor and the index.

A level is a formula, not a list, so it is the same after every restart. What is cached is only
what the formula says anyway.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

from domain.errors import ConfigurationError, InvariantViolation
from domain.instrument import EXACT_DIGITS, Instrument, Rounding
from ext.engine import LevelTable
from ext.ladder import arithmetic_index_below, search_below
from grid.division import divide
from grid.spec import (
    ArithmeticSpacing,
    DivisionSpacing,
    FixedRange,
    GeometricSpacing,
    GridSpec,
    WindowRange,
)

#: What a client order id can carry.
INDEX_MIN, INDEX_MAX = -(1 << 15), (1 << 15) - 1
#: Prices stay well inside the kernels' headroom.
PRICE_TICKS_MAX = 1 << 61
#: Geometric ladders whose levels are kept, whoever uses them.
_GEOMETRIC_KEPT = 256
_BLOCK_BITS = 8
_BLOCK = 1 << _BLOCK_BITS


@dataclass(frozen=True)
class Arithmetic:
    """level i = anchor + i · step, floored to whole ticks.

    Where a range was divided, or a venue made its tick coarser, a step may be no whole number of
    ticks: it is `step_ticks` / `per`. Each level is floored by itself, so none is a tick or more
    off.
    """

    anchor_ticks: int
    step_ticks: int
    per: int = 1

    def price_ticks(self, index: int) -> int:
        return self.anchor_ticks + index * self.step_ticks // self.per

    def index_below(self, price_ticks: int) -> int:
        if self.per == 1:
            return arithmetic_index_below(self.anchor_ticks, self.step_ticks, price_ticks)
        return -(-(price_ticks - self.anchor_ticks) * self.per // self.step_ticks) - 1

    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest index whose level is a price."""
        lowest = -((self.anchor_ticks - 1) * self.per // self.step_ticks)
        return lowest, (PRICE_TICKS_MAX - self.anchor_ticks) * self.per // self.step_ticks


@dataclass(frozen=True)
class Geometric:
    """level i = anchor · ratio^i, rounded half up to whole ticks.

    The ladder ends where its step falls below one tick: above that, rounding half up keeps
    levels that differ by a tick or more distinct.
    """

    anchor_ticks: int
    ratio: Decimal
    _blocks: dict[int, array[int]] = field(default_factory=dict, compare=False, repr=False)
    #: The lowest level of each block that a search came across.
    _lowest: dict[int, int] = field(default_factory=dict, compare=False, repr=False)
    _tables: dict[int, LevelTable] = field(default_factory=dict, compare=False, repr=False)
    #: The block that was looked at last.
    _near: dict[int, tuple[int, LevelTable]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def price_ticks(self, index: int) -> int:
        return self._block(index >> _BLOCK_BITS)[index & (_BLOCK - 1)]

    def index_below(self, price_ticks: int) -> int:
        number, table = self._near.get(0, (0, None))
        if table is not None:
            position = table.index_below(price_ticks)
            # At either end of the table the level may lie beyond it.
            if 0 <= position < _BLOCK - 1:
                return (number << _BLOCK_BITS) + position
        return self._search(price_ticks)

    def _search(self, price_ticks: int) -> int:
        blocks = range(INDEX_MIN >> _BLOCK_BITS, (INDEX_MAX >> _BLOCK_BITS) + 1)
        place = bisect_left(blocks, price_ticks, key=self._lowest_of) - 1
        if place < 0:
            return INDEX_MIN - 1
        number = blocks[place]
        levels = self._block(number)
        if levels[0] * (self.ratio - 1) >= 1 and levels[-1] < PRICE_TICKS_MAX:
            # Prices come from the same few levels: the next ones are found in O(1).
            self._near[0] = number, self._table(number)
        return (number << _BLOCK_BITS) + search_below(levels, price_ticks)

    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest index whose level is a price of its own."""
        indices = range(INDEX_MIN, INDEX_MAX + 1)
        least = 1 / (self.ratio - 1)
        return (
            indices[bisect_left(indices, least, key=self._exact, hi=len(indices) - 1)],
            indices[bisect_right(indices, Decimal(PRICE_TICKS_MAX), key=self._exact) - 1],
        )

    def _lowest_of(self, number: int) -> int:
        """The lowest level of a block, without the trouble of the others."""
        lowest = self._lowest.get(number)
        if lowest is None:
            lowest = self._lowest[number] = self._rounded(number << _BLOCK_BITS)
        return lowest

    def _table(self, number: int) -> LevelTable:
        """Kept, since a price that moves about the anchor moves between two blocks."""
        table = self._tables.get(number)
        if table is None:
            table = self._tables[number] = LevelTable(self._block(number))
        return table

    def _block(self, number: int) -> array[int]:
        block = self._blocks.get(number)
        if block is None:
            first = number << _BLOCK_BITS
            block = array("q", (self._rounded(index) for index in range(first, first + _BLOCK)))
            self._blocks[number] = block
        return block

    def _rounded(self, index: int) -> int:
        exact = self._exact(index)
        return int(min(exact, Decimal(PRICE_TICKS_MAX)).to_integral_value(ROUND_HALF_UP))

    def _exact(self, index: int) -> Decimal:
        with localcontext() as context:
            context.prec = EXACT_DIGITS
            return self.anchor_ticks * self.ratio**index


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderVersion:
    """What is persisted of a ladder; its levels follow from it."""

    #: 0 to 255.
    version: int
    #: Price of level 0; it never moves.
    anchor: Decimal
    spacing: ArithmeticSpacing | GeometricSpacing
    #: The first short slot of a neutral grid; it never moves either.
    pivot: int = 0

    @staticmethod
    def first(spec: GridSpec, instrument: Instrument, start: Decimal) -> LadderVersion:
        """The one that a grid starts with at a price."""
        anchor, spacing = anchor_for(spec, start), spacing_of(spec, instrument)
        pivot = pivot_of(spec.range, instrument, anchor, spacing, start)
        return LadderVersion(version=0, anchor=anchor, spacing=spacing, pivot=pivot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """One version of a grid's levels. Slot i lies between level i and level i + 1."""

    version: int
    spacing: Arithmetic | Geometric
    #: Levels beyond these get no new order; a slot left outside still finds its prices.
    lowest_index: int
    highest_index: int
    pivot: int

    @staticmethod
    def of(of: LadderVersion, range_: WindowRange | FixedRange, instrument: Instrument) -> Ladder:
        """Build the ladder around its persisted anchor.

        Raises
        ------
        ConfigurationError
            If a step would be smaller than a tick.
        """
        anchor_ticks = instrument.price_to_ticks(of.anchor, Rounding.FLOOR)
        spacing = _spacing(of.spacing, instrument, anchor_ticks)
        lowest, highest = spacing.bounds()
        if isinstance(range_, FixedRange):
            upper_ticks = instrument.price_to_ticks(range_.upper, Rounding.FLOOR)
            lowest, highest = 0, min(highest, spacing.index_below(upper_ticks + 1))
        return Ladder(
            version=of.version,
            spacing=spacing,
            lowest_index=max(lowest, INDEX_MIN),
            highest_index=min(highest, INDEX_MAX),
            pivot=of.pivot,
        )

    def shifted(self, levels: int) -> Ladder:
        """The same levels with both ends moved, as a range that trails the price does."""
        lowest, highest = self.spacing.bounds()
        return replace(
            self,
            lowest_index=max(self.lowest_index + levels, lowest, INDEX_MIN),
            highest_index=min(self.highest_index + levels, highest, INDEX_MAX),
        )

    @property
    def anchor_ticks(self) -> int:
        return self.spacing.anchor_ticks

    def price_ticks(self, index: int) -> int:
        """The level's price: where slot `index` buys and slot `index - 1` sells."""
        return self.spacing.price_ticks(index)

    def index_below(self, price_ticks: int) -> int:
        """The greatest level strictly below a price; one less than the lowest if none is."""
        index = self.spacing.index_below(price_ticks)
        return min(max(index, self.lowest_index - 1), self.highest_index)

    def index_above(self, price_ticks: int) -> int:
        """The smallest level strictly above a price; one more than the highest if none is."""
        return self.index_below(price_ticks + 1) + 1


def anchor_for(spec: GridSpec, price: Decimal) -> Decimal:
    """The anchor to persist when a symbol is added at a price."""
    if isinstance(spec.range, FixedRange):
        return spec.range.lower
    return spec.range.anchor or price


def spacing_of(spec: GridSpec, instrument: Instrument) -> ArithmeticSpacing | GeometricSpacing:
    """The spacing to persist; a division becomes the step that it comes to.

    Raises
    ------
    ConfigurationError
        If the range cannot be divided so.
    """
    if isinstance(spec.spacing, DivisionSpacing) and isinstance(spec.range, FixedRange):
        return divide(spec.range, spec.spacing, instrument)
    if isinstance(spec.spacing, DivisionSpacing):
        raise InvariantViolation("only a fixed range is divided")
    return spec.spacing


def pivot_of(
    range_: WindowRange | FixedRange,
    instrument: Instrument,
    anchor: Decimal,
    spacing: ArithmeticSpacing | GeometricSpacing,
    price: Decimal,
) -> int:
    """The first slot that is short in a neutral grid made at a price: above it, or the anchor."""
    if isinstance(range_, WindowRange):
        return 0
    anchor_ticks = instrument.price_to_ticks(anchor, Rounding.FLOOR)
    levels = _spacing(spacing, instrument, anchor_ticks)
    return levels.index_below(instrument.price_to_ticks(price, Rounding.FLOOR)) + 1


def _spacing(
    spacing: ArithmeticSpacing | GeometricSpacing, instrument: Instrument, anchor_ticks: int
) -> Arithmetic | Geometric:
    if anchor_ticks < 1:
        raise ConfigurationError(
            field="anchor",
            rule="must be at least one tick",
            value=instrument.ticks_to_price(anchor_ticks),
            remedy=f"anchor the ladder at {instrument.tick_size} or more",
        )
    if isinstance(spacing, ArithmeticSpacing):
        if spacing.step < instrument.tick_size:
            raise ConfigurationError(
                field="spacing.step",
                rule="must be at least one tick",
                value=spacing.step,
                remedy=f"use {instrument.tick_size} or more",
            )
        step_ticks, per = (
            Fraction(spacing.step) / Fraction(instrument.tick_size)
        ).as_integer_ratio()
        return Arithmetic(anchor_ticks, step_ticks, per)
    if anchor_ticks * (spacing.ratio - 1) < 1:
        raise ConfigurationError(
            field="spacing.ratio",
            rule="must make steps of at least one tick",
            value=spacing.ratio,
            remedy=f"use {ratio_ceil(1 + Decimal(1) / anchor_ticks)} or more",
        )
    return _geometric(anchor_ticks, spacing.ratio)


@lru_cache(maxsize=_GEOMETRIC_KEPT)
def _geometric(anchor_ticks: int, ratio: Decimal) -> Geometric:
    """One ladder for all grids that are built on it.

    A shard builds its grid anew with each phase, ladder and tenure; the levels take milliseconds.
    """
    return Geometric(anchor_ticks, ratio)


def ratio_ceil(ratio: Decimal) -> Decimal:
    """A ratio rounded up to the six decimals that a remedy shows."""
    return ratio.quantize(Decimal("0.000001"), rounding="ROUND_CEILING")

"""The level engine in plain Python: what runs where nothing is compiled, and the reference."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import pairwise

#: Buckets of a table at most; a span that needs more gets wider ones, and steps inside them.
BUCKETS_MAX = 1 << 16


class LevelTable:
    """Finds the level below a price in O(1) among ascending levels.

    The span of the levels is cut into buckets no wider than the smallest gap, so that a bucket
    holds one level at most: where a price lies is a division, a look and at most one step.

    Parameters
    ----------
    levels : array of int64
        Strictly ascending, two at least.

    Raises
    ------
    ValueError
        If they do not rise, or are fewer than two.
    """

    def __init__(self, levels: array[int]) -> None:
        if len(levels) < 2 or any(low >= high for low, high in pairwise(levels)):
            raise ValueError("levels must rise strictly, and be two at least")
        self._levels = levels

    def index_below(self, price_ticks: int) -> int:
        """Position of the last level strictly below a price; -1 if there is none."""
        return bisect_left(self._levels, price_ticks) - 1


class QuietBand:
    """Prices at which a decision that was just made would be made again.

    Parameters
    ----------
    mid_low, mid_high : int
        The middle of bid and ask, rounded down, must lie between them, both included.
    bid_max, ask_min : int
        The bid must not be above, the ask not below.
    """

    def __init__(self, mid_low: int, mid_high: int, bid_max: int, ask_min: int) -> None:
        self._mid_low, self._mid_high = mid_low, mid_high
        self._bid_max, self._ask_min = bid_max, ask_min

    def is_quiet(self, bid_ticks: int, ask_ticks: int) -> bool:
        """Whether a tick with these best prices changes nothing."""
        middle = (bid_ticks + ask_ticks) // 2
        return (
            self._mid_low <= middle <= self._mid_high
            and bid_ticks <= self._bid_max
            and ask_ticks >= self._ask_min
        )

    def ignore(self, bid_ticks: int, ask_ticks: int) -> bool:
        """The least that a call can do: a baseline for measurements."""
        return True

"""The level engine in plain Python: what runs where nothing is compiled, and the reference."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from decimal import Decimal
from itertools import pairwise

#: Buckets of a table at most; a span that needs more gets wider ones, and steps inside them.
BUCKETS_MAX = 1 << 16
#: Digits of a price that is read without `Decimal`, so that it fits an int64.
DIGITS_MAX = 18
_AMOUNT_MAX = 10**DIGITS_MAX


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


class TickScale:
    """Counts the ticks of a price by its digits, where that is plain and exact.

    Parameters
    ----------
    tick_size : Decimal
        Of one instrument; new trading rules take a new scale.
    """

    def __init__(self, tick_size: Decimal) -> None:
        sign, digits, exponent = tick_size.as_tuple()
        coefficient = int("".join(map(str, digits)))
        #: Zero where no price can be counted.
        self._coefficient = self._exponent = 0
        if (
            isinstance(exponent, int)
            and sign == 0
            and coefficient < _AMOUNT_MAX
            and abs(exponent) <= DIGITS_MAX
        ):
            self._coefficient, self._exponent = coefficient, exponent

    def ticks_of(self, price: str) -> int:
        """A price in ticks, -1 for one that only `Decimal` can judge.

        That is a price off the ticks, with a sign or an exponent, of more than 18 digits, or none
        at all.
        """
        read = _read(price)
        if read is None or not self._coefficient:
            return -1
        amount = _shifted(read[0], -read[1] - self._exponent)
        if amount < 0 or amount % self._coefficient:
            return -1
        return amount // self._coefficient


def is_sound(bid: str, ask: str) -> bool:
    """Whether 0 < bid < ask by their plain digits; if not so, only `Decimal` can judge them."""
    reads = _read(bid), _read(ask)
    if reads[0] is None or reads[1] is None:
        return False
    (bid_amount, bid_places), (ask_amount, ask_places) = reads[0], reads[1]
    bid_amount = _shifted(bid_amount, max(ask_places - bid_places, 0))
    ask_amount = _shifted(ask_amount, max(bid_places - ask_places, 0))
    return 0 < bid_amount < ask_amount


class Lull:
    """Keeps the quotes that change nothing while their reader sleeps, which is not woken by them.

    Whoever fills it offers it the newest quote only, and only if the reader has got all before it.
    So what it keeps is the newest there is, and the reader takes it first whenever it wakes.
    """

    def __init__(self) -> None:
        self._scale: TickScale | None = None
        self._band: QuietBand | None = None
        self._kept: tuple[str, str, int] | None = None

    def begin(self, scale: TickScale, band: QuietBand) -> None:
        """From now on quotes inside the band change nothing."""
        self._scale, self._band = scale, band

    def end(self) -> None:
        """From now on no quote is kept; what was kept is still to be taken."""
        self._band = None

    def keeps(self, bid: str, ask: str, exchange_ms: int) -> bool:
        """Whether a quote is kept; if not, the reader must get it otherwise."""
        if self._band is None or self._scale is None:
            return False
        bid_ticks, ask_ticks = self._scale.ticks_of(bid), self._scale.ticks_of(ask)
        if not 0 < bid_ticks < ask_ticks or not self._band.is_quiet(bid_ticks, ask_ticks):
            return False
        self._kept = bid, ask, exchange_ms
        return True

    def take(self) -> tuple[str, str, int] | None:
        """Bid, ask and exchange time of the last quote kept, once."""
        kept, self._kept = self._kept, None
        return kept


def _read(price: str) -> tuple[int, int] | None:
    """An amount and its decimal places from plain digits; `None` for any other writing."""
    whole, _, fraction = price.partition(".")
    digits = whole + fraction
    if len(digits) > DIGITS_MAX or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits), len(fraction)


def _shifted(amount: int, places: int) -> int:
    """An amount times ten to the power of `places`; -1 if it is not whole or too large."""
    if amount < 0 or abs(places) > DIGITS_MAX:
        return -1
    if places < 0:
        whole, rest = divmod(amount, 10**-places)
        return -1 if rest else whole
    shifted = amount * 10**places
    return -1 if shifted > _AMOUNT_MAX else shifted

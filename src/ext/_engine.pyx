# cython: autotestdict=False
"""The level engine on int64; `_engine_py` is its reference and says what it does.

Headroom: prices stay under 2**62, so that no sum or difference of two of them leaves int64.
"""

from cpython cimport array

from array import array as new_array

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const unsigned char* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef long long BUCKETS_MAX = 1 << 16
cdef enum:
    DIGITS_MAX = 18

cdef long long[DIGITS_MAX + 1] POWERS
for power in range(DIGITS_MAX + 1):
    POWERS[power] = 10**power
cdef long long AMOUNT_MAX = POWERS[DIGITS_MAX]


cdef class LevelTable:
    cdef array.array _levels
    cdef array.array _buckets
    cdef Py_ssize_t _count
    cdef long long _first
    cdef long long _last
    cdef long long _width

    def __init__(self, array.array levels):
        cdef Py_ssize_t position
        cdef Py_ssize_t bucket
        cdef Py_ssize_t buckets
        cdef long long gap
        cdef long long span
        cdef const long long* prices
        if levels.ob_descr.typecode != b"q":
            raise TypeError("an array of int64 (typecode 'q') is needed")
        self._count = len(levels)
        if self._count < 2:
            raise ValueError("levels must rise strictly, and be two at least")
        prices = levels.data.as_longlongs
        gap = prices[1] - prices[0]
        for position in range(1, self._count):
            if prices[position] <= prices[position - 1]:
                raise ValueError("levels must rise strictly, and be two at least")
            gap = min(gap, prices[position] - prices[position - 1])
        self._levels = levels
        self._first = prices[0]
        self._last = prices[self._count - 1]
        span = self._last - self._first
        self._width = max(gap, span // BUCKETS_MAX + 1)
        buckets = span // self._width + 1
        self._buckets = new_array("q", bytes(8 * buckets))
        position = 0
        for bucket in range(buckets):
            while (
                position + 1 < self._count
                and prices[position + 1] - self._first <= bucket * self._width
            ):
                position += 1
            self._buckets.data.as_longlongs[bucket] = position

    cpdef long long index_below(self, long long price_ticks) except? -2:
        cdef long long offset
        cdef Py_ssize_t position
        cdef const long long* prices = self._levels.data.as_longlongs
        if price_ticks <= self._first:
            return -1
        if price_ticks > self._last:
            return self._count - 1
        offset = price_ticks - 1 - self._first
        position = self._buckets.data.as_longlongs[offset // self._width]
        while prices[position + 1] - self._first <= offset:
            position += 1
        return position


cdef class QuietBand:
    cdef long long _mid_low
    cdef long long _mid_high
    cdef long long _bid_max
    cdef long long _ask_min

    def __init__(
        self, long long mid_low, long long mid_high, long long bid_max, long long ask_min
    ):
        self._mid_low = mid_low
        self._mid_high = mid_high
        self._bid_max = bid_max
        self._ask_min = ask_min

    cpdef bint is_quiet(self, long long bid_ticks, long long ask_ticks):
        # A shift floors like Python's division, for prices of either sign.
        cdef long long middle = (bid_ticks + ask_ticks) >> 1
        return (
            self._mid_low <= middle <= self._mid_high
            and bid_ticks <= self._bid_max
            and ask_ticks >= self._ask_min
        )

    cpdef bint ignore(self, long long bid_ticks, long long ask_ticks):
        return True


cdef class TickScale:
    cdef long long _coefficient
    cdef int _exponent

    def __init__(self, tick_size):
        sign, digits, exponent = tick_size.as_tuple()
        coefficient = int("".join(map(str, digits)))
        if (
            isinstance(exponent, int)
            and sign == 0
            and coefficient < AMOUNT_MAX
            and abs(exponent) <= DIGITS_MAX
        ):
            self._coefficient = coefficient
            self._exponent = exponent

    cpdef long long ticks_of(self, str price) noexcept:
        cdef long long amount
        cdef int places
        if self._coefficient == 0 or not _read(price, &amount, &places):
            return -1
        amount = _shifted(amount, -places - self._exponent)
        if amount < 0 or amount % self._coefficient != 0:
            return -1
        return amount // self._coefficient


def is_sound(str bid not None, str ask not None):
    cdef long long bid_amount
    cdef long long ask_amount
    cdef int bid_places
    cdef int ask_places
    if not _read(bid, &bid_amount, &bid_places) or not _read(ask, &ask_amount, &ask_places):
        return False
    if bid_places != ask_places:
        bid_amount = _shifted(bid_amount, max(ask_places - bid_places, 0))
        ask_amount = _shifted(ask_amount, max(bid_places - ask_places, 0))
    return 0 < bid_amount < ask_amount


cdef class Lull:
    cdef TickScale _scale
    cdef QuietBand _band
    cdef str _bid
    cdef str _ask
    cdef object _exchange_ms

    def begin(self, TickScale scale not None, QuietBand band not None):
        self._scale = scale
        self._band = band

    def end(self):
        self._band = None

    cpdef bint keeps(self, str bid, str ask, exchange_ms) noexcept:
        cdef long long bid_ticks
        cdef long long ask_ticks
        if self._band is None:
            return False
        bid_ticks = self._scale.ticks_of(bid)
        ask_ticks = self._scale.ticks_of(ask)
        if not 0 < bid_ticks < ask_ticks or not self._band.is_quiet(bid_ticks, ask_ticks):
            return False
        self._bid = bid
        self._ask = ask
        self._exchange_ms = exchange_ms
        return True

    def take(self):
        if self._bid is None:
            return None
        kept = self._bid, self._ask, self._exchange_ms
        self._bid = self._ask = self._exchange_ms = None
        return kept


cdef bint _read(str price, long long* amount, int* places) noexcept:
    """Read an amount and its decimal places from plain digits; false for any other writing."""
    cdef Py_ssize_t position
    cdef Py_ssize_t length
    cdef int digits = 0
    cdef int fraction = -1
    cdef unsigned char letter
    cdef const unsigned char* letters
    if price is None or not PyUnicode_IS_COMPACT_ASCII(price):
        return False
    length = PyUnicode_GET_LENGTH(price)
    if length > DIGITS_MAX + 1:
        return False
    letters = PyUnicode_DATA(price)
    amount[0] = 0
    for position in range(length):
        letter = letters[position]
        if c"0" <= letter <= c"9":
            amount[0] = amount[0] * 10 + (letter - c"0")
            digits += 1
        elif letter == c"." and fraction < 0:
            fraction = digits
        else:
            return False
    places[0] = 0 if fraction < 0 else digits - fraction
    return 0 < digits <= DIGITS_MAX


cdef long long _shifted(long long amount, int places) noexcept:
    """An amount times ten to the power of `places`; -1 if it is not whole or too large."""
    if amount < 0 or not -DIGITS_MAX <= places <= DIGITS_MAX:
        return -1
    if places < 0:
        return -1 if amount % POWERS[-places] != 0 else amount // POWERS[-places]
    return -1 if amount > AMOUNT_MAX // POWERS[places] else amount * POWERS[places]

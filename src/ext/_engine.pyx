# cython: autotestdict=False
"""The level engine on int64; `_engine_py` is its reference and says what it does.

Headroom: prices stay under 2**62, so that no sum or difference of two of them leaves int64.
"""

from cpython cimport array

from array import array as new_array

cdef long long BUCKETS_MAX = 1 << 16


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

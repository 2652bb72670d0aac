# cython: autotestdict=False
"""The ladder kernels on int64; `_ladder_py` is their reference and says what they do.

Headroom: callers keep prices, costs and budgets under 2**62, so that no sum or difference of two
of them leaves int64. Division is Python's: it floors below zero.
"""

from cpython cimport array

cdef enum:
    VACANT = 0
    WANTED = 1
    LIVE = 2

cdef enum:
    DENIED = 0
    DESIRED = 1
    PLACEABLE = 2


cpdef long long arithmetic_index_below(
    long long anchor_ticks, long long step_ticks, long long price_ticks
) except? -1:
    return (price_ticks - 1 - anchor_ticks) // step_ticks


cpdef Py_ssize_t search_below(array.array levels, long long price_ticks) except? -1:
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = len(levels)
    cdef Py_ssize_t middle
    cdef const long long* prices = _int64(levels)
    while low < high:
        middle = (low + high) >> 1
        if prices[middle] < price_ticks:
            low = middle + 1
        else:
            high = middle
    return low - 1


def grant_entries(
    array.array costs,
    bytearray states,
    *,
    long long budget_units,
    long long free_units,
    long long max_orders,
    long long free_orders,
):
    cdef Py_ssize_t position
    cdef long long cost
    cdef long long spent_units = 0
    cdef long long count = 0
    cdef unsigned char state
    cdef bytearray grants = bytearray(len(states))
    cdef const long long* units = _int64(costs)
    if len(costs) != len(states):
        raise IndexError("costs and states differ in length")
    for position in range(len(states) - 1, -1, -1):
        state = states[position]
        cost = units[position]
        if state == VACANT or cost == 0:
            continue
        if count >= max_orders or spent_units + cost > budget_units:
            break
        spent_units += cost
        count += 1
        grants[position] = DESIRED
        if state == LIVE:
            continue
        if free_orders > 0 and cost <= free_units:
            free_units -= cost
            free_orders -= 1
            grants[position] = PLACEABLE
        else:
            free_orders = 0
    return grants


cdef const long long* _int64(array.array values) except? NULL:
    if values.ob_descr.typecode != b"q":
        raise TypeError("an array of int64 (typecode 'q') is needed")
    return values.data.as_longlongs

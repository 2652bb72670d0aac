"""The ladder kernels in plain Python: what runs where nothing is compiled, and the reference."""

from __future__ import annotations

from array import array
from bisect import bisect_left

#: What a slot asks of `grant_entries`: nothing, a new entry, or to keep the entry it has.
VACANT, WANTED, LIVE = 0, 1, 2
#: What it answers: no, desired but not to be placed now, desired and to be placed.
DENIED, DESIRED, PLACEABLE = 0, 1, 2


def arithmetic_index_below(anchor_ticks: int, step_ticks: int, price_ticks: int) -> int:
    """Index of the greatest level strictly below a price; floors below the anchor too."""
    return (price_ticks - 1 - anchor_ticks) // step_ticks


def search_below(levels: array[int], price_ticks: int) -> int:
    """Position of the last of ascending levels strictly below a price; -1 if there is none."""
    return bisect_left(levels, price_ticks) - 1


def grant_entries(
    costs: array[int],
    states: bytearray,
    *,
    budget_units: int,
    free_units: int,
    max_orders: int,
    free_orders: int,
) -> bytearray:
    """Share a budget out among entries, the last position (nearest to the price) first.

    Nobody overtakes: the first entry that does not fit ends the sharing, and the first that must
    wait for money or an order that others still hold ends the placing.

    Parameters
    ----------
    costs : array of int64
        What each position's entry ties up, in quote units; 0 where none can be placed.
    states : bytearray
        `VACANT`, `WANTED` or `LIVE` for each position.
    budget_units, max_orders : int
        What all entries together may tie up, and how many they may be.
    free_units, free_orders : int
        How much of that no live order holds at this instant.

    Returns
    -------
    bytearray
        `DENIED`, `DESIRED` or `PLACEABLE` for each position.
    """
    grants = bytearray(len(states))
    spent_units = count = 0
    for position in range(len(states) - 1, -1, -1):
        state, cost = states[position], costs[position]
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

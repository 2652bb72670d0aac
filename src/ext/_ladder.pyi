from array import array

def arithmetic_index_below(anchor_ticks: int, step_ticks: int, price_ticks: int) -> int: ...
def search_below(levels: array[int], price_ticks: int) -> int: ...
def grant_entries(
    costs: array[int],
    states: bytearray,
    *,
    budget_units: int,
    free_units: int,
    max_orders: int,
    free_orders: int,
) -> bytearray: ...

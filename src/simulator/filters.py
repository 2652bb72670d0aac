"""A symbol's filters: which prices, quantities and amounts an order may have."""

from simulator.errors import filter_failure
from simulator.records import OrderRequest, OrderType
from simulator.symbols import Rules
from simulator.units import notional_e8

#: PERCENT_PRICE_BY_SIDE: how many times the reference price an order may be above or below it.
PRICE_MULTIPLE_MAX = 5


def check_filters(
    request: OrderRequest,
    rules: Rules,
    *,
    quantity_e8: int,
    reference_price_e8: int | None,
    open_count: int,
    open_count_max: int,
) -> None:
    """Raise the refusal of the first filter that an order fails.

    `quantity_e8` is the base quantity, worked out where the order names a quote amount;
    `reference_price_e8` is the last price, or the best displayed before the first trade.
    """
    price_e8 = request.price_e8
    if request.type is OrderType.MARKET:
        price_e8 = reference_price_e8 or 0
    elif price_e8 <= 0 or price_e8 % rules.tick_e8:
        raise filter_failure("PRICE_FILTER")
    elif reference_price_e8 is not None and (
        price_e8 > reference_price_e8 * PRICE_MULTIPLE_MAX
        or price_e8 * PRICE_MULTIPLE_MAX < reference_price_e8
    ):
        raise filter_failure("PERCENT_PRICE_BY_SIDE")
    if (
        not rules.min_quantity_e8 <= quantity_e8 <= rules.max_quantity_e8
        or quantity_e8 % rules.step_e8
    ):
        raise filter_failure("LOT_SIZE")
    if notional_e8(price_e8, quantity_e8) < rules.min_notional_e8:
        raise filter_failure("NOTIONAL")
    if open_count >= open_count_max:
        raise filter_failure("MAX_NUM_ORDERS")

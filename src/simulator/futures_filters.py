"""A contract's filters, refused in the futures venue's own codes."""

from simulator.errors import FuturesError
from simulator.records import OrderRequest, OrderType
from simulator.symbols import Rules
from simulator.units import UNIT, decimals_of, format_plain, fraction_e8, notional_e8

#: PERCENT_PRICE: how far from the mark price an order may be, as a factor.
MULTIPLIER_UP_E8 = 115 * UNIT // 100
MULTIPLIER_DOWN_E8 = 85 * UNIT // 100


def price_decimals(rules: Rules) -> int:
    """Decimals a price may be written with: one more than a tick needs, as on the venue."""
    return min(8, decimals_of(rules.tick_e8) + 1)


def quantity_decimals(rules: Rules) -> int:
    return decimals_of(rules.step_e8)


def check_futures_filters(
    request: OrderRequest, rules: Rules, *, reference_price_e8: int | None
) -> None:
    """Raise the refusal of the first filter that an order fails."""
    market = request.type is OrderType.MARKET
    price_e8 = request.price_e8
    if market:
        price_e8 = reference_price_e8 or 0
    else:
        _check_price(price_e8, rules, reference_price_e8)
    quantity_e8 = request.quantity_e8
    most_e8 = rules.market_max_quantity_e8 if market else rules.max_quantity_e8
    if decimals_of(quantity_e8) > quantity_decimals(rules):
        raise FuturesError.TOO_PRECISE.error()
    if quantity_e8 < rules.min_quantity_e8:
        raise FuturesError.QUANTITY_TOO_SMALL.error()
    if quantity_e8 > most_e8:
        raise FuturesError.QUANTITY_TOO_LARGE.error()
    if quantity_e8 % rules.step_e8:
        raise FuturesError.QUANTITY_STEP.error()
    if notional_e8(price_e8, quantity_e8) < rules.min_notional_e8 and not request.reduce_only:
        raise FuturesError.NOTIONAL_TOO_SMALL.error(format_plain(rules.min_notional_e8))


def _check_price(price_e8: int, rules: Rules, reference_price_e8: int | None) -> None:
    if price_e8 <= 0:
        raise FuturesError.PRICE_NOT_POSITIVE.error()
    if decimals_of(price_e8) > price_decimals(rules):
        raise FuturesError.TOO_PRECISE.error()
    if price_e8 % rules.tick_e8:
        raise FuturesError.PRICE_TICK.error()
    if reference_price_e8 is None:
        return
    highest_e8 = fraction_e8(reference_price_e8, MULTIPLIER_UP_E8)
    lowest_e8 = fraction_e8(reference_price_e8, MULTIPLIER_DOWN_E8)
    if price_e8 > highest_e8:
        raise FuturesError.PRICE_TOO_HIGH.error(format_plain(highest_e8))
    if price_e8 < lowest_e8:
        raise FuturesError.PRICE_TOO_LOW.error(format_plain(lowest_e8))

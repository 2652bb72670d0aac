"""What one slot's orders are worth: sizes, the money they tie up, and what a round trip earns.

Fees are assumed as on most spot venues and as the worse case: the buy's is taken from the base it
brings, the sell's from the quote it brings, both at the maker rate.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext

from domain.instrument import EXACT_DIGITS, Instrument, Rounding
from grid.spec import BaseSize, QuoteSize


def order_lots(size: QuoteSize | BaseSize, instrument: Instrument, price_ticks: int) -> int:
    """Whole lots of an order of the configured size at a price."""
    if isinstance(size, BaseSize):
        return instrument.quantity_to_lots(size.amount, Rounding.FLOOR)
    amount_units = instrument.quote_to_units(size.amount, Rounding.FLOOR)
    return amount_units // instrument.notional_units(price_ticks, 1)


def required_lots(instrument: Instrument, buy_ticks: int, sell_ticks: int) -> int:
    """Fewest lots the venue lets a slot both buy and, less the buy's fee, sell again."""
    kept = 1 - max(instrument.maker_fee, Decimal(0))
    sold_lots = _orderable_lots(instrument, sell_ticks)
    return max(_orderable_lots(instrument, buy_ticks), _ceil(sold_lots / kept))


def entry_cost_units(instrument: Instrument, price_ticks: int, quantity_lots: int) -> int:
    """Quote an entry ties up, with the fee where a venue takes it from the quote."""
    notional_units = instrument.notional_units(price_ticks, quantity_lots)
    numerator, denominator = max(instrument.maker_fee, Decimal(0)).as_integer_ratio()
    return notional_units + -(-notional_units * numerator // denominator)


def round_trip_profit_units(
    instrument: Instrument, buy_ticks: int, sell_ticks: int, quantity_lots: int
) -> int:
    """Quote units one round trip earns after both fees, rounded down; a loss is negative."""
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        margin_ticks = sell_ticks * (1 - instrument.maker_fee) ** 2 - buy_ticks
        profit = margin_ticks * quantity_lots * instrument.quote_units_per_tick_lot
        return int(profit.to_integral_value(ROUND_FLOOR))


def _orderable_lots(instrument: Instrument, price_ticks: int) -> int:
    lots = -(-instrument.min_notional_units // instrument.notional_units(price_ticks, 1))
    return max(instrument.min_quantity_lots, lots, 1)


def _ceil(value: Decimal) -> int:
    return int(value.to_integral_value("ROUND_CEILING"))

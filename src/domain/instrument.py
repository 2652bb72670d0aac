"""An instrument's grid of ticks and lots, and the named borders between Decimal and integers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from enum import Enum, StrEnum
from functools import cached_property

from domain.errors import ConfigurationError

#: Digits that hold any balance the venues report, exactly.
EXACT_DIGITS = 60
_EXACT = Context(prec=EXACT_DIGITS)


class Rounding(Enum):
    """Where a value between two steps goes: buys floor their price, sells ceil it."""

    FLOOR = "floor"
    CEIL = "ceil"
    EXACT = "exact"


class MarketKind(StrEnum):
    SPOT = "spot"
    #: Perpetual futures settled in the quote asset, one-way positions.
    LINEAR = "linear"


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One version of a market's trading rules.

    Prices are integer ticks, order quantities integer lots; inventory, balances and fees are
    integers of the asset's smallest unit, since a fee in base leaves fractions of a lot.
    """

    account: str
    #: Unified symbol, ``BASE/QUOTE``; of a perpetual ``BASE/QUOTE:QUOTE``.
    symbol: str
    base: str
    quote: str
    kind: MarketKind = MarketKind.SPOT
    version: int = 1
    tick_size: Decimal
    lot_size: Decimal
    min_quantity_lots: int = 1
    #: Smallest price × quantity of an order, in quote.
    min_notional: Decimal
    #: Rates, 0.001 = 10 bp.
    maker_fee: Decimal
    taker_fee: Decimal
    #: Decimal places of the smallest unit of each asset.
    base_decimals: int = 8
    quote_decimals: int = 8

    def __post_init__(self) -> None:
        for field, value in (("tick_size", self.tick_size), ("lot_size", self.lot_size)):
            if not value.is_finite() or value <= 0:
                raise ConfigurationError(
                    field=field, rule="must be > 0", value=value, remedy="reload the markets"
                )
        _exact_int(self.lot_size.scaleb(self.base_decimals), "lot_size")
        _exact_int((self.tick_size * self.lot_size).scaleb(self.quote_decimals), "tick_size")

    @cached_property
    def base_units_per_lot(self) -> int:
        return int(self.lot_size.scaleb(self.base_decimals))

    @cached_property
    def quote_units_per_tick_lot(self) -> int:
        return int((self.tick_size * self.lot_size).scaleb(self.quote_decimals))

    @cached_property
    def min_notional_units(self) -> int:
        return _to_int(self.min_notional.scaleb(self.quote_decimals), Rounding.CEIL, "min_notional")

    def has_steps_of(self, other: Instrument) -> bool:
        """Whether ticks and lots mean the same prices and quantities under both."""
        return (self.tick_size, self.lot_size) == (other.tick_size, other.lot_size)

    def price_to_ticks(self, price: Decimal, rounding: Rounding = Rounding.EXACT) -> int:
        return _to_int(_EXACT.divide(price, self.tick_size), rounding, "price")

    def ticks_to_price(self, price_ticks: int) -> Decimal:
        return self.tick_size * price_ticks

    def quantity_to_lots(self, quantity: Decimal, rounding: Rounding = Rounding.EXACT) -> int:
        return _to_int(_EXACT.divide(quantity, self.lot_size), rounding, "quantity")

    def lots_to_quantity(self, quantity_lots: int) -> Decimal:
        return self.lot_size * quantity_lots

    def base_to_units(self, amount: Decimal) -> int:
        return _exact_int(_EXACT.scaleb(amount, self.base_decimals), "base amount")

    def units_to_base(self, units: int) -> Decimal:
        return _EXACT.scaleb(Decimal(units), -self.base_decimals)

    def quote_to_units(self, amount: Decimal, rounding: Rounding = Rounding.EXACT) -> int:
        return _to_int(_EXACT.scaleb(amount, self.quote_decimals), rounding, "quote amount")

    def units_to_quote(self, units: int) -> Decimal:
        return _EXACT.scaleb(Decimal(units), -self.quote_decimals)

    def notional_units(self, price_ticks: int, quantity_lots: int) -> int:
        """Price × quantity in the quote asset's smallest unit, exactly."""
        return price_ticks * quantity_lots * self.quote_units_per_tick_lot

    def tradable_lots(self, base_units: int) -> int:
        """Whole lots inside an inventory; what is left over is dust."""
        return base_units // self.base_units_per_lot

    def is_orderable(self, price_ticks: int, quantity_lots: int) -> bool:
        """Whether the venue would take an order of this size at this price."""
        return (
            quantity_lots >= self.min_quantity_lots
            and self.notional_units(price_ticks, quantity_lots) >= self.min_notional_units
        )


#: What a venue may change while its market is traded.
_RULES = ("tick_size", "lot_size", "min_quantity", "min_notional", "maker_fee", "taker_fee")


def changed_rules(old: Instrument, new: Instrument) -> str:
    """The rules that differ, as people read them; empty if none does."""
    before, after = _rules(old), _rules(new)
    return ", ".join(
        f"{name} {before[name]} → {after[name]}" for name in _RULES if before[name] != after[name]
    )


def _rules(instrument: Instrument) -> dict[str, Decimal]:
    values = [instrument.tick_size, instrument.lot_size]
    values += [instrument.lots_to_quantity(instrument.min_quantity_lots), instrument.min_notional]
    values += [instrument.maker_fee, instrument.taker_fee]
    return dict(zip(_RULES, values, strict=True))


def _to_int(value: Decimal, rounding: Rounding, field: str) -> int:
    whole = int(value)
    if whole == value:
        return whole
    match rounding:
        case Rounding.FLOOR:
            return whole if value > 0 else whole - 1
        case Rounding.CEIL:
            return whole + 1 if value > 0 else whole
        case Rounding.EXACT:
            raise ConfigurationError(
                field=field,
                rule="must be a whole number of steps",
                value=value,
                remedy="round it to the instrument's tick, lot or asset unit first",
            )


def _exact_int(value: Decimal, field: str) -> int:
    return _to_int(value, Rounding.EXACT, field)

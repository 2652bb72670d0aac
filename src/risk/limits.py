"""What a shard may do at most, and how much of it is in use."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal

from domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Hard limits of one shard; money in quote units."""

    #: Inventory at cost together with open entries.
    max_position_units: int
    #: Open entries alone.
    max_open_entry_units: int
    #: One entry.
    max_order_notional_units: int
    max_open_orders: int
    orders_per_minute: int
    #: No order lies farther from the price than this part of it; less than 1.
    price_collar: Decimal

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ConfigurationError(
                    field=field.name, rule="must be > 0", value=value, remedy="use a positive limit"
                )
        if self.price_collar >= 1:
            raise ConfigurationError(
                field="price_collar",
                rule="must be < 1",
                value=self.price_collar,
                remedy="use a part of the price, such as 0.2",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What is in use before a plan; money in quote units."""

    #: Inventory at cost.
    position_units: int
    #: Remainders of all live entries, known or unknown.
    open_entry_units: int
    open_orders: int
    orders_last_minute: int

"""What a shard may do at most, and how much of it is in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal

from domain.errors import ConfigurationError
from grid.role import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleLimits:
    """Hard limits of the slots of one role, in units of the asset that they tie up."""

    #: Inventory at cost together with open entries.
    max_position_units: int
    #: Open entries alone.
    max_open_entry_units: int
    #: One entry.
    max_order_units: int
    #: Whether the units are of base, as where a spot grid sells first; else of quote.
    in_base: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Hard limits of one shard."""

    roles: Mapping[Role, RoleLimits]
    max_open_orders: int
    orders_per_minute: int
    #: No order lies farther from the price than this part of it; less than 1.
    price_collar: Decimal

    def __post_init__(self) -> None:
        named = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        for role, limits in self.roles.items():
            for name in ("max_position_units", "max_open_entry_units", "max_order_units"):
                named[f"{role.name.lower()}.{name}"] = getattr(limits, name)
        for name, value in named.items():
            if not value > 0:
                raise ConfigurationError(
                    field=name, rule="must be > 0", value=value, remedy="use a positive limit"
                )
        if self.price_collar >= 1:
            raise ConfigurationError(
                field="price_collar",
                rule="must be < 1",
                value=self.price_collar,
                remedy="use a part of the price, such as 0.2",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleExposure:
    """What the slots of one role tie up."""

    #: Inventory at cost.
    position_units: int = 0
    #: Remainders of all live entries, known or unknown.
    open_entry_units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What is in use before a plan."""

    roles: Mapping[Role, RoleExposure]
    open_orders: int
    orders_last_minute: int

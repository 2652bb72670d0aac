"""What may be traded: spot pairs and perpetual contracts, their rules in integers, the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Self

from simulator.units import UNIT, parse_e8


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the field, the rule and the value."""


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    """One spot pair or one perpetual contract.

    Amounts are Decimals here and integers of 1e-8 beyond `Rules`.
    """

    name: str
    base: str
    quote: str
    tick_size: Decimal
    step_size: Decimal
    start_price: Decimal
    min_notional: Decimal = Decimal(5)
    #: Defaults to one step.
    min_quantity: Decimal | None = None
    max_quantity: Decimal = Decimal(1_000_000)
    #: The most that a market order of a contract may be for; defaults to `max_quantity`.
    market_max_quantity: Decimal | None = None
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    #: Quantity shown at the best price; deeper levels show a multiple of it.
    displayed_quantity: Decimal = Decimal(1)
    spread_ticks: int = 1
    #: Standard deviation of the price around its slowly wandering centre.
    volatility_bps: Decimal = Decimal(8)
    #: How fast the price returns to that centre.
    reversion_s: Decimal = Decimal(3)
    ticks_per_s: int = 20

    def __post_init__(self) -> None:
        for name in ("displayed_quantity", "spread_ticks", "reversion_s", "ticks_per_s"):
            if getattr(self, name) <= 0:
                msg = f"{self.name}: `{name}` must be > 0, was {getattr(self, name)}"
                raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True)
class Rules:
    """A symbol's trading rules as the matching code sees them; every amount in 1e-8."""

    symbol: str
    base: str
    quote: str
    tick_e8: int
    step_e8: int
    min_quantity_e8: int
    max_quantity_e8: int
    market_max_quantity_e8: int
    min_notional_e8: int
    maker_fee_e8: int
    taker_fee_e8: int

    def __post_init__(self) -> None:
        for name in ("tick_e8", "step_e8", "min_quantity_e8", "max_quantity_e8"):
            if getattr(self, name) <= 0:
                msg = f"{self.symbol}: `{name}` must be > 0, was {getattr(self, name)}"
                raise ConfigurationError(msg)
        if self.tick_e8 * self.step_e8 % UNIT:
            msg = f"{self.symbol}: tick × step must be a whole number of 1e-8"
            raise ConfigurationError(msg)

    @classmethod
    def of(cls, config: SymbolConfig) -> Self:
        rules = cls(
            symbol=config.name,
            base=config.base,
            quote=config.quote,
            tick_e8=_e8(config, "tick_size"),
            step_e8=_e8(config, "step_size"),
            min_quantity_e8=_e8(
                config, "step_size" if config.min_quantity is None else "min_quantity"
            ),
            max_quantity_e8=_e8(config, "max_quantity"),
            market_max_quantity_e8=_e8(
                config,
                "max_quantity" if config.market_max_quantity is None else "market_max_quantity",
            ),
            min_notional_e8=_e8(config, "min_notional"),
            maker_fee_e8=_e8(config, "maker_fee"),
            taker_fee_e8=_e8(config, "taker_fee"),
        )
        start_e8 = _e8(config, "start_price")
        if start_e8 <= 0 or start_e8 % rules.tick_e8:
            msg = f"{config.name}: `start_price` must be on a tick, was {config.start_price}"
            raise ConfigurationError(msg)
        return rules

    def amended(self, changes: Mapping[str, str]) -> Self:
        """Apply a change of filters given as `{"tick_size": "0.1", …}`."""
        names = {
            "tick_size": "tick_e8",
            "step_size": "step_e8",
            "min_quantity": "min_quantity_e8",
            "min_notional": "min_notional_e8",
        }
        unknown = changes.keys() - names.keys()
        if unknown:
            msg = f"{self.symbol}: unknown filters {sorted(unknown)}"
            raise ConfigurationError(msg)
        amended: dict[str, Any] = {names[key]: parse_e8(text) for key, text in changes.items()}
        return replace(self, **amended)


DEFAULT_SYMBOLS = (
    SymbolConfig(
        name="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.00001"),
        start_price=Decimal("61800.00"),
        displayed_quantity=Decimal("0.5"),
    ),
    SymbolConfig(
        name="ETHUSDT",
        base="ETH",
        quote="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.0001"),
        start_price=Decimal("2680.00"),
        displayed_quantity=Decimal(10),
    ),
    SymbolConfig(
        name="SOLUSDT",
        base="SOL",
        quote="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.001"),
        start_price=Decimal("160.00"),
        displayed_quantity=Decimal(150),
    ),
    SymbolConfig(
        name="BNBUSDT",
        base="BNB",
        quote="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.001"),
        start_price=Decimal("520.00"),
        displayed_quantity=Decimal(50),
    ),
    SymbolConfig(
        name="XRPUSDT",
        base="XRP",
        quote="USDT",
        tick_size=Decimal("0.0001"),
        step_size=Decimal("0.1"),
        start_price=Decimal("0.6100"),
        displayed_quantity=Decimal(20_000),
    ),
)

DEFAULT_PERPETUALS = (
    SymbolConfig(
        name="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.1"),
        step_size=Decimal("0.001"),
        start_price=Decimal("61800.0"),
        min_notional=Decimal(100),
        max_quantity=Decimal(1000),
        market_max_quantity=Decimal(120),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        displayed_quantity=Decimal(2),
    ),
    SymbolConfig(
        name="ETHUSDT",
        base="ETH",
        quote="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.001"),
        start_price=Decimal("2680.00"),
        min_notional=Decimal(20),
        max_quantity=Decimal(10_000),
        market_max_quantity=Decimal(2_000),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        displayed_quantity=Decimal(40),
    ),
    SymbolConfig(
        name="SOLUSDT",
        base="SOL",
        quote="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.01"),
        start_price=Decimal("160.00"),
        max_quantity=Decimal(100_000),
        market_max_quantity=Decimal(10_000),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        displayed_quantity=Decimal(500),
    ),
)


def _e8(config: SymbolConfig, name: str) -> int:
    try:
        return parse_e8(format(getattr(config, name), "f"))
    except ValueError as error:
        msg = f"{config.name}: `{name}` is {error}"
        raise ConfigurationError(msg) from error

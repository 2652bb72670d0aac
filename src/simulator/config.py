"""What a simulated exchange is made of: symbols, accounts, market source, limits."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Self, TypeVar

from simulator.units import UNIT, parse_e8

Section = TypeVar(
    "Section", "SymbolConfig", "AccountConfig", "ReplayConfig", "Limits", "SimulatorConfig"
)


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the field, the rule and the value."""


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    """One spot market. Amounts are Decimals here and integers of 1e-8 beyond `Rules`."""

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
class AccountConfig:
    """One account with its single API key."""

    name: str
    api_key: str
    api_secret: str = field(repr=False)
    balances: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """A recording to play instead of the synthetic market, for the symbols it contains."""

    paths: tuple[Path, ...]
    market: str = "spot"
    speed: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The venue's own limits."""

    weight_per_minute: int = 6000
    orders_per_10s: int = 100
    open_orders_per_symbol: int = 200
    recv_window_max_ms: int = 60_000
    #: A request may be stamped this far ahead of the exchange's clock.
    ahead_max_ms: int = 1_000


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

DEFAULT_ACCOUNT = AccountConfig(
    name="main",
    api_key="sim-key",
    api_secret="sim-secret",  # noqa: S106 - the simulator's public demo credential
    balances={"USDT": Decimal(1_000_000)},
)


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Everything `serve` needs."""

    data_dir: Path
    #: 0 takes a free port, or the one this data directory used before.
    port: int = 0
    seed: int = 1
    symbols: tuple[SymbolConfig, ...] = DEFAULT_SYMBOLS
    accounts: tuple[AccountConfig, ...] = (DEFAULT_ACCOUNT,)
    replay: ReplayConfig | None = None
    limits: Limits = Limits()
    #: Also fsync the ledger; without it a record survives kill -9 but not a power cut.
    fsync: bool = False

    def __post_init__(self) -> None:
        _refuse_duplicates("symbols", [symbol.name for symbol in self.symbols])
        _refuse_duplicates("accounts", [account.name for account in self.accounts])
        _refuse_duplicates("api keys", [account.api_key for account in self.accounts])
        for symbol in self.symbols:
            Rules.of(symbol)


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


def load_config(path: Path, *, data_dir: Path) -> SimulatorConfig:
    """Read a TOML file; sections `[[symbols]]`, `[[accounts]]`, `[replay]`, `[limits]`."""
    try:
        document = tomllib.loads(path.read_text(), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: {error}"
        raise ConfigurationError(msg) from error
    document["data_dir"] = data_dir
    if "symbols" in document:
        document["symbols"] = tuple(_build(SymbolConfig, row) for row in document["symbols"])
    if "accounts" in document:
        document["accounts"] = tuple(_account(row) for row in document["accounts"])
    if "replay" in document:
        replay = dict(document["replay"])
        replay["paths"] = tuple(path.parent / name for name in replay.get("paths", ()))
        document["replay"] = _build(ReplayConfig, replay)
    if "limits" in document:
        document["limits"] = _build(Limits, document["limits"])
    return _build(SimulatorConfig, document)


def _account(row: Mapping[str, Any]) -> AccountConfig:
    balances = {
        asset: _value(asset, Decimal, amount) for asset, amount in row.get("balances", {}).items()
    }
    return _build(AccountConfig, {**row, "balances": balances})


def _build(kind: type[Section], values: Mapping[str, Any]) -> Section:
    known = {item.name: item.type for item in fields(kind)}
    unknown = values.keys() - known.keys()
    if unknown:
        msg = f"{kind.__name__}: unknown keys {sorted(unknown)}"
        raise ConfigurationError(msg)
    built = {name: _value(name, known[name], value) for name, value in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        msg = f"{kind.__name__}: {error}"
        raise ConfigurationError(msg) from error


def _value(name: str, wanted: object, value: Any) -> Any:
    """A scalar of the wanted type; a Decimal may be written as a number or as text."""
    if wanted in {Decimal, Decimal | None} and type(value) in {int, str, Decimal}:
        try:
            return Decimal(value)
        except InvalidOperation as error:
            msg = f"`{name}` must be a decimal number, was {value!r}"
            raise ConfigurationError(msg) from error
    if wanted in {int, str, bool, Decimal, Decimal | None} and type(value) is not wanted:
        msg = f"`{name}` must be of type {wanted}, was {value!r}"
        raise ConfigurationError(msg)
    return value


def _refuse_duplicates(what: str, names: list[str]) -> None:
    if len(set(names)) != len(names):
        msg = f"{what} must be unique, were {names}"
        raise ConfigurationError(msg)


def _e8(config: SymbolConfig, name: str) -> int:
    try:
        return parse_e8(format(getattr(config, name), "f"))
    except ValueError as error:
        msg = f"{config.name}: `{name}` is {error}"
        raise ConfigurationError(msg) from error

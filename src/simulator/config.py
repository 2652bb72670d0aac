"""What a simulated exchange is made of: accounts, market source, limits, and what it trades."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from simulator.symbols import (
    DEFAULT_PERPETUALS,
    DEFAULT_SYMBOLS,
    ConfigurationError,
    Rules,
    SymbolConfig,
)

__all__ = [
    "AccountConfig",
    "ConfigurationError",
    "FuturesConfig",
    "Limits",
    "ReplayConfig",
    "SimulatorConfig",
    "load_config",
]

Section = TypeVar(
    "Section",
    "SymbolConfig",
    "AccountConfig",
    "ReplayConfig",
    "FuturesConfig",
    "Limits",
    "SimulatorConfig",
)


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One account with its single API key."""

    name: str
    api_key: str
    api_secret: str = field(repr=False)
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    #: What the futures wallet begins with.
    futures_balances: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """A recording to play instead of the synthetic market, for the symbols it contains."""

    paths: tuple[Path, ...]
    #: Which `market` of the recording drives the spot pairs, and which the perpetuals.
    market: str = "spot"
    futures_market: str = "usdm"
    speed: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class FuturesConfig:
    """What only contracts have."""

    funding_interval_s: int = 8 * 3600
    #: Of the notional, at each funding time; a seeded one within ±3 bp where it is not given.
    funding_rate: Decimal | None = None
    listen_key_validity_s: int = 3600

    def __post_init__(self) -> None:
        for name in ("funding_interval_s", "listen_key_validity_s"):
            if getattr(self, name) <= 0:
                msg = f"futures: `{name}` must be > 0, was {getattr(self, name)}"
                raise ConfigurationError(msg)
        rate = self.funding_rate
        if rate is not None and (not rate.is_finite() or abs(rate) > 1 or rate != round(rate, 8)):
            msg = f"futures: `funding_rate` must be within ±1 on 8 decimals, was {rate}"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True)
class Limits:
    """A market's own limits; the two markets count apart."""

    weight_per_minute: int = 6000
    orders_per_10s: int = 100
    open_orders_per_symbol: int = 200
    #: Requests sent in spite of 429 after which the address is banned for `ban_s`.
    ban_after_refusals: int = 20
    ban_s: int = 120
    recv_window_max_ms: int = 60_000
    #: A request may be stamped this far ahead of the exchange's clock.
    ahead_max_ms: int = 1_000


DEFAULT_ACCOUNT = AccountConfig(
    name="main",
    api_key="sim-key",
    api_secret="sim-secret",  # noqa: S106  # nosec B106  # the public demo credential
    balances={"USDT": Decimal(1_000_000)},
    futures_balances={"USDT": Decimal(100_000)},
)


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Everything `serve` needs."""

    data_dir: Path
    #: 0 takes a free port, or the one this data directory used before.
    port: int = 0
    seed: int = 1
    symbols: tuple[SymbolConfig, ...] = DEFAULT_SYMBOLS
    perpetuals: tuple[SymbolConfig, ...] = DEFAULT_PERPETUALS
    accounts: tuple[AccountConfig, ...] = (DEFAULT_ACCOUNT,)
    replay: ReplayConfig | None = None
    limits: Limits = Limits()
    futures: FuturesConfig = FuturesConfig()
    futures_limits: Limits = Limits(weight_per_minute=2400, orders_per_10s=300)
    #: Also fsync the ledger; without it a record survives kill -9 but not a power cut.
    fsync: bool = False

    def __post_init__(self) -> None:
        _refuse_duplicates("symbols", [symbol.name for symbol in self.symbols])
        _refuse_duplicates("perpetuals", [symbol.name for symbol in self.perpetuals])
        _refuse_duplicates("accounts", [account.name for account in self.accounts])
        _refuse_duplicates("api keys", [account.api_key for account in self.accounts])
        for symbol in (*self.symbols, *self.perpetuals):
            Rules.of(symbol)
        settled = {symbol.quote for symbol in self.perpetuals}
        for account in self.accounts:
            for asset in account.futures_balances.keys() - settled if settled else ():
                msg = f"{account.name}: no perpetual settles in `futures_balances` {asset}"
                raise ConfigurationError(msg)


def load_config(path: Path, *, data_dir: Path) -> SimulatorConfig:
    """Read a TOML file.

    Sections are `[[symbols]]`, `[[perpetuals]]`, `[[accounts]]`, `[replay]`, `[limits]`,
    `[futures]` and `[futures_limits]`.
    """
    try:
        document = tomllib.loads(path.read_text(), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: {error}"
        raise ConfigurationError(msg) from error
    document["data_dir"] = data_dir
    for name in ("symbols", "perpetuals"):
        if name in document:
            document[name] = tuple(_build(SymbolConfig, row) for row in document[name])
    if "accounts" in document:
        document["accounts"] = tuple(_account(row) for row in document["accounts"])
    if "replay" in document:
        replay = dict(document["replay"])
        replay["paths"] = tuple(path.parent / name for name in replay.get("paths", ()))
        document["replay"] = _build(ReplayConfig, replay)
    for name in ("limits", "futures_limits"):
        if name in document:
            document[name] = _build(Limits, document[name])
    if "futures" in document:
        document["futures"] = _build(FuturesConfig, document["futures"])
    return _build(SimulatorConfig, document)


def _account(row: Mapping[str, Any]) -> AccountConfig:
    balances = {
        name: {asset: _value(asset, Decimal, amount) for asset, amount in row[name].items()}
        for name in ("balances", "futures_balances")
        if name in row
    }
    return _build(AccountConfig, {**row, **balances})


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

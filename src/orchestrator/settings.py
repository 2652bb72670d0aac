"""Settings: command-line flags win over the environment, `.env`, the YAML file and defaults."""

from __future__ import annotations

import math
import os
import socket
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from domain.contracts import MarginMode
from domain.instrument import MarketKind
from exchanges.capabilities import Venue, record_name
from exchanges.private_files import require_private
from exchanges.venues import VENUES
from risk.reservations import PortfolioLimits


def default_data_dir() -> Path:
    """Where root's Postgres, which runs as another user, can reach it; else under the home."""
    if os.geteuid() == 0:
        return Path("/var/lib/gridkeeper")
    return Path.home() / ".local" / "share" / "gridkeeper"


SIMULATED_VENUE = "binance"
SIMULATOR_KEY = "sim-key"
SIMULATOR_KEYS = (SIMULATOR_KEY, "sim-secret")
KEYS = ("api_key", "api_secret", "api_passphrase")


class Mode(StrEnum):
    """Which exchange the orders go to."""

    SIMULATOR = "simulator"
    TESTNET = "testnet"
    LIVE = "live"


class OnShutdown(StrEnum):
    """What a graceful stop does with resting orders."""

    KEEP = "keep"
    CANCEL = "cancel"


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


def _as_written(value: object) -> object:
    return str(value) if isinstance(value, float) else value


def _default_mode(given: dict[str, Any]) -> Mode:
    return Mode.SIMULATOR if given.get("venue") == SIMULATED_VENUE else Mode.TESTNET


#: Money; YAML's numbers are read as they are written.
Amount = Annotated[Decimal, BeforeValidator(_as_written), Field(gt=0, allow_inf_nan=False)]


#: As the Host header has it, without a port.
HostName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$|^[0-9a-f:]*:[0-9a-f:.]*$", max_length=253)
]


class AccountSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Short name; part of every symbol's key.
    name: str = Field(default="sim", pattern=r"^[a-z0-9][a-z0-9_]{0,30}$")
    venue: str = "binance"
    #: What it trades: spot pairs, or perpetuals settled in quote.
    market: MarketKind = MarketKind.SPOT
    #: Of perpetuals: what a symbol is set to at the venue when it is added.
    leverage: int = Field(default=1, ge=1, le=125)
    margin_mode: MarginMode = MarginMode.CROSS
    #: Trade at a venue of which no record says what it guarantees.
    unverified: bool = False
    #: The simulator, where it speaks the venue's language, else the testnet.
    mode: Mode = Field(default_factory=_default_mode)
    #: Orders of mode live cost money; nothing but this says that they may.
    real_money: bool = False
    #: The exchange's keys, or a file that only its owner may read with one in each line.
    api_key: SecretStr = SecretStr(SIMULATOR_KEY)
    api_secret: SecretStr = SecretStr("sim-secret")
    #: For venues whose keys have one.
    api_passphrase: SecretStr = SecretStr("")
    key_file: Path | None = None
    #: The simulator's data directory, in which it writes how to reach it.
    simulator_dir: Path | None = None
    #: Signed requests older than this are refused by the venue.
    recv_window_ms: int = Field(default=2_000, ge=100, le=60_000)
    request_timeout_ms: int = Field(default=5_000, ge=100, le=60_000)
    #: Of the venue's rate limits: what all nodes together may use; the rest is for your other
    #: programs behind the same address.
    limits_percent: int = Field(default=100, ge=1, le=100)
    #: Binance's quotes through our own decoder; false goes back to ccxt's streams.
    native_quotes: bool = True

    @property
    def has_demo_keys(self) -> bool:
        """Whether the keys are the simulator's, which everybody knows."""
        return self.api_key.get_secret_value() == SIMULATOR_KEY


class ApiSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    #: Others than loopback only with TLS or behind a proxy.
    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65_535)
    #: Names under which callers reach it, beside those of loopback and `host`.
    hosts: tuple[HostName, ...] = ()
    #: Both or none: the chain and its key in PEM, the key for its owner only.
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    #: A proxy of yours takes the requests, and speaks TLS for us.
    behind_proxy: bool = False
    #: Drawn at the first start and kept in the data directory where none is given.
    token: SecretStr | None = None
    #: Whoever shows this one may look at everything and change nothing; nobody if not given.
    read_token: SecretStr | None = None


class RiskSettings(BaseModel):
    """Limits on all symbols of the account together, on whatever nodes they run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Most that all budgets of one quote asset may add up to: a number for each, or one by asset.
    max_total_budget_quote: Amount | dict[str, Amount] | None = None
    max_symbols: int | None = Field(default=None, ge=1)

    @property
    def portfolio(self) -> PortfolioLimits:
        most = self.max_total_budget_quote
        by_asset = most if isinstance(most, dict) else {}
        return PortfolioLimits(
            max_total_budget_quote=by_asset,
            max_total_budget_any_quote=None if isinstance(most, dict) else most,
            max_symbols=self.max_symbols,
        )


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="GRIDKEEPER_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
    )

    data_dir: Path = Field(default_factory=default_data_dir)
    #: A Postgres of yours; where none is given, an embedded one in the data directory.
    database_url: SecretStr | None = None
    node_name: str = Field(default_factory=socket.gethostname, max_length=100)
    #: Symbols that this node may run; all nodes are filled evenly.
    capacity: int = Field(default=500, ge=1, le=30_000)
    account: AccountSettings = AccountSettings()
    api: ApiSettings = ApiSettings()
    risk: RiskSettings = RiskSettings()
    on_shutdown: OnShutdown = OnShutdown.KEEP
    stale_after_ms: int = Field(default=10_000, ge=1_000)
    reconcile_every_s: float = Field(default=60.0, ge=1.0)
    heartbeat_s: float = Field(default=1.0, ge=0.1, le=60.0)
    #: A node that cannot renew its lease this long stops sending.
    lease_s: float = Field(default=5.0, ge=1.0, le=300.0)
    #: Largest skew between this clock and the venue's; Binance refuses what is 1 s ahead.
    clock_skew_ms: int = Field(default=1_000, ge=0)
    #: After so long without a node the venue cancels a symbol's orders, if it can; 0: never.
    dead_man_switch_s: int = Field(default=60, ge=0, le=86_400, validate_default=True)
    #: How often ticks, lots, minimums and fees are asked for; sooner after an order did not fit.
    rules_every_s: float = Field(default=900.0, ge=1, le=86_400)
    #: Finished orders, decisions and workflows are kept this long; fills and ledger for ever.
    keep_history_days: float = Field(default=30.0, gt=0)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    log_format: LogFormat = LogFormat.CONSOLE
    #: For crash tests only: the instant at which to kill this process.
    failpoint: str | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        env_file, yaml_file = settings_files()
        yaml_settings = YamlConfigSettingsSource(settings_cls, yaml_file=yaml_file)
        _require_private_keys(env_file, dotenv_settings())
        _require_private_keys(yaml_file, yaml_settings())
        return init_settings, env_settings, dotenv_settings, yaml_settings

    @field_validator("dead_man_switch_s")
    @classmethod
    def _outlasts_a_take_over(cls, value: int, given: ValidationInfo) -> int:
        """A node that dies is to be followed by another before the venue cancels anything."""
        if (
            not value
            or not {"account", "heartbeat_s", "lease_s", "clock_skew_ms"} <= given.data.keys()
        ):
            return value  # what is wrong with the others is told by itself
        before = cls.model_construct(**given.data)
        least_s = math.ceil(2 * (before.dead_after_s + before.heartbeat_s))
        if value < least_s and before.venue and before.venue.countdown_s(value, 0):
            raise PydanticCustomError(
                "too_short",
                "must be 0 or at least {least_s}, twice what a take-over may take",
                {"least_s": least_s},
            )
        return value

    @property
    def venue(self) -> Venue | None:
        """The record of the account's venue, if there is one."""
        return VENUES.get(record_name(self.account.venue, self.account.market))

    def countdown_s(self, *, symbols: int) -> int:
        """What is asked of the dead-man switch of each of so many symbols of the account."""
        if self.venue is None:
            return 0
        alike = symbols * 100 / self.account.limits_percent
        return self.venue.countdown_s(self.dead_man_switch_s, alike)

    @property
    def simulator_dir(self) -> Path:
        return self.account.simulator_dir or self.data_dir / "simulator"

    @property
    def dead_after_s(self) -> float:
        """When a silent node can no longer have anything under way at the venue."""
        account = self.account
        venue = self.venue
        expiry_ms = venue.request_expiry_ms(account.recv_window_ms) if venue else None
        # Where nothing expires, waiting proves nothing: a stray is cancelled on sight.
        return self.lease_s + ((expiry_ms or account.recv_window_ms) + self.clock_skew_ms) / 1000


def settings_files() -> tuple[Path, Path]:
    """Where `.env` and the YAML file are, if they are there."""
    return Path(".env"), Path(os.environ.get("GRIDKEEPER_CONFIG", "gridkeeper.yaml"))


def _require_private_keys(path: Path, given: dict[str, Any]) -> None:
    """Refuse a file that holds an exchange's keys for others to read."""
    account = given.get("account")
    secrets = {account.get(name) for name in KEYS} if isinstance(account, dict) else set()
    if secrets <= {None, "", *SIMULATOR_KEYS} or not path.exists():
        return
    require_private(
        path, field=path.name, or_else="give the keys by the environment or account.key_file"
    )


def load_settings(**flags: Any) -> Settings:
    """Settings with the given flags on top; flags that are `None` were not given."""
    return Settings(**{name: value for name, value in flags.items() if value is not None})

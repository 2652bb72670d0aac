"""Which account at which venue, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from domain.contracts import MarginMode
from domain.errors import ConfigurationError
from domain.instrument import MarketKind
from exchanges.private_files import require_private


class Mode(StrEnum):
    """Which exchange answers."""

    SIMULATOR = "simulator"
    TESTNET = "testnet"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One account; its keys are part of no text that is shown, logged or stored."""

    name: str
    venue: str = "binance"
    #: What it trades: an account trades one kind of market.
    market: MarketKind = MarketKind.SPOT
    #: Of contracts: what each symbol is set to when it is added.
    leverage: int = 1
    margin_mode: MarginMode = MarginMode.CROSS
    mode: Mode
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    #: For venues whose keys have one.
    api_passphrase: str = field(default="", repr=False)
    #: Trade at a venue of which no record says what it guarantees.
    unverified: bool = False
    #: Where a running simulator says how to reach it.
    simulator_file: Path | None = None
    #: Signed requests older than this are refused by the venue.
    recv_window_ms: int = 2_000
    timeout_ms: int = 5_000
    #: Of the venue's rate limits: what we may use, all nodes together.
    limits_percent: int = 100
    #: Largest skew between our clock and the venue's that proofs of absence allow for.
    clock_skew_ms: int = 500
    #: A stream without any message for this long counts as lost.
    stream_silence_ms: int = 5_000
    #: Our own decoder for the quotes of venues it knows; otherwise ccxt's streams.
    native_quotes: bool = True
    #: Trades or orders asked for in one request.
    trades_page: int = 1_000

    def __post_init__(self) -> None:
        if self.mode is Mode.SIMULATOR and self.simulator_file is None:
            raise ConfigurationError(
                field="simulator_file",
                rule="must be given in simulator mode",
                value=None,
                remedy="name the simulator's data directory",
            )

    @classmethod
    def load(
        cls,
        *,
        name: str,
        venue: str,
        mode: str,
        api_key: str,
        api_secret: str,
        api_passphrase: str = "",
        unverified: bool = False,
        key_file: Path | None,
        simulator_file: Path | None,
        recv_window_ms: int,
        timeout_ms: int,
        clock_skew_ms: int,
        limits_percent: int = 100,
        native_quotes: bool = True,
        market: MarketKind = MarketKind.SPOT,
        leverage: int = 1,
        margin_mode: MarginMode = MarginMode.CROSS,
    ) -> Self:
        """From settings; a key file wins over keys given beside it.

        Raises
        ------
        ConfigurationError
            If the mode is unknown, or the key file is malformed or readable by others.
        """
        if key_file is not None:
            api_key, api_secret, api_passphrase = _read_keys(key_file)
        if mode not in set(Mode):
            raise ConfigurationError(
                field="mode",
                rule=f"must be one of {', '.join(Mode)}",
                value=mode,
                remedy="start with simulator",
            )
        return cls(
            name=name,
            venue=venue,
            market=market,
            leverage=leverage,
            margin_mode=margin_mode,
            mode=Mode(mode),
            api_key=api_key,
            api_secret=api_secret,
            api_passphrase=api_passphrase,
            unverified=unverified,
            simulator_file=simulator_file,
            recv_window_ms=recv_window_ms,
            timeout_ms=timeout_ms,
            clock_skew_ms=clock_skew_ms,
            limits_percent=limits_percent,
            native_quotes=native_quotes,
        )


def _read_keys(path: Path) -> tuple[str, str, str]:
    """Key, secret and passphrase, one a line; the error never quotes what the file holds."""
    try:
        require_private(path, field="key_file")
        lines = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            field="key_file",
            rule="must be a readable text file",
            value=path,
            remedy="write key and secret into it, one a line",
        ) from error
    if len(lines) not in {2, 3}:
        raise ConfigurationError(
            field="key_file",
            rule="must hold a line each for key, secret and, where the venue has it, passphrase",
            value=f"{path} with {len(lines)}",
            remedy="write key and secret into it, one a line",
        )
    key, secret, *passphrase = lines
    return key, secret, "".join(passphrase)

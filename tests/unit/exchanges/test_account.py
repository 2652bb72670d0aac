"""An account's configuration: refused early, and silent about its keys."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ConfigurationError
from exchanges.account import AccountConfig
from exchanges.connection import SimulatorResolver
from exchanges.venues import venue_of

SETTINGS: dict[str, Any] = {
    "name": "sim",
    "venue": "binance",
    "mode": "simulator",
    "api_key": "planted-key",
    "api_secret": "planted-secret",
    "key_file": None,
    "simulator_file": Path("simulator.json"),
    "recv_window_ms": 2_000,
    "timeout_ms": 5_000,
    "clock_skew_ms": 500,
}


def write_keys(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_account_shows_neither_key_nor_secret() -> None:
    assert "planted" not in repr(AccountConfig.load(**SETTINGS))


def test_key_file_wins(tmp_path: Path) -> None:
    key_file = write_keys(tmp_path / "keys", "file-key\nfile-secret\n")
    account = AccountConfig.load(**{**SETTINGS, "key_file": key_file})
    assert (account.api_key, account.api_secret) == ("file-key", "file-secret")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        pytest.param("planted-key\nplanted-secret\n", 0o640, id="open-to-group"),
        pytest.param("planted-key\n", 0o600, id="one-line"),
        pytest.param("", 0o600, id="empty"),
    ],
)
def test_bad_key_file_is_refused_without_quoting_it(tmp_path: Path, text: str, mode: int) -> None:
    key_file = write_keys(tmp_path / "keys", text, mode)
    with pytest.raises(ConfigurationError) as refused:
        AccountConfig.load(**{**SETTINGS, "key_file": key_file})
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"mode": "paper"}, id="mode"),
        pytest.param({"simulator_file": None}, id="no-simulator"),
        pytest.param({"key_file": Path("/nowhere/keys")}, id="no-key-file"),
    ],
)
def test_bad_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AccountConfig.load(**{**SETTINGS, **wrong})


def test_unknown_venue_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="binance"):
        venue_of(AccountConfig.load(**{**SETTINGS, "venue": "nowhere"}))


async def test_simulator_resolver_leads_only_the_venues_hosts_to_the_simulator() -> None:
    resolver = SimulatorResolver("127.0.0.1", 4_711, (".binance.com",))
    (found,) = await resolver.resolve("api.binance.com", 443, socket.AF_INET)
    assert (found["host"], found["port"]) == ("127.0.0.1", 4_711)
    for other in ("example.com", "binance.com.example.com", "localhost"):
        with pytest.raises(OSError, match="no host of the simulated venue"):
            await resolver.resolve(other, 443)


def test_key_file_may_hold_a_passphrase(tmp_path: Path) -> None:
    key_file = write_keys(tmp_path / "keys", "file-key\nfile-secret\nfile-phrase\n")
    account = AccountConfig.load(**{**SETTINGS, "key_file": key_file})
    assert (account.api_secret, account.api_passphrase) == ("file-secret", "file-phrase")
    assert "file-" not in repr(account)

"""Settings read again: taken up whole, or refused whole with the names of what must stay."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from cli.context import load
from cli.session import Session
from orchestrator.reload import RELOADABLE, Reload, from_the_same_files, read_again, with_keys_of
from orchestrator.settings import OnShutdown, Settings, load_settings

BEFORE = "log_level: info\nrisk: {max_symbols: 3}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings that the node started with."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "gridkeeper.yaml"
    monkeypatch.setenv("GRIDKEEPER_CONFIG", str(file))
    file.write_text(BEFORE)
    return file


def reload(file: Path, text: str, **flags: object) -> tuple[Settings, Settings, Reload]:
    """The settings before and after, and what came of it."""
    before = load(Session(), **flags)
    file.write_text(text)
    after, reloaded = read_again(before, lambda: load(Session(), **flags))
    return before, after, reloaded


def test_what_may_change_is_taken_up_and_named(file: Path) -> None:
    file.chmod(0o600)
    _, after, reloaded = reload(
        file,
        "log_level: debug\nkeep_history_days: 3\non_shutdown: cancel\nlog_format: json\n"
        "risk: {max_total_budget_quote: {USDT: 500}}\n"
        "account: {api_key: new, api_secret: fresh, api_passphrase: other, key_file: keys}\n",
    )
    assert set(reloaded.changed) == RELOADABLE
    assert reloaded.refused == ""
    assert (after.log_level, after.on_shutdown) == ("debug", OnShutdown.CANCEL)
    assert after.risk.portfolio.budget_max("USDT") == Decimal(500)
    assert after.risk.max_symbols is None


def test_nothing_new_changes_nothing(file: Path) -> None:
    before, after, reloaded = reload(file, BEFORE)
    assert after == before
    assert (reloaded.changed, reloaded.refused) == ((), "")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("lease_s: 9\n", ["lease_s"], id="lease"),
        pytest.param("account: {name: other}\n", ["account.name"], id="account"),
        pytest.param("account: {leverage: 2}\n", ["account.leverage"], id="leverage"),
        pytest.param(
            "api: {port: 9}\ncapacity: 7\n", ["api.port", "capacity"], id="several at once"
        ),
    ],
)
def test_what_must_stay_refuses_everything_by_name(file: Path, text: str, names: list[str]) -> None:
    file.chmod(0o600)
    before, after, reloaded = reload(file, f"log_level: debug\nrisk: {{max_symbols: 3}}\n{text}")
    assert after is before
    assert reloaded.changed == ()
    assert f"`{', '.join(names)}` must stay" in reloaded.refused
    assert "new" not in reloaded.refused


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("log_level: [\n", id="no yaml"),
        pytest.param("log_level: loud\n", id="no level"),
        pytest.param("risk: {max_symbols: 0}\n", id="value"),
        pytest.param("loglevel: debug\n", id="unknown name"),
        pytest.param("\x00", id="bytes"),
    ],
)
def test_invalid_file_changes_nothing_and_says_why(file: Path, text: str) -> None:
    before, after, reloaded = reload(file, text)
    assert after is before
    assert reloaded.refused


def test_file_that_is_away_takes_no_limit_with_it(file: Path) -> None:
    before, read = load_settings(), from_the_same_files(lambda: load(Session()))
    file.rename(file.with_suffix(".old"))
    after, reloaded = read_again(before, read)
    assert after is before
    assert "must be there" in reloaded.refused
    file.with_suffix(".old").rename(file)
    assert read_again(before, read)[1].refused == ""


def test_flag_of_the_start_still_wins(file: Path) -> None:
    _, after, reloaded = reload(file, BEFORE.replace("info", "debug"), on_shutdown="cancel")
    assert reloaded.changed == ("log_level",)
    assert after.on_shutdown is OnShutdown.CANCEL


def test_what_may_change_are_settings() -> None:
    names = {name for name in RELOADABLE if "." not in name}
    assert names <= Settings.model_fields.keys()


def test_keys_alone_are_taken_of_settings_read_again(file: Path) -> None:
    before = load_settings()
    file.write_text("log_level: debug\naccount: {name: other, api_key: new, api_secret: fresh}\n")
    file.chmod(0o600)
    after = with_keys_of(before, load_settings())
    assert after.account.api_key.get_secret_value() == "new"
    assert (after.account.name, after.log_level) == (before.account.name, before.log_level)

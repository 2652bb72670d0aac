"""The account's settings: careful where nothing is said, and no keys that others can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.errors import ConfigurationError
from orchestrator.bootstrap import open_exchange
from orchestrator.settings import AccountSettings, Mode, Settings, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to start in, with no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRIDKEEPER_CONFIG", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        pytest.param({}, Mode.SIMULATOR, id="nothing"),
        pytest.param({"venue": "binance"}, Mode.SIMULATOR, id="binance"),
        pytest.param({"venue": "okx"}, Mode.TESTNET, id="another-venue"),
        pytest.param({"venue": "okx", "mode": "live"}, Mode.LIVE, id="as-said"),
    ],
)
def test_mode_without_a_word_is_never_live(given: dict[str, str], mode: Mode) -> None:
    assert AccountSettings.model_validate(given).mode is mode


def test_flag_wins_over_environment_and_file(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "gridkeeper.yaml").write_text("account: {venue: okx, name: main}\n")
    monkeypatch.setenv("GRIDKEEPER_ACCOUNT__VENUE", "bybit")
    account = load_settings(account={"unverified": True}).account
    assert (account.venue, account.name, account.unverified) == ("bybit", "main", True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gridkeeper.yaml", "account: {api_key: planted, api_secret: planted}\n"),
        (".env", "GRIDKEEPER_ACCOUNT__API_SECRET=planted\n"),
    ],
)
def test_keys_in_a_file_that_others_read_are_refused(elsewhere: Path, name: str, text: str) -> None:
    file = elsewhere / name
    file.write_text(text)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600") as refused:
        Settings()
    assert "planted" not in str(refused.value)
    file.chmod(0o600)
    assert Settings().account.api_secret.get_secret_value() == "planted"


def test_simulators_keys_are_no_secret(elsewhere: Path) -> None:
    (elsewhere / "gridkeeper.yaml").write_text("account: {api_key: sim-key}\n")
    (elsewhere / "gridkeeper.yaml").chmod(0o644)
    assert Settings().account.has_demo_keys


def test_takeover_waits_as_long_as_the_venue_takes_late_requests() -> None:
    binance, kraken = (
        load_settings(account={"venue": venue}).dead_after_s for venue in ("binance", "kraken")
    )
    assert (binance, kraken) == (8.0, 11.0)


@pytest.mark.parametrize(
    ("account", "field"),
    [
        pytest.param({"mode": "live", "api_key": "mine"}, "account.real_money", id="live-unasked"),
        pytest.param({"mode": "live", "real_money": True}, "account.api_key", id="demo-keys"),
        pytest.param({"venue": "kraken", "api_key": "mine"}, "account.mode", id="no-sandbox"),
        pytest.param({"venue": "mexc", "api_key": "mine"}, "account.venue", id="no-record"),
    ],
)
async def test_exchange_that_may_not_be_traded_on_is_not_opened(
    account: dict[str, object], field: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_exchange(load_settings(account=account))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        pytest.param({}, True, id="default"),
        pytest.param({"dead_man_switch_s": 0}, True, id="off"),
        pytest.param({"dead_man_switch_s": 18}, True, id="twice a take-over"),
        pytest.param({"dead_man_switch_s": 17}, False, id="shorter"),
        pytest.param({"lease_s": 30}, False, id="a long lease"),
        pytest.param({"heartbeat_s": 30}, False, id="a slow heartbeat"),
    ],
)
def test_dead_man_switch_must_outlast_a_take_over(given: dict[str, float], is_taken: bool) -> None:
    if is_taken:
        load_settings(account={"market": "linear"}, **given)
        return
    with pytest.raises(ValidationError, match="must be 0 or at least") as refused:
        load_settings(account={"market": "linear"}, **given)
    assert refused.value.errors()[0]["loc"] == ("dead_man_switch_s",)
    load_settings(**given)  # of a venue that has no switch there is nothing to refuse

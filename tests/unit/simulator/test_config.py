"""Configuration: read whole and exactly, or refused with the field and its value."""

from decimal import Decimal
from pathlib import Path

import pytest

from simulator.config import ConfigurationError, load_config
from simulator.symbols import DEFAULT_SYMBOLS, Rules

WHOLE = """
port = 1234
seed = 9
[[symbols]]
name = "ABCUSDT"
base = "ABC"
quote = "USDT"
tick_size = 0.001
step_size = "0.01"
start_price = 1.5
maker_fee = 0
[[accounts]]
name = "a"
api_key = "k"
api_secret = "s"
balances = { USDT = 100.5 }
futures_balances = { USDT = 7 }
[replay]
paths = ["recorded"]
speed = 2
[limits]
orders_per_10s = 7
[[perpetuals]]
name = "ABCUSDT"
base = "ABC"
quote = "USDT"
tick_size = 0.01
step_size = 1
start_price = 1.5
market_max_quantity = 9
[futures]
funding_interval_s = 60
funding_rate = "-0.0001"
[futures_limits]
weight_per_minute = 5
"""
SYMBOL = """
[[symbols]]
name = "ABCUSDT"
base = "ABC"
quote = "USDT"
start_price = 1
"""


def test_load_config_reads_every_section(tmp_path: Path) -> None:
    path = tmp_path / "simulator.toml"
    path.write_text(WHOLE)

    config = load_config(path, data_dir=tmp_path)

    (symbol,) = config.symbols
    assert (symbol.tick_size, symbol.maker_fee) == (Decimal("0.001"), Decimal(0))
    assert config.accounts[0].balances == {"USDT": Decimal("100.5")}
    assert config.replay is not None
    assert config.replay.paths == (tmp_path / "recorded",)
    assert (config.port, config.limits.orders_per_10s) == (1234, 7)
    (perpetual,) = config.perpetuals
    assert perpetual.market_max_quantity == 9
    assert config.accounts[0].futures_balances == {"USDT": Decimal(7)}
    assert (config.futures.funding_interval_s, config.futures.funding_rate) == (
        60,
        Decimal("-0.0001"),
    )
    assert config.futures_limits.weight_per_minute == 5
    assert "s" not in repr(config.accounts[0]).split("api_secret")[1:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("colour = 1", "unknown keys", id="unknown-key"),
        pytest.param('port = "x"', "`port` must be of type", id="wrong-type"),
        pytest.param("port =", "Invalid value", id="not-toml"),
        pytest.param("[[symbols]]\nname = 'A'", "missing", id="missing-keys"),
        pytest.param(
            f"{SYMBOL}tick_size = 0\nstep_size = 1", "`tick_e8` must be > 0", id="no-tick"
        ),
        pytest.param(
            f"{SYMBOL}tick_size = 0.00001\nstep_size = 0.0001", "whole number", id="too-fine"
        ),
        pytest.param(
            f"{SYMBOL}tick_size = 0.3\nstep_size = 1", "`start_price` must be", id="off-tick"
        ),
        pytest.param(f"{SYMBOL}tick_size = 1\nstep_size = 'NaN'", "not a plain decimal", id="nan"),
        pytest.param(
            f"{SYMBOL}tick_size = 1\nstep_size = 1{SYMBOL}tick_size = 1\nstep_size = 1",
            "must be unique",
            id="symbol-twice",
        ),
        pytest.param(
            "[futures]\nfunding_interval_s = 0",
            "`funding_interval_s` must be > 0",
            id="no-interval",
        ),
        pytest.param("[futures]\nfunding_rate = 0.000000001", "8 decimals", id="rate-too-precise"),
        pytest.param(
            "[[accounts]]\nname = 'a'\napi_key = 'k'\napi_secret = 's'\n"
            "futures_balances = { BTC = 1 }",
            "no perpetual settles",
            id="wallet-of-no-contract",
        ),
    ],
)
def test_load_config_refuses_what_cannot_work(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "simulator.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_config(path, data_dir=tmp_path)


def test_rules_amended_by_unknown_filter_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown filters"):
        Rules.of(DEFAULT_SYMBOLS[0]).amended({"colour": "1"})

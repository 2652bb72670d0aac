"""A grid looked at on a simulated exchange in its own process, without node and database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from cli.exits import Exit
from support.command_line import CommandLine
from support.sample_history import write_sample_history

pytestmark = pytest.mark.timeout(90)

GRID = (
    *("--step-bp", "30", "--buy-window", "3", "--sell-window", "3"),
    *("--order-quote", "50", "--budget", "1000"),
)
HELD = ("--base-inventory", "1")
STOP_WAIT_S = 20.0


@pytest.fixture
def simulator(gridkeeper: CommandLine, tmp_path: Path) -> Iterator[Path]:
    """A simulated exchange on the command line's data directory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "sim", "--symbol", "BTC/USDT", "--fee-bp", "10"],
        cwd=tmp_path,
        env=os.environ | {"GRIDKEEPER_DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert b"exchange" in process.stdout.readline()
    yield tmp_path
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=STOP_WAIT_S)


@pytest.mark.usefixtures("simulator")
def test_check_on_a_running_exchange_shows_the_ladder_and_leaves_no_trace(
    gridkeeper: CommandLine, tmp_path: Path
) -> None:
    answer = gridkeeper.json("symbol", "check", "BTC/USDT", *GRID)
    assert answer["maker_fee"] == "0.001"
    prices = [Decimal(order["price"]) for order in answer["orders"]]
    assert prices == sorted(prices, reverse=True)
    assert prices[-1] == Decimal(answer["check"]["lowest_buy"])
    shown = gridkeeper("symbol", "check", "BTC/USDT", *GRID, "--mode", "neutral", *HELD)
    assert "then sell at" in shown
    assert "then buy back at" in shown
    assert not (tmp_path / "postgres").exists()


@pytest.mark.usefixtures("simulator")
def test_check_refused_on_a_running_exchange_names_the_flag_and_the_least_step(
    gridkeeper: CommandLine,
) -> None:
    said = gridkeeper("symbol", "check", "BTC/USDT", *GRID, "--step-bp", "5", code=Exit.REFUSED)
    assert said.startswith("`--step-bp` must earn more than the maker fees")
    assert "was 5 bp; use 20.0" in said


def test_check_without_an_exchange_says_so(gridkeeper: CommandLine) -> None:
    answer = gridkeeper.json("symbol", "check", "BTC/USDT", *GRID, code=Exit.EXCHANGE_UNAVAILABLE)
    assert answer["error"]["kind"] == "TransientVenueError"


def test_show_draws_the_ladder_of_what_rests_and_what_is_held(
    gridkeeper: CommandLine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", postgres_dsn)
    write_sample_history(postgres_dsn)
    shown = gridkeeper("symbol", "show", "BTC/USDT")
    assert "slot -2, holds 0.0009999" in shown
    assert gridkeeper.json("symbol", "show", "BTC/USDT")["mode"] == "long"
    assert " long " in gridkeeper("symbol", "list")

"""A file of symbols compared with a small history, and applied where no node runs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

import cli.config_file
from cli.exits import Exit
from support.command_line import CommandLine
from support.fake_exchange import BTC, FakeExchange
from support.sample_history import write_sample_history

GRID = """
    spacing: {kind: arithmetic, step: 50}
    range: {kind: window, buy_window: 3, sell_window: 3}
    order_size: {kind: quote, amount: 60}
    budget_quote: %s
"""


@pytest.fixture
def sample(
    gridkeeper: CommandLine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """BTC/USDT is traded, ETH/USDT was removed."""
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", postgres_dsn)
    write_sample_history(postgres_dsn)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("INSERT INTO installation (id, nonce) VALUES (1, 7)")
    return gridkeeper


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> FakeExchange:
    exchange = FakeExchange(instrument=replace(BTC, symbol="ETH/USDT", base="ETH"))
    exchange.set_price("2000.00", "2000.01", 0)
    exchange.balances = {"USDT": Decimal(100_000)}
    monkeypatch.setattr(cli.config_file, "open_exchange", lambda settings: exchange)
    return exchange


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "symbols.yaml"


def declare(file: Path, **budgets: str) -> str:
    grids = "".join(f"  {base}/USDT:{GRID % budget}" for base, budget in budgets.items())
    file.write_text(f"symbols:\n{grids}" if budgets else "symbols: {}\n")
    return str(file)


def test_diff_of_what_is_traded_is_none(sample: CommandLine, file: Path) -> None:
    declare(file)
    answer = sample.json("config", "diff", "-f", str(file))
    assert [each["action"] for each in answer["symbols"]] == ["undeclared"]
    assert answer["differs"] is False
    assert "1 undeclared" in sample("config", "diff", "-f", str(file))


@pytest.mark.usefixtures("exchange")
def test_diff_shows_what_apply_would_do(sample: CommandLine, file: Path) -> None:
    name = declare(file, BTC="2000", ETH="500")
    answer = sample.json("config", "diff", "-f", name, code=Exit.FAILED)
    assert answer["exit_code"] == Exit.FAILED
    update, add = answer["symbols"]
    assert (update["symbol"], update["action"], update["version"]) == ("BTC/USDT", "update", 1)
    assert update["changes"]["budget_quote"] == {"before": "1000", "after": "2000"}
    assert {"go", "come", "stay", "now", "then"} <= update["preview"].keys()
    assert (add["symbol"], add["action"], add["problem"]) == ("ETH/USDT", "add", None)
    assert add["check"]["slots"] == 3
    said = sample("config", "diff", "-f", name, code=Exit.FAILED)
    assert "1 to update, 1 to add" in said
    assert "orders go" in said
    assert asked(sample) == []


def test_diff_goes_on_without_an_exchange_and_apply_does_not(
    sample: CommandLine, file: Path
) -> None:
    name = declare(file, ETH="500")
    said = sample("config", "diff", "-f", name, code=Exit.FAILED)
    assert "the exchange is away" in said
    sample("config", "apply", "-f", name, "--yes", code=Exit.EXCHANGE_UNAVAILABLE)
    assert asked(sample) == []


@pytest.mark.usefixtures("exchange")
def test_apply_of_anything_refused_does_nothing(sample: CommandLine, file: Path) -> None:
    name = declare(file, BTC="2000", ETH="10")
    answer = sample.json("config", "apply", "-f", name, "--yes", code=Exit.REFUSED)
    assert "must pay for one order" in answer["error"]["message"]
    assert "nothing was done" in sample("config", "apply", "-f", name, "-y", code=Exit.REFUSED)
    assert asked(sample) == []


@pytest.mark.usefixtures("exchange")
def test_apply_twice_asks_once(sample: CommandLine, file: Path) -> None:
    name = declare(file, BTC="2000", ETH="500")
    first, second = (sample.json("config", "apply", "-f", name, "--yes") for _ in range(2))
    assert first == second
    assert [each["action"] for each in first["changes"]] == ["update", "add"]
    assert [each["status"] for each in first["changes"]] == ["ENQUEUED", "ENQUEUED"]
    assert first["node_runs"] is False
    assert len(asked(sample)) == 2


def test_apply_asks_before_it_does_anything_and_again_before_it_removes(
    sample: CommandLine, file: Path
) -> None:
    for arguments, flag in (
        (["-f", declare(file, BTC="2000")], "--yes"),
        (["-f", declare(file), "--prune", "--yes"], "--yes-prune"),
    ):
        declare(file, **({"BTC": "2000"} if flag == "--yes" else {}))
        answer = sample.json("config", "apply", *arguments, code=Exit.INVALID)
        assert answer["error"]["field"] == flag
    assert asked(sample) == []
    done = sample.json("config", "apply", "-f", str(file), "--prune", "--yes-prune")
    assert [(each["symbol"], each["action"]) for each in done["changes"]] == [
        ("BTC/USDT", "remove")
    ]


def test_apply_of_what_is_so_already_does_nothing(sample: CommandLine, file: Path) -> None:
    assert sample.json("config", "apply", "-f", declare(file))["changes"] == []
    assert "nothing to do" in sample("config", "apply", "-f", str(file))


def asked(command: CommandLine) -> list[str]:
    """Requests made from a file."""
    known = [each["workflow_id"] for each in command.json("workflow", "list")]
    return [each for each in known if ":file-" in each]

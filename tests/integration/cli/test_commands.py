"""Every command that needs only the database, on a small history."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from cli.asking import KEPT
from cli.exits import Exit
from support.command_line import CommandLine
from support.sample_history import CANCELLED, EXIT, FAILED_PLAN, PLAN, write_sample_history

GRID = (
    *("--step-bp", "5", "--buy-window", "3", "--sell-window", "3"),
    *("--order-quote", "50", "--budget", "1000"),
)


@pytest.fixture
def command(
    gridkeeper: CommandLine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", postgres_dsn)
    return gridkeeper


@pytest.fixture
def sample(command: CommandLine, postgres_dsn: str) -> CommandLine:
    write_sample_history(postgres_dsn)
    return command


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["symbol", "list"], "BTC/USDT", id="symbols"),
        pytest.param(["symbol", "list", "--all"], "ETH/USDT", id="removed symbols"),
        pytest.param(["symbol", "show", "BTC/USDT"], "arithmetic", id="symbol"),
        pytest.param(["order", "list"], "61750", id="live orders"),
        pytest.param(["order", "list", "--all"], CANCELLED, id="all orders"),
        pytest.param(["order", "show", EXIT], "exit of held inventory", id="order"),
        pytest.param(["order", "why", "9004"], "Why: exit of held inventory.", id="why"),
        pytest.param(["fill", "list", "BTC/USDT"], "0.0000001", id="fills"),
        pytest.param(["position", "show", "BTC/USDT"], "61706.17061706", id="position"),
        pytest.param(["account", "show"], "BTC/USDT 1000", id="account"),
        pytest.param(["pnl"], "0.037645", id="profit"),
        pytest.param(["workflow", "list", "--failed"], FAILED_PLAN, id="failed workflows"),
        pytest.param(["workflow", "show", PLAN], "submit", id="workflow"),
    ],
)
def test_read_command_shows_the_sample(
    sample: CommandLine, arguments: list[str], expected: str
) -> None:
    assert expected in sample(*arguments)
    assert sample.json(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["symbol", "show", "XRP/USDT"], id="symbol"),
        pytest.param(["order", "show", "nobody"], id="order"),
        pytest.param(["order", "why", "nobody"], id="why"),
        pytest.param(["workflow", "show", "nobody"], id="workflow"),
        pytest.param(["symbol", "pause", "btc"], id="malformed symbol"),
        pytest.param(["rearm", "--reason", " "], id="empty reason"),
        pytest.param(["symbol", "add", "BTC/USDT", "--step", "0"], id="incomplete grid"),
        pytest.param(["symbol", "add", "BTC/USDT", *GRID, "--request-id", "a b"], id="request id"),
    ],
)
def test_command_about_nothing_known_names_the_remedy(
    sample: CommandLine, arguments: list[str]
) -> None:
    answer = sample.json(*arguments, code=Exit.INVALID)
    assert answer["error"]["remedy"]
    assert answer["exit_code"] == Exit.INVALID


def test_order_json_has_exact_strings_and_utc_times(sample: CommandLine) -> None:
    (order,) = sample.json("order", "list", "BTC/USDT")
    assert order["price"] == "61750"
    assert order["quantity"] == "0.001"
    assert order["intended_at"].endswith("Z")


def test_request_without_a_node_is_kept_and_says_so(command: CommandLine) -> None:
    said = command("symbol", "add", "BTC/USDT", *GRID, "--request-id", "mine")
    assert KEPT in said
    assert "add:sim-BTC-USDT:mine: enqueued" in said
    (workflow,) = command.json("workflow", "list", "--symbol", "BTC/USDT")
    assert (workflow["workflow_id"], workflow["status"]) == ("add:sim-BTC-USDT:mine", "ENQUEUED")


def test_request_asked_twice_is_one_request(command: CommandLine) -> None:
    for _ in range(2):
        command("symbol", "add", "BTC/USDT", *GRID, "--request-id", "mine")
    assert len(command.json("workflow", "list")) == 1


def test_request_waited_for_in_vain_ends_as_pending(command: CommandLine) -> None:
    answer = command.json(
        *("symbol", "pause", "BTC/USDT", "--wait", "--timeout", "0.2"), code=Exit.PENDING
    )
    assert answer["status"] == "ENQUEUED"
    assert answer["node_runs"] is False


def test_reconcile_is_a_request_that_shows_the_findings(sample: CommandLine) -> None:
    answer = sample.json("position", "reconcile", "BTC/USDT", "--request-id", "r1")
    assert answer["workflow_id"] == "reconcile:sim-BTC-USDT:r1"
    assert [finding["kind"] for finding in answer["findings"]] == ["external_trade"]
    assert answer["reconciled_at"].endswith("Z")


@pytest.mark.parametrize("verb", ["pause", "resume", "remove"])
def test_change_of_a_symbol_is_kept_under_its_verb(command: CommandLine, verb: str) -> None:
    answer = command.json("symbol", verb, "BTC/USDT", "--request-id", "r1")
    assert answer["workflow_id"] == f"{verb}:sim-BTC-USDT:r1"


def test_kill_engages_at_once_even_without_a_node(command: CommandLine, postgres_dsn: str) -> None:
    command("kill", "--reason", "drill")
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute("SELECT engaged, reason FROM kill_switch").fetchall()
    assert found == [(True, "drill")]


def test_add_from_a_file_asks_for_the_same_grid(command: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "spacing: {kind: geometric, ratio: 1.0005}\n"
        "range: {kind: window, buy_window: 3, sell_window: 3}\n"
        "order_size: {kind: quote, amount: 50}\nbudget_quote: 1000\n"
    )
    for name, options in (("file", ("--file", str(file))), ("options", GRID)):
        command("symbol", "add", "BTC/USDT", *options, "--request-id", name)
    asked = [
        command.json("workflow", "show", f"add:sim-BTC-USDT:{name}")["input"]["positionalArgs"]
        for name in ("file", "options")
    ]
    assert asked[0] == asked[1]
    assert asked[0][0]["spec"]["spacing"]["ratio"] == "1.0005"


def test_db_dsn_prints_the_address(command: CommandLine, postgres_dsn: str) -> None:
    assert command("db", "dsn").strip() == postgres_dsn


def test_db_migrate_goes_down_and_up(command: CommandLine) -> None:
    down = command.json("db", "migrate", "--to", "base")
    assert down["now"] is None
    up = command.json("db", "migrate")
    assert up["now"] == up["newest"]


def test_db_psql_answers_with_the_password_outside_its_arguments(
    command: CommandLine, tmp_path: Path, postgres_dsn: str
) -> None:
    answer = tmp_path / "answer"
    command("db", "psql", "-At", "-o", str(answer), "-c", "SELECT current_database()")
    assert answer.read_text().strip() == urlsplit(postgres_dsn).path[1:]
    command("db", "psql", "-c", "nonsense", code=Exit.FAILED)


def test_unreachable_database_ends_with_its_code(
    gridkeeper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/none")
    answer = gridkeeper.json("symbol", "list", code=Exit.DATABASE_UNAVAILABLE)
    assert answer["error"]["kind"] == "StoreUnavailable"
    assert "hunter2" not in json.dumps(answer)


def test_doctor_names_what_is_missing_with_remedies(command: CommandLine) -> None:
    answer = command.json("doctor", code=Exit.FAILED)
    by_name = {check["name"]: check for check in answer["checks"]}
    assert by_name["database"]["ok"]
    assert by_name["schema"]["ok"]
    assert not by_name["exchange"]["ok"]
    assert "gridkeeper sim" in by_name["exchange"]["remedy"]


def test_doctor_says_why_the_api_would_not_be_served(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDKEEPER_API__HOST", "192.0.2.1")
    answer = command.json("doctor", code=Exit.FAILED)
    (check,) = [check for check in answer["checks"] if check["name"] == "API port"]
    assert "must be a loopback address where there is no TLS: 192.0.2.1" in check["value"]
    assert "api.tls_certificate" in check["remedy"]


def test_doctor_sees_an_engaged_kill_switch_and_an_old_schema(command: CommandLine) -> None:
    command("kill", "--reason", "drill")
    assert "engaged" in command("doctor", code=Exit.FAILED)
    command("db", "migrate", "--to", "base")
    assert "gridkeeper db migrate" in command("doctor", code=Exit.FAILED)

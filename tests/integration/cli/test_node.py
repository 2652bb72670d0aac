"""`gridkeeper node` as operators use it beside running nodes, which here are rows only."""

from __future__ import annotations

import socket

import psycopg
import pytest

from cli.exits import Exit
from orchestrator.takeover import this_process
from support.command_line import CommandLine


@pytest.fixture
def command(
    gridkeeper: CommandLine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command line, and a node that runs nothing."""
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", postgres_dsn)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO nodes (executor_id, name, host, boot_id, pid, pid_started)"
            " VALUES ('one-1', 'one', 'here', 'b', 1, 1)"
        )
    return gridkeeper


def test_node_without_a_database_of_several_nodes_is_refused(gridkeeper: CommandLine) -> None:
    said = gridkeeper("node", code=Exit.INVALID)
    assert "GRIDKEEPER_DATABASE_URL" in said
    assert "gridkeeper up" in said


def test_node_list_shows_what_each_runs_and_may_run(command: CommandLine) -> None:
    (node,) = command.json("node", "list")
    assert (node["name"], node["symbols"], node["capacity"]) == ("one", 0, 500)
    assert "one" in command("node", "list")


def test_node_drain_and_undrain_are_shown(command: CommandLine) -> None:
    assert "one drains; it runs 0 symbols" in command("node", "drain", "one")
    (drained,) = command.json("node", "list")
    assert drained["is_draining"] is True
    command("node", "undrain", "one")
    (node,) = command.json("node", "list")
    assert node["is_draining"] is False


@pytest.mark.parametrize("verb", ["drain", "undrain"])
def test_node_that_is_not_there_is_refused(command: CommandLine, verb: str) -> None:
    assert "there is no node two" in command("node", verb, "two", code=Exit.REFUSED)


def test_doctor_tells_a_node_of_this_machine_from_a_stranger_at_its_port(
    command: CommandLine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def port() -> dict[str, object]:
        checks = command.json("doctor", code=Exit.FAILED)["checks"]
        return next(check for check in checks if check["name"] == "API port")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("GRIDKEEPER_API__PORT", str(taken.getsockname()[1]))
        assert port()["ok"] is False
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute("UPDATE nodes SET host = %s", [this_process().host])
        assert port()["ok"] is True
        assert "node one runs here" in str(port()["value"])

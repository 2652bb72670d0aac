"""The root command: quick, complete, and the one place where errors end."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import typer

from cli import up
from cli.asking import describe, exit_of
from cli.context import load
from cli.db import libpq_environment
from cli.errors import InvalidSettings
from cli.exits import Exit
from cli.main import NOUNS
from cli.session import Session
from domain.errors import OwnershipLost
from orchestrator.requests import Progress
from orchestrator.settings import Settings
from support.command_line import CommandLine

HEAVY = ("ccxt", "dbos", "sqlalchemy", "simulator", "pydantic", "fastapi")


def test_help_names_every_noun_and_imports_none_of_them() -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from cli.main import app\n"
        "print(CliRunner().invoke(app, ['--help']).output)\n"
        f"sys.exit(', '.join(name for name in {HEAVY} if name in sys.modules) or None)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert all(name in finished.stdout for name in NOUNS)


@pytest.mark.parametrize("name", NOUNS)
def test_noun_is_a_typer_application(name: str) -> None:
    noun = NOUNS[name]
    assert isinstance(getattr(importlib.import_module(noun.module), noun.attribute), typer.Typer)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--version"], Exit.OK, id="version"),
        pytest.param(["symbols"], Exit.INVALID, id="unknown noun"),
        pytest.param(["symbol", "ad"], Exit.INVALID, id="unknown verb"),
        pytest.param(["order", "list", "--limit", "0"], Exit.INVALID, id="value out of range"),
        pytest.param(["order", "list", "-o", "xml"], Exit.INVALID, id="unknown form"),
        pytest.param(["kill"], Exit.INVALID, id="no reason"),
        pytest.param(["sim", "--speed", "2"], Exit.INVALID, id="speed of nothing"),
        pytest.param(["sim", "--symbol", "X/Y"], Exit.INVALID, id="unknown symbol"),
        pytest.param(["sim", "--fee-bp", "nan"], Exit.INVALID, id="fee that is no number"),
    ],
)
def test_command_ends_with_the_code(
    gridkeeper: CommandLine, arguments: list[str], code: Exit
) -> None:
    gridkeeper(*arguments, code=code)


def test_invalid_settings_are_each_told_with_their_remedy(
    gridkeeper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDKEEPER_LEASE_S", "0")
    monkeypatch.setenv("GRIDKEEPER_API__PORT", "99999")
    with pytest.raises(InvalidSettings) as caught:
        load(Session())
    assert {problem.field for problem in caught.value.problems} == {"lease_s", "api.port"}
    assert "GRIDKEEPER_API__PORT" in str(caught.value)
    gridkeeper("config", "show", code=Exit.INVALID)


def test_invalid_secret_is_not_repeated(
    gridkeeper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDKEEPER_ACCOUNT", '{"api_secret": ["hunter2"]}')
    with pytest.raises(InvalidSettings) as caught:
        load(Session())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("form", ["table", "json"])
def test_config_show_masks_secrets(
    gridkeeper: CommandLine, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("GRIDKEEPER_ACCOUNT__API_SECRET", "hunter2")
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1/db")
    shown = gridkeeper("config", "show", "-o", form)
    assert "hunter2" not in shown
    assert "reconcile" in shown


def test_data_dir_flag_wins_over_the_environment(gridkeeper: CommandLine) -> None:
    shown = gridkeeper.json("--data-dir", "/elsewhere", "config", "show")
    assert shown["data_dir"] == "/elsewhere"


def test_libpq_environment_keeps_the_password_out_of_arguments() -> None:
    found = libpq_environment("postgresql://me:p%40ss@127.0.0.1:5433/book?sslmode=require")
    assert found["PGPASSWORD"] == "p@ss"
    assert (found["PGHOST"], found["PGPORT"], found["PGDATABASE"]) == ("127.0.0.1", "5433", "book")
    assert found["PGSSLMODE"] == "require"


@pytest.mark.parametrize(
    ("status", "result", "waited", "code"),
    [
        pytest.param("SUCCESS", {"outcome": "done"}, True, Exit.OK, id="done"),
        pytest.param("SUCCESS", {"outcome": "refused"}, True, Exit.REFUSED, id="refused"),
        pytest.param("SUCCESS", {"outcome": "pending"}, True, Exit.PENDING, id="still going on"),
        pytest.param("ERROR", {"outcome": "failed"}, True, Exit.FAILED, id="failed"),
        pytest.param("ERROR", {"outcome": "given up"}, True, Exit.FAILED, id="given up"),
        pytest.param("CANCELLED", None, True, Exit.FAILED, id="cancelled"),
        pytest.param("PENDING", None, True, Exit.PENDING, id="waited in vain"),
        pytest.param("ENQUEUED", None, False, Exit.OK, id="not waited"),
    ],
)
def test_exit_of_a_request_follows_its_outcome(
    status: str, result: dict[str, object] | None, waited: bool, code: Exit
) -> None:
    assert exit_of(Progress("add:x:1", status, result), waited=waited) is code


def test_describe_of_a_refusal_gives_its_reason() -> None:
    lines = describe(Progress("add:x:1", "SUCCESS", {"outcome": "refused", "reason": "no budget"}))
    assert lines == ["add:x:1: refused: no budget"]


class Exited(BaseException):
    """`os._exit` was called."""


def test_up_ends_at_once_when_the_node_is_fenced(
    gridkeeper: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @asynccontextmanager
    async def fenced(settings: Settings) -> AsyncIterator[object]:
        try:
            yield object()
        finally:
            raise ExceptionGroup("node", [OwnershipLost("its shards moved on")])

    def exited(code: int) -> None:
        raise Exited(code)

    def announce(running: object) -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]  # it runs in a task

    monkeypatch.setattr(up, "run_node", fenced)
    monkeypatch.setattr(up, "_announce", announce)
    monkeypatch.setattr(up.os, "_exit", exited)
    monkeypatch.setenv("GRIDKEEPER_API__ENABLED", "false")
    with pytest.raises(Exited) as caught:
        gridkeeper("up")
    assert caught.value.args == (Exit.FENCED,)

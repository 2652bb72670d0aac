"""The command line in this process, with settings and logging of its own."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from cli.exits import Exit
from cli.main import app


class CommandLine:
    """Runs commands as a user would."""

    def __init__(self) -> None:
        self._runner = CliRunner()

    def __call__(self, *arguments: str, code: Exit = Exit.OK) -> str:
        """What the command says, stderr included; it must end with the code."""
        result = self._runner.invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    def json(self, *arguments: str, code: Exit = Exit.OK) -> Any:
        """What the command answers as JSON on stdout."""
        result = self._runner.invoke(app, [*arguments, "-o", "json"], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)


@pytest.fixture
def gridkeeper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CommandLine]:
    """The command line with default settings, and data in a directory of the test's own."""
    for name in os.environ:
        if name.startswith("GRIDKEEPER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GRIDKEEPER_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in ("", "alembic", "ccxt", "dbos", "uvicorn")]
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield CommandLine()
    for logger, handlers, level, propagate in before:
        logger.handlers = handlers
        logger.setLevel(level)
        logger.propagate = propagate
    structlog.reset_defaults()

"""Fixtures that any test may ask for."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

pytest_plugins = ["support.command_line", "support.postgres"]


@pytest.fixture(autouse=True)
def handlers_of_libraries() -> Iterator[None]:
    """A test that sets logging up leaves libraries no handler on a stream that ends with it."""
    loggers = [logging.getLogger(name) for name in ("alembic", "ccxt", "dbos", "uvicorn")]
    before = [list(logger.handlers) for logger in loggers]
    yield
    for logger, handlers in zip(loggers, before, strict=True):
        logger.handlers = handlers

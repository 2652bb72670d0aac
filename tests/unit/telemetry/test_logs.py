from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from telemetry.logs import REDACTED, configure_logs

SECRET = 'pass"wörd/42'


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Give every logger that `configure_logs` touches back as it was."""
    loggers = [logging.getLogger(name) for name in ("", "alembic", "ccxt", "dbos", "uvicorn")]
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers = handlers
        logger.setLevel(level)
        logger.propagate = propagate
    structlog.reset_defaults()


def _fail_with(secret: str) -> None:
    raise RuntimeError(f"cannot log in with {secret}")


def test_logs_json_line_carries_time_level_logger_and_bound_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json", ())
    structlog.get_logger("symbol_manager").bind(
        symbol="BTC/USDT", workflow_id="run_shard:sim-BTC-USDT:1"
    ).info("claimed", epoch=3)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "claimed",
        "level": "info",
        "logger": "symbol_manager",
        "symbol": "BTC/USDT",
        "workflow_id": "run_shard:sim-BTC-USDT:1",
        "epoch": 3,
    }


def test_logs_context_variable_is_on_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json", ())
    with structlog.contextvars.bound_contextvars(http_request_id="f00"):
        structlog.get_logger("api").info("ours")
        logging.getLogger("store.embedded_postgres").info("of the %s", "standard library")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["http_request_id"]) for line in lines] == [
        ("ours", "f00"),
        ("of the standard library", "f00"),
    ]


@pytest.mark.parametrize("name", ["alembic", "ccxt", "dbos", "uvicorn.error"])
def test_logs_library_warning_passes_once_and_chatter_does_not(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    library = logging.getLogger(name.partition(".")[0])
    library.addHandler(logging.StreamHandler())
    configure_logs("info", "json", ())
    library.setLevel(logging.INFO)
    logging.getLogger(name).info("started")
    logging.getLogger(name).warning("slow")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["logger"]) for line in lines] == [("slow", name)]


def test_logs_debug_level_shows_library_chatter(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "console", ())
    logging.getLogger("alembic").info("Running upgrade")
    structlog.get_logger("grid").debug("looked")
    err = capsys.readouterr().err
    assert "Running upgrade" in err
    assert "looked" in err


def test_logs_level_silences_lower_levels(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning", "json", ())
    structlog.get_logger("orchestrator").info("took_over")
    logging.getLogger("store").info("ready")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_logs_planted_secret_appears_in_no_line(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug", log_format, (SECRET, "", "second-secret"))
    log = structlog.get_logger("exchanges")
    log.info(f"text {SECRET}")
    log.info("value", key=SECRET, nested={"list": [SECRET, {SECRET: 1}]})
    log.info("url", dsn="postgresql://me:pass%22w%C3%B6rd%2F42@db/", other="is second-secret.")
    logging.getLogger("ccxt.base").debug("GET /?apiKey=%s", SECRET)
    try:
        _fail_with(SECRET)
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("dbos").exception("failed too")
    err = capsys.readouterr().err
    assert "wörd" not in err
    assert "w\\u00f6rd" not in err
    assert "w%C3%B6rd" not in err
    assert "second-secret" not in err
    assert err.count(REDACTED) >= 8
    assert err.count("RuntimeError") >= 2

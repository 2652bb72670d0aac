"""What the log tells of requests, and what it must not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from fastapi import FastAPI

from telemetry.logs import configure_logs

TOKEN = "a-token-for-tests-only"
PLANTED = "planted-secret-9f3a"


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


async def test_request_log_has_one_line_a_request(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug", "json", ())
    await client.post("/api/v1/kill", json={"reason": "a drill"})
    await client.get("/live")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    requests = [line for line in lines if line["event"] == "http_request"]
    assert [(line["level"], line["path"], line["status"]) for line in requests] == [
        ("info", "/api/v1/kill", 202),
        ("debug", "/live", 200),
    ]
    assert len({line["http_request_id"] for line in requests}) == 2


async def test_log_shows_no_planted_secret_wherever_it_was_sent(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug", "json", (TOKEN, PLANTED))
    for path in (f"/api/v1/orders/{PLANTED}", f"/{PLANTED}?token={PLANTED}", "/api/v1/kill"):
        for headers in ({}, {"Authorization": f"Bearer {PLANTED}", "Host": PLANTED}):
            await client.request("POST", path, json={PLANTED: PLANTED}, headers=headers)
    captured = capsys.readouterr()
    assert captured.err.count("http_request") >= 6
    assert "[redacted]" in captured.err
    assert PLANTED not in captured.err + captured.out
    assert TOKEN not in captured.err + captured.out


async def test_unforeseen_error_is_logged_and_answered_without_its_text(
    app: FastAPI, anyone: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError(f"secret {PLANTED}")

    configure_logs("debug", "json", (PLANTED,))
    answer = await anyone.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "secret" not in answer.text
    err = capsys.readouterr().err
    assert "RuntimeError: secret [redacted]" in err
    assert PLANTED not in err

"""Two tokens: one may do everything, the other only look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.auth import Tokens
from domain.errors import ConfigurationError
from integration.api.conftest import TOKEN, StandInDatabase, StandInNode, StandInRunning
from orchestrator.requests import Requests
from orchestrator.settings import ApiSettings, Settings
from support.fake_exchange import FakeExchange

#: Its answer does not end.
ENDLESS = "/api/v1/events"
READ_TOKEN = "another-token-that-only-reads"
BODIES = {
    "/api/v1/kill": {"reason": "a drill"},
    "/api/v1/rearm": {"reason": "a drill"},
    "/api/v1/symbols/{symbol}/revert": {"to": 1},
}


def settings(data_dir: Path, *, token: str = TOKEN, read_token: str = READ_TOKEN) -> Settings:
    api = ApiSettings(port=0, token=SecretStr(token), read_token=SecretStr(read_token))
    return Settings(data_dir=data_dir, node_name="tester", api=api)


@pytest.fixture
def app(engine: AsyncEngine, tmp_path: Path) -> FastAPI:
    return create_app(
        StandInRunning(
            node=StandInNode({}),
            database=StandInDatabase(engine, Requests(engine, "sim")),
            exchange=FakeExchange(),
            settings=settings(tmp_path),
        )
    )


@pytest.fixture
async def reader(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://localhost:8420",
        headers={"Authorization": f"Bearer {READ_TOKEN}"},
    ) as client:
        yield client


async def test_read_token_looks_at_everything_and_changes_nothing(
    app: FastAPI, reader: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    looked = changed = 0
    for path, item in app.openapi()["paths"].items():
        for method in item:
            if not path.startswith("/api/v1/") or path == ENDLESS:
                continue
            url = path.format(symbol="BTC-USDT", order_id="x", workflow_id="x", name="x")
            answer = await reader.request(method, url, json=BODIES.get(path))
            if method == "get":
                looked += 1
                assert answer.status_code in {200, 404}, (method, path)
            else:
                changed += 1
                assert answer.status_code == 403, (method, path)
                assert answer.headers["Content-Type"] == "application/problem+json"
    assert (looked, changed) >= (10, 8)
    async with engine.connect() as connection:
        kept = await connection.execute(text("SELECT count(*) FROM dbos.workflow_status"))
        killed = await connection.execute(text("SELECT count(*) FROM kill_switch"))
        assert (kept.scalar_one(), killed.scalar_one()) == (0, 0)


async def test_full_token_beside_a_read_token_still_changes_things(
    reader: httpx.AsyncClient,
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = await reader.post("/api/v1/kill", json={"reason": "a drill"}, headers=headers)
    assert answer.status_code == 202


@pytest.mark.parametrize("shown", [READ_TOKEN[:-1], READ_TOKEN + "x", READ_TOKEN.upper(), ""])
async def test_token_that_is_nearly_the_read_token_is_none(
    shown: str, reader: httpx.AsyncClient
) -> None:
    headers = {"Authorization": f"Bearer {shown}"}
    assert (await reader.get("/api/v1/status", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("read_token", "rule"),
    [("too short", "at least 16 characters"), (TOKEN, "must differ")],
)
def test_read_token_that_is_no_token_of_its_own_is_refused(
    read_token: str, rule: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=rule) as refused:
        Tokens.of(settings(tmp_path, read_token=read_token))
    assert read_token not in str(refused.value)


def test_tokens_are_not_shown_by_their_holder(tmp_path: Path) -> None:
    shown = repr(Tokens.of(settings(tmp_path)))
    assert TOKEN not in shown
    assert READ_TOKEN not in shown

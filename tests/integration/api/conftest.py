"""The real application over a real Postgres; only the node's views are stood in for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from orchestrator.dead_man import Armed
from orchestrator.reload import Reload
from orchestrator.requests import Requests
from orchestrator.settings import ApiSettings, Settings
from store.engine import create_engine
from support.fake_exchange import FakeExchange
from symbol_manager.view import ShardView

TOKEN = "a-token-for-tests-only"
READ_TOKEN = "a-token-that-only-reads"


@dataclass
class StandInNode:
    views: dict[int, ShardView]
    switches: dict[str, Armed] = field(default_factory=dict)


@dataclass
class StandInDatabase:
    engine: AsyncEngine
    requests: Requests


@dataclass
class StandInRunning:
    """Implements `api.served.Served`."""

    node: StandInNode
    database: StandInDatabase
    exchange: FakeExchange
    settings: Settings
    reloaded: Reload | None = None
    is_disk_full: bool = False


@pytest.fixture
def views() -> dict[int, ShardView]:
    """What the node runs; a test may put shards into it."""
    return {}


@pytest.fixture
def running(engine: AsyncEngine, views: dict[int, ShardView], tmp_path: Path) -> StandInRunning:
    return _running(engine, views, tmp_path)


@pytest.fixture
def app(running: StandInRunning) -> FastAPI:
    return create_app(running)


@pytest.fixture
async def anyone(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without the token."""
    async with _client(app) as client:
        yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows the token."""
    async with _client(app, {"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture
async def cut_off_client(
    views: dict[int, ShardView], tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token, of an application whose Postgres refuses connections."""
    engine = create_engine("postgresql://gridkeeper@127.0.0.1:1/gridkeeper")
    app = create_app(_running(engine, views, tmp_path))
    async with _client(app, {"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client
    await engine.dispose()


def _running(engine: AsyncEngine, views: dict[int, ShardView], data_dir: Path) -> StandInRunning:
    return StandInRunning(
        node=StandInNode(views),
        database=StandInDatabase(engine, Requests(engine, "sim")),
        exchange=FakeExchange(),
        settings=Settings(
            data_dir=data_dir,
            node_name="tester",
            api=ApiSettings(port=0, token=SecretStr(TOKEN), read_token=SecretStr(READ_TOKEN)),
        ),
    )


def _client(app: FastAPI, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:8420", headers=headers
    )

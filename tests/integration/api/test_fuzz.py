"""What the contract allows, and what it does not, asked of the real server: never a 5xx."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import serve_api
from integration.api.conftest import TOKEN, StandInDatabase, StandInNode, StandInRunning
from orchestrator.requests import Requests
from orchestrator.settings import ApiSettings, Settings
from store.engine import create_engine
from support.fake_exchange import FakeExchange
from support.sample_history import EXIT, PLAN, write_sample_history

#: Requests of each operation and mode.
EXAMPLES = 25
PATIENCE_S = 20.0
#: Its answer does not end, and it has no arguments to get wrong.
ENDLESS = "/api/v1/events"
#: Names that the sample history knows: drawn ones would hardly ever be found.
KNOWN = {"symbol": "BTC-USDT", "order_id": EXIT, "workflow_id": PLAN, "name": "node-1"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def url(postgres_dsn: str, tmp_path: Path) -> Iterator[str]:
    """The server, on a thread of its own so that Hypothesis may ask from this one."""
    write_sample_history(postgres_dsn)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    stopping: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def serve() -> None:
        task = asyncio.create_task(_serve(postgres_dsn, port, tmp_path))
        stopping.append((asyncio.get_running_loop(), task))
        with suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{port}"
    _await_live(address)
    yield address
    ((loop, task),) = stopping
    loop.call_soon_threadsafe(task.cancel)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


async def _serve(dsn: str, port: int, data_dir: Path) -> None:
    engine = create_engine(dsn)
    running = StandInRunning(
        node=StandInNode({}),
        database=StandInDatabase(engine, Requests(engine, "sim")),
        exchange=FakeExchange(),
        settings=Settings(
            data_dir=data_dir,
            node_name="tester",
            api=ApiSettings(port=port, token=SecretStr(TOKEN)),
        ),
    )
    try:
        await serve_api(running)
    finally:
        await engine.dispose()


def _await_live(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with suppress(httpx.ConnectError):
            httpx.get(f"{address}/live")
            return
        assert time.monotonic() < deadline, "the server does not listen"
        time.sleep(0.02)


def _operations(url: str) -> list[Any]:
    document = httpx.get(f"{url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    return [operation for operation in operations if operation.path != ENDLESS]


def _without_waiting(query: dict[str, Any]) -> None:
    """No node serves requests here: whoever waits for a result waits in vain."""
    with suppress(KeyError, TypeError, ValueError):
        if float(query["wait"]) > 0:
            query["wait"] = 0


def _ask(operation: Any, mode: GenerationMode, url: str) -> set[int]:
    """Ask one operation in many ways; the statuses that it answered with."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answered = set()

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
    def ask(case: Any, is_known: bool) -> None:
        if case.query:
            _without_waiting(case.query)
        if is_known and case.path_parameters:
            case.path_parameters |= {
                name: KNOWN[name] for name in case.path_parameters if name in KNOWN
            }
        answer = case.call(base_url=url, headers=headers)
        answered.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    ask()
    return answered


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_api_never_fails_and_answers_as_the_contract_says(
    mode: GenerationMode, url: str, postgres_dsn: str
) -> None:
    statuses: dict[str, set[int]] = {}
    for operation in _operations(url):
        with suppress(Unsatisfiable):  # without arguments, no request to it is wrong
            statuses[operation.label] = _ask(operation, mode, url)
    assert len(statuses) > 15
    reached = set().union(*statuses.values())
    assert ({200, 202} if mode.is_positive else {422}) <= reached, statuses
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM shards").fetchone() == (2,)

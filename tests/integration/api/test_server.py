"""The server as the node runs it: on a socket, in the node's loop, until it is cancelled."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest

from api.app import serve_api
from api.served import Served, ServedDatabase, ServedExchange, ServedNode
from domain.errors import ConfigurationError
from orchestrator.reload import Reload
from orchestrator.settings import ApiSettings, Settings


@dataclass
class At:
    """A running node with another address for its API."""

    node: ServedNode
    database: ServedDatabase
    exchange: ServedExchange
    settings: Settings
    reloaded: Reload | None = None

    @staticmethod
    def address(running: Served, host: str, port: int) -> At:
        api = ApiSettings(host=host, port=port, token=running.settings.api.token)
        settings = running.settings.model_copy(update={"api": api})
        return At(running.node, running.database, running.exchange, settings)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@asynccontextmanager
async def _served(running: Served) -> AsyncIterator[httpx.AsyncClient]:
    serving = asyncio.create_task(serve_api(running))
    address = running.settings.api
    assert address.token is not None
    headers = {"Authorization": f"Bearer {address.token.get_secret_value()}"}
    url = f"http://{address.host}:{address.port}"
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            await asyncio.wait_for(_until_live(client), 10)
            yield client
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(serving, 10)


async def _until_live(client: httpx.AsyncClient) -> None:
    while True:
        with suppress(httpx.ConnectError):
            if (await client.get("/live")).status_code == 200:
                return
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_server_answers_until_it_is_cancelled(host: str, running: Served) -> None:
    here = At.address(running, host, _free_port())
    async with _served(here) as client:
        assert (await client.get("/api/v1/status")).json()["node"] == "tester"
        answer = await client.post("/api/v1/kill", json={"reason": "a drill"})
        assert answer.status_code == 202
        assert "server" not in answer.headers
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, here.settings.api.port)


async def test_server_leaves_the_signals_to_the_node(running: Served) -> None:
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    async with _served(At.address(running, "127.0.0.1", _free_port())):
        assert [signal.getsignal(number) for number in watched] == before


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "trader.example"])  # noqa: S104
async def test_server_refuses_an_address_that_others_can_reach(host: str, running: Served) -> None:
    with pytest.raises(ConfigurationError, match="must be a loopback address"):
        await serve_api(At.address(running, host, 0))


async def test_server_on_a_taken_port_says_which(running: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"`api.port` must be free, was {port}"):
            await serve_api(At.address(running, "127.0.0.1", port))

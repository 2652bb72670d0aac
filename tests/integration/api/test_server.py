"""The server as the node runs it: on a socket, in the node's loop, until it is cancelled."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest

from api.app import serve_api
from api.served import Served
from domain.errors import ConfigurationError
from support.serving import free_port, moved, served


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_server_answers_until_it_is_cancelled(host: str, running: Served) -> None:
    here = moved(running, host=host, port=free_port())
    async with served(here) as client:
        assert (await client.get("/api/v1/status")).json()["node"] == "tester"
        answer = await client.post("/api/v1/kill", json={"reason": "a drill"})
        assert answer.status_code == 202
        assert "server" not in answer.headers
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, here.settings.api.port)


async def test_server_leaves_the_signals_to_the_node(running: Served) -> None:
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    async with served(moved(running, port=free_port())):
        assert [signal.getsignal(number) for number in watched] == before


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "trader.example"])  # noqa: S104
async def test_server_refuses_an_address_that_others_can_reach(host: str, running: Served) -> None:
    with pytest.raises(ConfigurationError, match="must be a loopback address"):
        await serve_api(moved(running, host=host))


async def test_server_on_a_taken_port_says_which(running: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"`api.port` must be free, was {port}"):
            await serve_api(moved(running, port=port))

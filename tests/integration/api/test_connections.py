"""Connections of strangers that only stand there, and of others that take their time."""

from __future__ import annotations

import asyncio
import socket

import pytest

from api.connection import Connection
from api.served import Served
from integration.api.conftest import TOKEN
from support.serving import free_port, moved, served

BEGUN = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"
POST = (
    b"POST /api/v1/kill HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n"
)
WAITING = (
    b"POST /api/v1/kill?wait=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer %s\r\nContent-Length: 22\r\n\r\n"
    b'{"reason": "a  drill"}'
) % TOKEN.encode()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.connection.STANDSTILL_S", 0.2)


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        pytest.param(b"", 0, id="silent"),
        pytest.param(BEGUN, 0, id="half-a-request"),
        pytest.param(BEGUN + b"\r\n" + BEGUN, 1, id="half-a-second-request"),
        pytest.param(POST + b'{"reason"', 0, id="half-a-body"),
    ],
)
async def test_connection_without_a_whole_request_is_closed(
    sent: bytes, answers: int, running: Served
) -> None:
    here = moved(running, port=free_port())
    async with served(here):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.settings.api.port)
        writer.write(sent)
        assert (await _read_to_the_end(reader)).count(b"HTTP/1.1 ") == answers
        writer.close()


async def test_connection_that_takes_no_answer_is_closed(
    running: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()
    ours: object = None

    class Told(Connection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client == ours:
                closed.set()

    monkeypatch.setattr("api.app.Connection", Told)
    here = moved(running, port=free_port())
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
    async with served(here) as client:
        loop = asyncio.get_running_loop()
        size = len((await client.get("/openapi.json")).content)
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            stuck.setblocking(False)
            await loop.sock_connect(stuck, ("127.0.0.1", here.settings.api.port))
            ours = stuck.getsockname()
            await loop.sock_sendall(stuck, asked)
            await asyncio.wait_for(closed.wait(), 10)
            reader, writer = await asyncio.open_connection(sock=stuck)
            assert len(await _read_to_the_end(reader)) < 100 * size
            writer.close()


async def test_connection_whose_request_takes_long_is_answered(running: Served) -> None:
    here = moved(running, port=free_port())
    async with served(here):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.settings.api.port)
        writer.write(WAITING)
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 202")
        writer.close()


async def _read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    taken = bytearray()
    try:
        while part := await asyncio.wait_for(reader.read(65_536), 10):
            taken += part
    except ConnectionResetError:
        pass
    return bytes(taken)

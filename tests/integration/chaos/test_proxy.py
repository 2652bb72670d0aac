"""Each mode of the proxy over loopback, as both ends of a connection see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest_asyncio

from chaos.proxy import Mode, Proxy, proxied
from support.system import eventually

PATIENCE_S = 20.0
#: How long nothing must come before one believes that nothing comes.
QUIET_S = 0.3
DELAY_S = 0.4


class Echo:
    """Sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = b""
        self.begun = 0
        self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.begun += 1
        with suppress(OSError):
            while piece := await reader.read(1_000):
                self.got += piece
                writer.write(piece)
                await writer.drain()
        writer.close()
        self.ended += 1


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer_to(self, piece: bytes) -> bytes:
        """What comes back; empty if the connection ended."""
        self.writer.write(piece)
        async with asyncio.timeout(PATIENCE_S):
            with suppress(OSError):
                return await self.reader.read(1_000)
        return b""

    async def is_quiet(self) -> bool:
        try:
            async with asyncio.timeout(QUIET_S):
                await self.reader.read(1_000)
        except TimeoutError:
            return True
        return False


@dataclass
class Wire:
    """A target, the proxy before it, and who connects through it."""

    target: Echo
    proxy: Proxy
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
        self.clients.append(client)
        return client

    async def close(self) -> None:
        for client in self.clients:
            client.writer.close()
            with suppress(OSError):
                await client.writer.wait_closed()


@pytest_asyncio.fixture
async def wire() -> AsyncIterator[Wire]:
    target = Echo()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with proxied("127.0.0.1", port, delay_s=DELAY_S) as proxy:
        found = Wire(target, proxy)
        yield found
        await found.close()

    async def all_ended() -> bool:
        return target.ended == target.begun

    await eventually(all_ended, "no connection is left")
    server.close()
    await server.wait_closed()


async def test_proxy_passes_both_ways_and_tells_ends(wire: Wire) -> None:
    target = wire.target
    client = await wire.connect()
    assert await client.answer_to(b"hello") == b"hello"

    client.writer.close()

    async def is_told() -> bool:
        return target.ended == 1

    await eventually(is_told, "the end is told")


async def test_cut_breaks_what_is_there_and_what_comes(wire: Wire) -> None:
    target, proxy = wire.target, wire.proxy
    before = await wire.connect()
    assert await before.answer_to(b"1") == b"1"

    proxy.cut()

    assert await before.answer_to(b"2") == b""
    assert await (await wire.connect()).answer_to(b"3") == b""
    assert target.got == b"1"
    proxy.mend()
    assert await (await wire.connect()).answer_to(b"4") == b"4"


async def test_silent_accepts_and_drops_every_byte(wire: Wire) -> None:
    target, proxy = wire.target, wire.proxy
    before = await wire.connect()
    assert await before.answer_to(b"1") == b"1"
    proxy.set(Mode.SILENT)
    during = await wire.connect()

    for client in (before, during):
        client.writer.write(b"lost")
        assert await client.is_quiet()

    assert target.got == b"1"
    proxy.mend()
    # Bytes are missing in them: both end, later ones work.
    assert await before.answer_to(b"2") == b""
    assert await during.answer_to(b"3") == b""
    assert await (await wire.connect()).answer_to(b"4") == b"4"


async def test_silent_tells_nobody_that_a_connection_ended(wire: Wire) -> None:
    target, proxy = wire.target, wire.proxy
    client = await wire.connect()
    assert await client.answer_to(b"1") == b"1"
    proxy.set(Mode.SILENT)

    client.writer.close()
    await asyncio.sleep(QUIET_S)
    assert target.ended == 0

    proxy.mend()

    async def is_told() -> bool:
        return target.ended == 1

    await eventually(is_told, "the end is told at last")


async def test_frozen_holds_everything_and_loses_nothing(wire: Wire) -> None:
    target, proxy = wire.target, wire.proxy
    client = await wire.connect()
    assert await client.answer_to(b"1") == b"1"
    proxy.set(Mode.FROZEN)
    later = await wire.connect()
    client.writer.write(b"2")
    later.writer.write(b"3")
    assert await client.is_quiet()
    assert target.got == b"1"

    proxy.mend()

    assert await client.answer_to(b"") == b"2"
    assert await later.answer_to(b"") == b"3"


async def test_delayed_comes_later_and_in_order(wire: Wire) -> None:
    proxy = wire.proxy
    client = await wire.connect()
    proxy.set(Mode.DELAYED)
    began_s = asyncio.get_running_loop().time()

    client.writer.write(b"1")
    assert await client.is_quiet()
    client.writer.write(b"2")
    async with asyncio.timeout(PATIENCE_S):
        got = await client.reader.readexactly(2)

    assert got == b"12"
    assert asyncio.get_running_loop().time() - began_s >= 2 * DELAY_S


async def test_corrupt_changes_a_byte_of_each_piece_each_way(wire: Wire) -> None:
    target, proxy = wire.target, wire.proxy
    client = await wire.connect()
    proxy.set(Mode.CORRUPT)

    assert await client.answer_to(b"abc") == b"abc"  # changed there, and back

    assert target.got == b"a7c"
    proxy.mend()
    assert await client.answer_to(b"abc") == b"abc"
    assert target.got == b"a7cabc"


async def test_half_open_lets_requests_arrive_and_drops_answers(
    wire: Wire,
) -> None:
    target, proxy = wire.target, wire.proxy
    client = await wire.connect()
    assert await client.answer_to(b"1") == b"1"
    proxy.set(Mode.HALF_OPEN)

    client.writer.write(b"2")
    assert await client.is_quiet()

    assert target.got == b"12"
    proxy.mend()
    assert await client.answer_to(b"3") == b""


async def test_target_that_is_gone_ends_the_connection() -> None:
    async with proxied("127.0.0.1", 1) as proxy:
        wire = Wire(Echo(), proxy)
        assert await (await wire.connect()).answer_to(b"1") == b""
        await wire.close()

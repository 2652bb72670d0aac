"""A TCP proxy that does to what goes through it what networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

BYTES_MAX = 65_536
DELAY_S = 0.5
#: What corruption does to one byte of a piece.
_FLIPPED = 0x55


class Mode(StrEnum):
    """What happens to connections and their bytes."""

    PASS = "pass"  # noqa: S105  # nosec B105  # no secret
    #: Every connection breaks, and every later one at once: a firewall that refuses.
    CUT = "cut"
    #: Connections are accepted and stay, and every byte is thrown away: a firewall that drops.
    SILENT = "silent"
    #: Nothing moves, nothing is lost: a cable that is put back before TCP gives up.
    FROZEN = "frozen"
    #: Each piece comes later.
    DELAYED = "delayed"
    #: A byte of each piece is another one.
    CORRUPT = "corrupt"
    #: What is sent arrives, and no answer comes back.
    HALF_OPEN = "half-open"


#: A connection's end is told to the other side in these only.
_TELLS_ENDS = frozenset({Mode.PASS, Mode.CUT, Mode.DELAYED, Mode.CORRUPT})


@dataclass(slots=True, eq=False)
class _Link:
    """Both sockets of one connection."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    #: Bytes of it were thrown away: as a stream it cannot go on.
    has_lost: bool = False

    def abort(self) -> None:
        self.near.transport.abort()
        if self.far is not None:
            self.far.transport.abort()


class Proxy:
    """Forwards one loopback port of its own to a target, in a mode that may change at any time."""

    def __init__(self, host: str, port: int, *, delay_s: float = DELAY_S) -> None:
        self._target = (host, port)
        self._delay_s = delay_s
        self._mode = Mode.PASS
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._moves = asyncio.Event()
        self._tells_ends = asyncio.Event()
        self.set(Mode.PASS)

    @property
    def mode(self) -> Mode:
        return self._mode

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the proxy was not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def set(self, mode: Mode) -> None:
        """Treat everything so from now on; connections that lost bytes end with their fault."""
        self._mode = mode
        for event, is_set in (
            (self._moves, mode is not Mode.FROZEN),
            (self._tells_ends, mode in _TELLS_ENDS),
        ):
            if is_set:
                event.set()
            else:
                event.clear()
        for link in self._links:
            if mode is Mode.CUT or (mode is Mode.PASS and link.has_lost):
                link.abort()

    def cut(self) -> None:
        self.set(Mode.CUT)

    def mend(self) -> None:
        self.set(Mode.PASS)

    async def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._serving:
            await asyncio.wait(self._serving)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        try:
            with suppress(OSError):
                await self._moves.wait()
                if self._mode is not Mode.CUT:
                    await self._forward(link, reader)
        finally:
            self._links.discard(link)
            link.abort()

    async def _forward(self, link: _Link, reader: asyncio.StreamReader) -> None:
        far_reader, link.far = await asyncio.open_connection(*self._target)
        ways = [
            asyncio.create_task(self._pump(link, reader, link.far, is_answer=False)),
            asyncio.create_task(self._pump(link, far_reader, link.near, is_answer=True)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()

    async def _pump(
        self,
        link: _Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_answer: bool,
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(BYTES_MAX):
                treated = await self._treat(piece, is_answer=is_answer)
                if treated is None:
                    link.has_lost = True
                    continue
                writer.write(treated)
                await writer.drain()
        await self._tells_ends.wait()

    async def _treat(self, piece: bytes, *, is_answer: bool) -> bytes | None:
        """The piece as it arrives; `None` if it does not."""
        await self._moves.wait()
        match self._mode:
            case Mode.SILENT:
                return None
            case Mode.HALF_OPEN if is_answer:
                return None
            case Mode.DELAYED:
                await asyncio.sleep(self._delay_s)
            case Mode.CORRUPT:
                middle = len(piece) // 2
                return piece[:middle] + bytes([piece[middle] ^ _FLIPPED]) + piece[middle + 1 :]
        return piece


@asynccontextmanager
async def proxied(host: str, port: int, *, delay_s: float = DELAY_S) -> AsyncIterator[Proxy]:
    proxy = Proxy(host, port, delay_s=delay_s)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()

"""The sending half of one WebSocket: a bounded queue, so a slow reader harms only itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

OUTGOING_MAX = 10_000
HEARTBEAT_S = 20.0


class Channel:
    """Queues messages for one socket; a reader that falls behind is disconnected."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue(OUTGOING_MAX)

    def send(self, message: bytes) -> None:
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            self.disconnect()

    def send_json(self, document: object) -> None:
        self.send(orjson.dumps(document))

    def disconnect(self) -> None:
        """Drop what is queued and close."""
        while not self._outgoing.empty():
            self._outgoing.get_nowait()
        self._outgoing.put_nowait(None)

    def finish(self) -> None:
        """Close behind what is queued."""
        try:
            self._outgoing.put_nowait(None)
        except asyncio.QueueFull:
            self.disconnect()

    async def pump(self) -> None:
        """Write until disconnected; the socket is closed afterwards."""
        with contextlib.suppress(ConnectionError):
            while (message := await self._outgoing.get()) is not None:
                await self._socket.send_frame(message, WSMsgType.TEXT)
        await self._socket.close(code=WSCloseCode.GOING_AWAY)


@contextlib.asynccontextmanager
async def accepted(request: web.Request) -> AsyncIterator[tuple[web.WebSocketResponse, Channel]]:
    """Upgrade a request and keep its pump running for the block."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
    await socket.prepare(request)
    channel = Channel(socket)
    pump = asyncio.create_task(channel.pump())
    try:
        yield socket, channel
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump

"""One WebSocket: events are handed on as they come, control messages are paced and answered."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

import msgspec
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSTransport,
    ws_connect,
)

from domain.errors import TransientVenueError, VenueError
from exchanges.connection import Way
from exchanges.native.wire import Frame
from exchanges.streams import Silent

#: The venue closes a socket that sends more than five messages a second, pongs among them.
CONTROL_EVERY_S = 0.25
FRAME_BYTES_MAX = 1 << 20

OnEvent = Callable[[str, msgspec.Raw], None]

_decode = msgspec.json.Decoder(Frame).decode


class Unsubscribable(VenueError):
    """The venue refused a control message."""


class StreamSocket(WSListener):
    """A connection to a combined stream."""

    def __init__(self, on_event: OnEvent, on_malformed: Callable[[], None], wait_s: float) -> None:
        self._on_event = on_event
        self._on_malformed = on_malformed
        self._wait_s = wait_s
        self._ids = itertools.count(1)
        self._awaited: dict[int, asyncio.Future[Frame]] = {}
        self._pace = asyncio.Lock()
        self._may_send_s = 0.0
        self._transport: WSTransport | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        way: Way,
        on_event: OnEvent,
        on_malformed: Callable[[], None],
        wait_s: float,
    ) -> Self:
        """Connect; a connection, handshake or reply that takes longer than `wait_s` is lost."""
        listener = cls(on_event, on_malformed, wait_s)
        try:
            async with asyncio.timeout(wait_s):
                await ws_connect(
                    lambda: listener,
                    url,
                    ssl_context=way.tls,
                    socket_factory=_socket_factory(way),
                    websocket_handshake_timeout=wait_s,
                    max_frame_size=FRAME_BYTES_MAX,
                    max_redirects=0,
                )
        except WSError as error:
            raise TransientVenueError(f"no WebSocket at {url}: {error}") from error
        return listener

    async def request(self, method: str, streams: Sequence[str] = ()) -> tuple[str, ...]:
        """Send a control message and return what its reply lists.

        Raises
        ------
        Silent
            If no reply comes in time.
        Unsubscribable
            If the venue refuses it.
        """
        loop = asyncio.get_running_loop()
        async with self._pace:
            await asyncio.sleep(self._may_send_s - loop.time())
            self._may_send_s = loop.time() + CONTROL_EVERY_S
        asked = next(self._ids)
        message = {"method": method, "params": streams, "id": asked}
        self._awaited[asked] = loop.create_future()
        try:
            if self._transport is not None:
                self._transport.send(WSMsgType.TEXT, msgspec.json.encode(message))
            async with asyncio.timeout(self._wait_s):
                reply = await self._awaited[asked]
        except TimeoutError as error:
            raise Silent(f"{method} was not acknowledged within {self._wait_s} s") from error
        finally:
            del self._awaited[asked]
        if reply.error is not None:
            raise Unsubscribable(f"{method}: {reply.error.msg}")
        return reply.result or ()

    async def until_closed(self) -> None:
        """Raise once the socket is closed: `TransientVenueError`, or a defect in our handler."""
        transport = self._transport
        if transport is None:
            raise TransientVenueError("the socket was never opened")
        try:
            await transport.wait_disconnected()
        except WSError as error:
            raise TransientVenueError(f"broken WebSocket: {error}") from error
        handshake = transport.close_handshake
        code = handshake.recv.code if handshake is not None and handshake.recv is not None else None
        raise TransientVenueError(f"the venue closed the socket, code {code}")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # Asking for the type first costs a tenth of a quote, and only JSON can be decoded.
        try:
            message = _decode(frame.get_payload_as_bytes())
            if message.stream:
                self._on_event(message.stream, message.data)
            elif message.id is not None:
                self._settle(message.id, message)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if frame.msg_type is WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            elif frame.msg_type is not WSMsgType.PONG:
                self._on_malformed()

    def _settle(self, asked: int, reply: Frame) -> None:
        awaited = self._awaited.get(asked)
        if awaited is not None and not awaited.done():
            awaited.set_result(reply)


def _socket_factory(way: Way) -> Callable[[WSParsedURL], Awaitable[socket.socket | None]]:
    """Sockets to where the way leads; none of ours where the system's resolver knows better."""

    async def connected(url: WSParsedURL) -> socket.socket | None:
        if way.resolver is None:
            return None
        (found, *_) = await way.resolver.resolve(url.host, url.port)
        ours = socket.socket(found["family"], socket.SOCK_STREAM)
        try:
            ours.setblocking(False)
            address = (found["host"], found["port"])
            await asyncio.get_running_loop().sock_connect(ours, address)
        except BaseException:  # closed whatever ends the connecting, then raised
            ours.close()
            raise
        return ours

    return connected

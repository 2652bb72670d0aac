"""A response that goes on: server-sent events, until the client leaves or does not take them."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.connection import TRANSPORT
from api.feed import Feed, Mailbox

MEDIA_TYPE: Final = "text/event-stream"
#: What a client does not read is kept by the kernel, and by us, up to so much each: the sooner it
#: is noticed.
_UNSENT_BYTES: Final = 16_384
#: When a browser may come again, in ms.
_BEGINNING: Final = b"retry: 2000\n\n"

log = structlog.get_logger("api")


class EventStream(Response):
    """Everything that the feed tells, from now on."""

    media_type = MEDIA_TYPE

    def __init__(self, feed: Feed) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})  # proxies pass it on at once
        del self.headers["Content-Length"]
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport | None = scope.get("state", {}).get(TRANSPORT)
        with self._feed.subscribed() as mailbox:
            if transport is not None:
                _bound(transport)
            leaving = asyncio.create_task(_end_with_client(receive, mailbox), name="leaving")
            try:
                await self._hand_over(mailbox, send)
            except TimeoutError:
                self._feed.dropped += 1
                log.warning("slow_client_dropped", unread_events=len(mailbox))
                if transport is not None:
                    transport.abort()
            finally:
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)

    async def _hand_over(self, mailbox: Mailbox, send: Send) -> None:
        async def give(kind: str, **parts: object) -> None:
            async with mailbox.handing_over():
                await send({"type": f"http.response.{kind}", **parts})

        await give("start", status=self.status_code, headers=self.raw_headers)
        await give("body", body=_BEGINNING, more_body=True)
        while (events := await mailbox.read()) is not None:
            await give("body", body=events, more_body=True)
        await give("body")


def _bound(transport: asyncio.Transport) -> None:
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_BYTES)
    transport.set_write_buffer_limits(high=_UNSENT_BYTES)


async def _end_with_client(receive: Receive, mailbox: Mailbox) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        mailbox.end()

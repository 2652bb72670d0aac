"""The API's server as the node runs it, on a socket of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from api.app import serve_api
from api.served import Served, ServedDatabase, ServedExchange, ServedNode
from orchestrator.reload import Reload
from orchestrator.settings import ApiSettings, Settings


@dataclass
class Moved:
    """A running node with other settings for its API."""

    node: ServedNode
    database: ServedDatabase
    exchange: ServedExchange
    settings: Settings
    is_disk_full: bool = False
    reloaded: Reload | None = None


def moved(running: Served, **api: Any) -> Moved:
    """The node with these settings for its API, on top of what they are."""
    changed = ApiSettings(**(running.settings.api.model_dump() | api))
    settings = running.settings.model_copy(update={"api": changed})
    return Moved(running.node, running.database, running.exchange, settings)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@asynccontextmanager
async def served(
    running: Served, *, host: str | None = None, verify: ssl.SSLContext | bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server, with the token; both end together."""
    serving = asyncio.create_task(serve_api(running))
    api = running.settings.api
    assert api.token is not None
    headers = {"Authorization": f"Bearer {api.token.get_secret_value()}"}
    scheme = "http" if api.tls_certificate is None else "https"
    url = f"{scheme}://{host or api.host}:{api.port}"
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, verify=verify) as client:
            await asyncio.wait_for(_until_live(client, serving), 10)
            yield client
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(serving, 10)


async def _until_live(client: httpx.AsyncClient, serving: asyncio.Task[None]) -> None:
    while not serving.done():
        with suppress(httpx.ConnectError):
            if (await client.get("/live")).status_code == 200:
                return
        await asyncio.sleep(0.02)
    await serving


async def hang_at_events(port: int, token: str) -> socket.socket:
    """Ask for events, and never read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    lines = ("GET /api/v1/events HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}")
    await loop.sock_sendall(client, "".join(f"{line}\r\n" for line in (*lines, "")).encode())
    return client

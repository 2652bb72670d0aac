"""The application and its server, inside the loop of the node that it speaks for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any

import structlog
import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from api.auth import Tokens, authenticated
from api.body import BodyLimit
from api.middleware import HostCheck, RequestLog, SecurityHeaders
from api.problems import documented, install_problem_handlers, problem_schemas
from api.routes import (
    account,
    edits,
    fills,
    health,
    kill_switch,
    metrics,
    nodes,
    orders,
    pnl,
    positions,
    status,
    symbols,
    workflows,
)
from api.served import Served
from domain.errors import ConfigurationError
from orchestrator.settings import ApiSettings
from risk.reservations import AssetUse
from store.reservations import account_use
from telemetry.clock import SystemClock
from telemetry.metrics import Metrics

#: Requests under way when the server stops may go on this long.
STOP_WAIT_S = 5
_CONNECTIONS_MAX = 256
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

log = structlog.get_logger("api")


def create_app(running: Served) -> FastAPI:
    """The API over a running node.

    Raises
    ------
    ConfigurationError
        If the token cannot be used.
    """
    app = _App(
        title="Gridkeeper",
        version=version("gridkeeper"),
        summary="A durable multi-symbol market maker.",
        description=(
            "Prices, quantities and money are decimal strings, times are ISO 8601 in UTC. A symbol"
            " is written `BTC/USDT` in documents and `BTC-USDT` in addresses. Changes are kept"
            " durably before they are answered."
        ),
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(RequestLog),
            Middleware(HostCheck, allowed_hosts=(*_LOOPBACK_NAMES, running.settings.api.host)),
            Middleware(BodyLimit),
        ],
    )
    app.state.served = running
    app.state.tokens = Tokens.of(running.settings)
    app.state.metrics = _metrics(running)
    install_problem_handlers(app)
    v1 = APIRouter(
        prefix="/api/v1",
        dependencies=[Depends(authenticated)],
        responses=documented(
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )
    for noun in (
        symbols,
        edits,
        orders,
        fills,
        positions,
        account,
        pnl,
        workflows,
        kill_switch,
        nodes,
        status,
    ):
        v1.include_router(noun.router)
    app.include_router(v1)
    app.include_router(health.router)
    app.include_router(metrics.router)
    return app


async def serve_api(running: Served) -> None:
    """Serve until cancelled; signals are the node's business.

    Raises
    ------
    ConfigurationError
        If the configured address cannot be served.
    """
    app = create_app(running)
    listener = _listen(running.settings.api)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_graceful_shutdown=STOP_WAIT_S,
        )
    )
    host, port = listener.getsockname()[:2]
    log.info("api_listening", host=host, port=port)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="api server")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


def _metrics(running: Served) -> Metrics:
    engine, account = running.database.engine, running.settings.account.name

    async def read_assets() -> Sequence[AssetUse]:
        return (await account_use(engine, account)).assets

    return Metrics(
        lambda: running.node.views,
        engine,
        SystemClock(),
        rate=running.exchange.rate,
        is_disk_full=lambda: running.is_disk_full,
        read_assets=read_assets,
    )


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"] |= problem_schemas()
        return document


class _Server(uvicorn.Server):
    # The handlers in place are the node's: they stop it gracefully, and it cancels us.
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(settings: ApiSettings) -> socket.socket:
    if not _is_loopback(settings.host):
        raise ConfigurationError(
            field="api.host",
            rule="must be a loopback address: the API does not speak TLS",
            value=settings.host,
            remedy="use 127.0.0.1, and reach it from elsewhere through an SSH tunnel",
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=128)
    except OSError as error:
        raise ConfigurationError(
            field="api.port",
            rule="must be free",
            value=f"{settings.port} ({error.strerror})",
            remedy="stop what uses it, or choose another port",
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _operation_id(route: APIRoute) -> str:
    """What client generators name the call."""
    return route.name

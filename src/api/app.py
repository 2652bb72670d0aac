"""The application and its server, inside the loop of the node that it speaks for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import structlog
import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from api.auth import Tokens, authenticated
from api.body import BodyLimit
from api.connection import Connection
from api.feed import Feed
from api.listening import Listening
from api.middleware import HostCheck, RequestLog, SecurityHeaders
from api.problems import Problem, documented, install_problem_handlers, schemas_of
from api.routes import (
    account,
    edits,
    events,
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
from risk.reservations import AssetUse
from store.reservations import account_use
from telemetry.clock import SystemClock
from telemetry.metrics import Metrics

#: Requests under way when the server stops may go on this long.
STOP_WAIT_S = 5
_CONNECTIONS_MAX = 256

log = structlog.get_logger("api")


def create_app(running: Served) -> FastAPI:
    """The API over a running node.

    Raises
    ------
    ConfigurationError
        If the token cannot be used, or the API must not be reached as the settings say.
    """
    listening = Listening.of(running.settings.api)
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
            Middleware(HostCheck, allowed_hosts=listening.names),
            Middleware(BodyLimit),
        ],
    )
    app.state.served = running
    app.state.tokens = Tokens.of(running.settings)
    app.state.feed = Feed(lambda: events.look_at_symbols(running))
    app.state.metrics = _metrics(running, app.state.feed)
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
        events,
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
    # Elsewhere than on this machine, what is earned is nobody's business.
    guards = [Depends(authenticated)] if listening.is_exposed else []
    app.include_router(metrics.router, dependencies=guards)
    return app


async def serve_api(running: Served) -> None:
    """Serve until cancelled; signals are the node's business.

    Raises
    ------
    ConfigurationError
        If the configured address cannot be served.
    """
    app = create_app(running)
    feed: Feed = app.state.feed
    listening = Listening.of(running.settings.api)
    tls = listening.tls()
    listener = listening.open()
    server = _Server(
        uvicorn.Config(
            app,
            http=Connection,
            ssl_context_factory=None if tls is None else lambda config, default: tls,
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
    log.info("api_listening", host=host, port=port, tls=tls is not None)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="api server")
    renewing = None if tls is None else asyncio.create_task(listening.renew(tls), name="api TLS")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await feed.close()
        await serving
        raise
    finally:
        if renewing is not None:
            renewing.cancel()


def _metrics(running: Served, feed: Feed) -> Metrics:
    engine, account = running.database.engine, running.settings.account.name

    async def read_assets() -> Sequence[AssetUse]:
        return (await account_use(engine, account)).assets

    return Metrics(
        lambda: running.node.views,
        engine,
        SystemClock(),
        rate=running.exchange.rate,
        clients=feed,
        is_disk_full=lambda: running.is_disk_full,
        switches=lambda: running.node.switches,
        read_assets=read_assets,
    )


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"] |= schemas_of(Problem, events.LiveSymbol)
        return document


class _Server(uvicorn.Server):
    # The handlers in place are the node's: they stop it gracefully, and it cancels us.
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _operation_id(route: APIRoute) -> str:
    """What client generators name the call."""
    return route.name

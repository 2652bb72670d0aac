"""Wiring: data directory, TLS, the trading and the control listener, the market loop."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from simulator.config import SimulatorConfig
from simulator.control import ControlApi
from simulator.exchange import Exchange
from simulator.files import write_atomically
from simulator.rest import BODY_BYTES_MAX, RestApi
from simulator.tls import server_context
from simulator.websocket_api import WebSocketApi

HOST = "127.0.0.1"
#: How long a stopping server waits for requests that a fault holds back.
_SHUTDOWN_S = 0.5


@dataclass(frozen=True, slots=True)
class SimulatorAddress:
    """Where a running simulator is; the content of `simulator.json`."""

    host: str
    port: int
    control_port: int
    ca_path: Path
    control_token: str
    pid: int


async def serve(config: SimulatorConfig, *, ready: Callable[[SimulatorAddress], None]) -> None:
    """Run an exchange until cancelled; `ready` is called once it listens."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    address_file = config.data_dir / "simulator.json"
    before = _previous(address_file)
    certificate = config.data_dir / "ca.pem"
    context = server_context(certificate, config.data_dir / "key.pem")
    token = before.get("control_token") or secrets.token_urlsafe(32)
    exchange = Exchange(config)
    trading = web.AppRunner(
        _trading_application(exchange), access_log=None, shutdown_timeout=_SHUTDOWN_S
    )
    control = web.AppRunner(
        ControlApi(exchange, token).application(), access_log=None, shutdown_timeout=_SHUTDOWN_S
    )
    try:
        await trading.setup()
        await control.setup()
        port = config.port or before.get("port", 0)
        trading_site = web.TCPSite(trading, HOST, port, ssl_context=context)
        control_site = web.TCPSite(control, HOST, before.get("control_port", 0))
        await trading_site.start()
        await control_site.start()
        address = SimulatorAddress(
            host=HOST,
            port=trading.addresses[0][1],
            control_port=control.addresses[0][1],
            ca_path=certificate.resolve(),
            control_token=token,
            pid=os.getpid(),
        )
        write_atomically(address_file, orjson.dumps(_document(address)))
        ready(address)
        await exchange.run_market()
    finally:
        await trading.cleanup()
        await control.cleanup()
        exchange.close()


def read_address(data_dir: Path) -> SimulatorAddress:
    """Where the simulator of a data directory is, or last was."""
    document = orjson.loads((data_dir / "simulator.json").read_bytes())
    return SimulatorAddress(**{**document, "ca_path": Path(document["ca_path"])})


def _trading_application(exchange: Exchange) -> web.Application:
    rest = RestApi(exchange)
    api = WebSocketApi(exchange)
    spot, futures = exchange.spot.streams.serve, exchange.futures.streams.serve
    application = web.Application(
        client_max_size=BODY_BYTES_MAX, middlewares=[rest.refuse_in_maintenance]
    )
    application.add_routes(
        [
            web.get("/ws-api/v3", api.serve_spot),
            web.get("/ws", spot),
            web.get("/ws/{name:.+}", spot),
            web.get("/stream", spot),
            web.get("/ws-fapi/v1", api.serve_futures),
            web.get("/private/ws", exchange.listen_keys.serve),
            web.get("/{category:public|market}/ws", futures),
            web.get("/{category:public|market}/ws/{name:.+}", futures),
            web.get("/{category:public|market}/stream", futures),
            web.route("*", "/{path:.*}", rest.serve),
        ]
    )
    return application


def _document(address: SimulatorAddress) -> dict[str, Any]:
    return {
        "host": address.host,
        "port": address.port,
        "control_port": address.control_port,
        "ca_path": str(address.ca_path),
        "control_token": address.control_token,
        "pid": address.pid,
    }


def _previous(address_file: Path) -> dict[str, Any]:
    """Ports and token of the process before, so that clients find this one in its place."""
    if not address_file.exists():
        return {}
    document: dict[str, Any] = orjson.loads(address_file.read_bytes())
    return document

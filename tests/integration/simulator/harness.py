"""A running simulated exchange and unmodified ccxt clients whose sockets lead to it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import ccxt.pro
from aiohttp.abc import AbstractResolver, ResolveResult

from simulator.config import SimulatorConfig
from simulator.server import SimulatorAddress, serve


async def eventually(
    condition: Callable[[], Awaitable[object]], *, timeout_s: float = 10.0
) -> None:
    """Poll until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


class LoopbackResolver(AbstractResolver):
    """Leads every host name to one local port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=self._port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Nothing is held open."""


@dataclass
class Simulator:
    """The address of a running exchange, and what a test asks of it."""

    address: SimulatorAddress
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=str(self.address.ca_path))
        connector = aiohttp.TCPConnector(
            resolver=LoopbackResolver(self.address.port), ssl=context, use_dns_cache=False
        )
        return await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def client(self, **settings: Any) -> Any:
        exchange = ccxt.pro.binance(
            {
                "session": await self.session(),
                "apiKey": "sim-key",
                "secret": "sim-secret",
                "enableRateLimit": False,
                "options": {
                    "defaultType": "spot",
                    "fetchMarkets": {"types": ["spot"]},
                    "fetchCurrencies": False,
                    "fetchMargins": False,
                },
                **settings,
            }
        )
        self._stack.push_async_callback(exchange.close)
        return exchange

    async def futures_client(self, **settings: Any) -> Any:
        exchange = ccxt.pro.binanceusdm(
            {
                "session": await self.session(),
                "apiKey": "sim-key",
                "secret": "sim-secret",
                "enableRateLimit": False,
                **settings,
                "options": {
                    "fetchCurrencies": False,
                    "fetchMargins": False,
                    **settings.get("options", {}),
                },
            }
        )
        self._stack.push_async_callback(exchange.close)
        return exchange

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """One call of the control API; its answer."""
        url = f"http://{self.address.host}:{self.address.control_port}/control/{path}"
        headers = {"Authorization": f"Bearer {self.address.control_token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body, headers=headers) as reply,
        ):
            reply.raise_for_status()
            return await reply.json()

    async def arm(self, **fault: object) -> None:
        await self.control("POST", "faults", [fault])

    async def ledger(self, kind: str | None = None) -> list[dict[str, Any]]:
        answer = await self.control("GET", "ledger")
        records = cast("list[dict[str, Any]]", answer["records"])
        return [record for record in records if kind in {None, record["kind"]}]

    async def freeze(self) -> None:
        """Stop the market once every symbol has a price."""

        async def has_prices() -> bool:
            state = await self.control("GET", "state")
            shown = state["last_prices"], state["futures"]["last_prices"]
            return all(
                len(prices) == len(ids) for prices, ids in zip(shown, known(state), strict=True)
            )

        def known(state: Any) -> Any:
            return state["last_trade_ids"], state["futures"]["last_trade_ids"]

        await eventually(has_prices)
        await self.control("POST", "freeze", {"symbol": "all", "frozen": True})

    async def close(self) -> None:
        await self._stack.aclose()


class UserEvents:
    """A raw user stream, read as execution types."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def executions(self, count: int) -> list[str]:
        seen: list[str] = []
        async with asyncio.timeout(5):
            while len(seen) < count:
                event = (await self.socket.receive_json())["event"]
                if event["e"] == "executionReport":
                    seen.append(event["x"])
        return seen


async def subscribe(simulator: Simulator, binance: Any) -> UserEvents:
    session = await simulator.session()
    socket = await session.ws_connect("wss://ws-api.binance.com/ws-api/v3")
    params = binance.sign_params({})
    await socket.send_json(
        {"id": "1", "method": "userDataStream.subscribe.signature", "params": params}
    )
    assert (await socket.receive_json())["result"] == {"subscriptionId": 0}
    return UserEvents(socket)


@contextlib.asynccontextmanager
async def running(config: SimulatorConfig) -> AsyncIterator[Simulator]:
    """A server in this process for the block."""
    started: asyncio.Future[SimulatorAddress] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(config, ready=started.set_result))
    waited: list[asyncio.Future[Any]] = [server, started]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        server.result()
    simulator = Simulator(started.result())
    try:
        yield simulator
    finally:
        await simulator.close()
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server

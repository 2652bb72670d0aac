"""A venue of the tests' own: a combined-stream server on loopback, and what REST says beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from domain.errors import TransientVenueError
from exchanges.connection import Way
from exchanges.native.wire import Best

START_MS = 1_700_000_000_000
MESSAGES_A_SECOND = 5


class StreamServer:
    """Keeps subscriptions as Binance does, and closes a socket that says too much."""

    def __init__(self) -> None:
        self.url = ""
        #: Sockets opened so far.
        self.connections = 0
        #: When control messages came, by loop time.
        self.heard_s: list[float] = []
        self.requests: list[dict[str, Any]] = []
        self.subscribed: set[str] = set()
        #: Methods that get no reply.
        self.unanswered: set[str] = set()
        #: Streams whose subscription is refused.
        self.refused: set[str] = set()
        self.transport: WSTransport | None = None

    def send(self, stream: str, **data: object) -> None:
        if stream in self.subscribed:
            self.send_text(orjson.dumps({"stream": stream, "data": data}))

    def send_text(self, text: bytes) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, text)

    def book(self, market: str, update_id: int, bid: str, ask: str, **more: str) -> None:
        quantities = {"B": "1.00000000", "A": "2.00000000", **more}
        name = market.upper()
        self.send(f"{market}@bookTicker", u=update_id, s=name, b=bid, a=ask, **quantities)

    def trade(self, market: str, event_ms: int) -> None:
        name = market.upper()
        data = {"e": "trade", "s": name, "t": 1, "p": "1.0", "q": "1.0", "m": True, "M": True}
        self.send(f"{market}@trade", E=event_ms, T=event_ms, **data)

    def hang_up(self) -> None:
        assert self.transport is not None
        self.transport.disconnect()

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        self.requests.append(request)
        method, streams = request["method"], request["params"]
        if method in self.unanswered:
            return None
        if self.refused.intersection(streams):
            return {"error": {"code": 2, "msg": "invalid stream"}, "id": request["id"]}
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(self.subscribed), "id": request["id"]}
        if method == "SUBSCRIBE":
            self.subscribed.update(streams)
        else:
            self.subscribed.difference_update(streams)
        return {"result": None, "id": request["id"]}


class _Connection(WSListener):
    def __init__(self, server: StreamServer) -> None:
        self._server = server

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._server.connections += 1
        self._server.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._server.transport is transport:
            self._server.subscribed.clear()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            transport.disconnect()
            return
        now_s = asyncio.get_running_loop().time()
        self._server.heard_s.append(now_s)
        if sum(heard_s > now_s - 1 for heard_s in self._server.heard_s) > MESSAGES_A_SECOND:
            transport.disconnect()
            return
        reply = self._server.answer(orjson.loads(frame.get_payload_as_bytes()))
        if reply is not None:
            transport.send(WSMsgType.TEXT, orjson.dumps(reply))


@asynccontextmanager
async def stream_server() -> AsyncIterator[StreamServer]:
    server = StreamServer()

    def accept(_: WSUpgradeRequest) -> WSListener:
        return _Connection(server)

    listening = await ws_create_server(accept, "127.0.0.1", 0)
    server.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/stream"
    try:
        yield server
    finally:
        listening.close()
        if server.transport is not None:
            server.transport.disconnect(graceful=False)
        await listening.wait_closed()


@dataclass
class FakeRest:
    """The venue's time, which goes on by a second with each question, and its books."""

    bests: dict[str, Best | None] = field(default_factory=dict)
    time_ms: int = START_MS
    is_down: bool = False
    #: Every look finds another book.
    is_moving: bool = False
    unknown: set[str] = field(default_factory=set)
    looks: int = 0

    async def open(self) -> Way:
        return Way()

    def market_id(self, symbol: str) -> str:
        if symbol in self.unknown:
            raise TransientVenueError(f"no market {symbol}")
        return symbol.replace("/", "")

    async def fetch_time_ms(self) -> int:
        self._answer()
        self.time_ms += 1_000
        return self.time_ms

    async def fetch_bests(self, symbols: Iterable[str]) -> Mapping[str, Best | None]:
        self._answer()
        self.looks += 1
        bid = Decimal("100.00") + (self.looks if self.is_moving else 0)
        usual = bid, bid + Decimal("0.01")
        return {symbol: self.bests.get(symbol, usual) for symbol in symbols}

    def _answer(self) -> None:
        if self.is_down:
            raise TransientVenueError("no answer")

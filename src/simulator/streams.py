"""Public market streams: subscriptions, and what is sent for trades, quotes, depth and tickers."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from simulator import wire_market
from simulator.book import Book
from simulator.faults import Faults
from simulator.market import Quote
from simulator.records import Side
from simulator.sockets import Channel, accepted
from simulator.tape import Candle
from simulator.units import format_e8
from simulator.venue import PublicTrade

STREAMS_PER_SOCKET_MAX = 1_024
KINDS = frozenset({"bookTicker", "trade", "miniTicker", "ticker", "depth@100ms", "depth"})


class MarketStreams:
    """All sockets of the public market data endpoint."""

    def __init__(self, symbols: list[str], faults: Faults) -> None:
        self._known = {f"{symbol.lower()}@{kind}" for symbol in symbols for kind in KINDS}
        self._faults = faults
        self._channels: set[Channel] = set()
        self._raw: dict[str, set[Channel]] = defaultdict(set)
        self._combined: dict[str, set[Channel]] = defaultdict(set)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`/ws`, `/ws/<stream or any number>` and `/stream?streams=a/b`."""
        combined = request.path.startswith("/stream")
        table = self._combined if combined else self._raw
        named = request.query.get("streams") if combined else request.match_info.get("name")
        async with accepted(request) as (socket, channel):
            self._channels.add(channel)
            try:
                if named and "@" in named:
                    self._subscribe(table, channel, named.split("/"))
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        channel.send_json(self._answer(table, channel, message.data))
            finally:
                self._forget(channel)
        return socket

    def disconnect_all(self) -> None:
        for channel in self._channels:
            channel.disconnect()

    def trade(self, trade: PublicTrade) -> None:
        self._publish(f"{trade.symbol.lower()}@trade", lambda: wire_market.trade_event(trade))

    def quote(self, symbol: str, quote: Quote, update_id: int) -> None:
        self._publish(
            f"{symbol.lower()}@bookTicker",
            lambda: wire_market.book_ticker_event(symbol, quote, update_id),
        )

    def depth(self, symbol: str, book: Book, now_ms: int) -> None:
        """What changed since the last call, as absolute quantities."""
        first_id, touched = book.changes()
        if not touched:
            return
        sides: dict[Side, list[list[str]]] = {Side.BUY: [], Side.SELL: []}
        for side, price in sorted(touched):
            quantity = book.displayed(side).get(price, 0)
            sides[side].append([format_e8(price), format_e8(quantity)])
        event = {
            "e": "depthUpdate",
            "E": now_ms,
            "s": symbol,
            "U": first_id,
            "u": book.update_id,
            "b": sides[Side.BUY],
            "a": sides[Side.SELL],
        }
        self._publish(f"{symbol.lower()}@depth@100ms", lambda: event)
        self._publish(f"{symbol.lower()}@depth", lambda: event)

    def ticker(self, symbol: str, day: Candle, book: Book, now_ms: int) -> None:
        """Both tickers; they are sent even if nothing changed, since they carry the time."""
        bid, ask = book.best()
        name = symbol.lower()
        self._publish(f"{name}@miniTicker", lambda: wire_market.mini_ticker(symbol, day, now_ms))
        self._publish(f"{name}@ticker", lambda: wire_market.ticker(symbol, day, bid, ask, now_ms))

    def _publish(self, stream: str, build: Callable[[], dict[str, Any]]) -> None:
        raw, combined = self._raw.get(stream), self._combined.get(stream)
        if not (raw or combined) or self._faults.is_silent("market"):
            return
        event = build()
        if raw:
            message = orjson.dumps(event)
            for channel in raw:
                channel.send(message)
        if combined:
            message = orjson.dumps({"stream": stream, "data": event})
            for channel in combined:
                channel.send(message)

    def _answer(
        self, table: dict[str, set[Channel]], channel: Channel, text: str
    ) -> dict[str, Any]:
        try:
            request = orjson.loads(text)
            method, request_id = request["method"], request["id"]
            streams = request.get("params", [])
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return _refusal(None, "Invalid request: expected method, params and id")
        match method:
            case "SUBSCRIBE":
                if not self._subscribe(table, channel, streams):
                    return _refusal(request_id, "Invalid request: invalid stream")
            case "UNSUBSCRIBE":
                for stream in streams:
                    table[stream].discard(channel)
            case "LIST_SUBSCRIPTIONS":
                mine = [stream for stream, members in table.items() if channel in members]
                return {"result": mine, "id": request_id}
            case _:
                return _refusal(request_id, f"Invalid request: unknown method {method}")
        return {"result": None, "id": request_id}

    def _subscribe(
        self, table: dict[str, set[Channel]], channel: Channel, streams: list[str]
    ) -> bool:
        if len(streams) > STREAMS_PER_SOCKET_MAX or not self._known.issuperset(streams):
            return False
        for stream in streams:
            table[stream].add(channel)
        return True

    def _forget(self, channel: Channel) -> None:
        self._channels.discard(channel)
        for table in (self._raw, self._combined):
            for members in table.values():
                members.discard(channel)


def _refusal(request_id: object, message: str) -> dict[str, Any]:
    return {"error": {"code": 2, "msg": message}, "id": request_id}

"""Public market streams: subscriptions, and what is sent for trades, quotes, depth and candles."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import orjson
from aiohttp import WSMsgType, web

from simulator import wire_market
from simulator.book import Book
from simulator.faults import Faults
from simulator.outbox import PublicTrade
from simulator.prices import Quote
from simulator.records import Side
from simulator.sockets import Channel, accepted
from simulator.tape import INTERVALS_MS, Candle, Tape
from simulator.units import format_e8
from simulator.wire_market import DepthIds

STREAMS_PER_SOCKET_MAX = 1_024
_KLINES = frozenset(f"kline_{interval}" for interval in INTERVALS_MS)
_DEPTHS = ("depth", "depth@100ms")
KINDS = frozenset({"bookTicker", "trade", "aggTrade", "miniTicker", "ticker", *_DEPTHS, *_KLINES})
#: What a market sends of every symbol in one stream.
ALL_SYMBOLS = frozenset({"!miniTicker@arr", "!ticker@arr", "!bookTicker"})


class Dialect(Protocol):
    """How a market words its public events; a module is one."""

    def trade_events(self, trade: PublicTrade) -> dict[str, dict[str, Any]]: ...

    def book_ticker_event(
        self, symbol: str, quote: Quote, update_id: int, now_ms: int
    ) -> dict[str, Any]: ...

    def depth_event(
        self,
        symbol: str,
        ids: DepthIds,
        bids: list[list[str]],
        asks: list[list[str]],
        now_ms: int,
    ) -> dict[str, Any]: ...


class MarketStreams:
    """All sockets of one market's public data."""

    def __init__(
        self,
        symbols: Iterable[str],
        faults: Faults,
        dialect: Dialect,
        *,
        kinds: Iterable[str] = (),
        all_symbols: Iterable[str] = (),
    ) -> None:
        """`kinds` and `all_symbols` name streams beyond those that every market has."""
        self._dialect = dialect
        self._known = {
            f"{symbol.lower()}@{kind}" for symbol in symbols for kind in KINDS.union(kinds)
        }
        self._known |= ALL_SYMBOLS.union(all_symbols)
        self._faults = faults
        self._channels: set[Channel] = set()
        self._raw: dict[str, set[Channel]] = defaultdict(set)
        self._combined: dict[str, set[Channel]] = defaultdict(set)
        self._open_candle_ms: dict[str, int] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`…/ws`, `…/ws/<streams or any number>` and `…/stream?streams=a/b`."""
        combined = request.path.endswith("/stream")
        table = self._combined if combined else self._raw
        named = request.query.get("streams") if combined else request.match_info.get("name")
        async with accepted(request) as (socket, channel):
            self._channels.add(channel)
            try:
                if named and ("@" in named or "!" in named):
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
        name = trade.symbol.lower()
        if any(self._has_readers(f"{name}@{kind}") for kind in ("trade", "aggTrade")):
            for kind, event in self._dialect.trade_events(trade).items():
                self.send(f"{name}@{kind}", event)

    def quote(self, symbol: str, quote: Quote, update_id: int, now_ms: int) -> None:
        def build() -> dict[str, Any]:
            return self._dialect.book_ticker_event(symbol, quote, update_id, now_ms)

        self._publish(f"{symbol.lower()}@bookTicker", build)
        self._publish("!bookTicker", build)

    def depth(self, symbol: str, book: Book, now_ms: int) -> None:
        """What changed since the last call, as absolute quantities."""
        first_id, touched = book.changes()
        if not touched:
            return
        sides: dict[Side, list[list[str]]] = {Side.BUY: [], Side.SELL: []}
        for side, price in sorted(touched):
            quantity = book.displayed(side).get(price, 0)
            sides[side].append([format_e8(price), format_e8(quantity)])
        ids = DepthIds(before=first_id - 1, first=first_id, last=book.update_id)
        event = self._dialect.depth_event(symbol, ids, sides[Side.BUY], sides[Side.SELL], now_ms)
        for kind in _DEPTHS:
            self.send(f"{symbol.lower()}@{kind}", event)

    def tickers(self, days: Iterable[tuple[str, Candle, Book]], now_ms: int) -> None:
        """Both tickers; they are sent even if nothing changed, since they carry the time."""
        minis: list[dict[str, Any]] = []
        fulls: list[dict[str, Any]] = []
        for symbol, day, book in days:
            minis.append(wire_market.mini_ticker(symbol, day, now_ms))
            fulls.append(wire_market.ticker(symbol, day, *book.best(), now_ms))
            self.send(f"{symbol.lower()}@miniTicker", minis[-1])
            self.send(f"{symbol.lower()}@ticker", fulls[-1])
        self.send("!miniTicker@arr", minis)
        self.send("!ticker@arr", fulls)

    def candles(self, symbol: str, tape: Tape, now_ms: int) -> None:
        """The open candle of each length that is read, after the one it has just followed."""
        for interval, interval_ms in INTERVALS_MS.items():
            stream = f"{symbol.lower()}@kline_{interval}"
            if not self._has_readers(stream):
                self._open_candle_ms.pop(stream, None)
                continue
            series = tape.series(interval_ms, now_ms, last=2)
            if not series:
                continue
            open_ms = series[-1].open_ms
            if len(series) == 2 and self._open_candle_ms.get(stream, open_ms) < open_ms:
                closed = wire_market.kline_event(symbol, interval, series[0], now_ms, closed=True)
                self.send(stream, closed)
            self._open_candle_ms[stream] = open_ms
            self.send(
                stream, wire_market.kline_event(symbol, interval, series[-1], now_ms, closed=False)
            )

    def send(self, stream: str, event: object) -> None:
        """Send a finished event to whoever reads the stream."""
        self._publish(stream, lambda: event)

    def _has_readers(self, stream: str) -> bool:
        return bool(self._raw.get(stream) or self._combined.get(stream))

    def _publish(self, stream: str, build: Callable[[], object]) -> None:
        if not self._has_readers(stream) or self._faults.is_silent("market"):
            return
        event = build()
        if raw := self._raw.get(stream):
            message = orjson.dumps(event)
            for channel in raw:
                channel.send(message)
        if combined := self._combined.get(stream):
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

"""One connection's life: subscriptions follow the markets, and REST checks what stands still.

A stream that says nothing may have nothing to say or may be broken. So every now and then the venue
is asked for its time, then the socket for its subscriptions: its reply proves that the connection
lives, and that whatever comes after it was sent later than that time. A book that did not move in
between is compared with REST's: if they agree it is known to be fresh, and if they do not, and
the stream does not catch up, the stream is broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec
import structlog

from domain.errors import VenueError
from exchanges.native.market import Market
from exchanges.native.socket import StreamSocket, Unsubscribable
from exchanges.native.source import QuoteSource
from exchanges.native.wire import BookTicker, Decode, Dialect
from exchanges.streams import QuoteCounters, Silent

#: How often the connection proves itself; a quote without news is at most this much older.
CONFIRM_EVERY_S = 2.0
#: A quote is compared with REST's when it is older than this.
QUIET_MS = 500
#: How long the stream may lag behind REST.
CATCH_UP_S = 0.5
#: A symbol that the venue does not know is asked for again after this long.
RETRY_REFUSED_S = 5.0
#: Streams one connection may carry.
STREAMS_MAX = 1_024
#: Markets named in one control message, and in one request.
MARKETS_AT_ONCE = 100

Item = TypeVar("Item")
Answer = TypeVar("Answer")

log = structlog.get_logger("exchanges")


class Session:
    """Serves all markets on one socket until that is lost."""

    def __init__(
        self,
        source: QuoteSource,
        dialect: Dialect,
        markets: Mapping[str, Market],
        changed: asyncio.Event,
        counters: QuoteCounters,
        *,
        silence_s: float,
        confirm_every_s: float,
    ) -> None:
        self._source = source
        self._dialect = dialect
        self._markets = markets
        self._changed = changed
        self._counters = counters
        self._silence_s = silence_s
        self._confirm_every_s = confirm_every_s
        #: The venue's latest word on what time it is; what comes from now on is not older.
        self._venue_ms = 0
        self._routes: dict[str, tuple[Market, Decode]] = {}
        #: Acknowledged by the venue, with their streams.
        self._subscribed: dict[Market, tuple[str, ...]] = {}
        self._must_look = asyncio.Event()

    async def run(self, url: str, up: Callable[[], None]) -> None:
        """Serve until something fails, and raise that; `up` is called whenever quotes flow."""
        way = await self._source.open()
        socket = await StreamSocket.open(
            url, way, self._on_event, self._on_malformed, self._silence_s
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(socket.until_closed())
                tasks.create_task(self._follow_markets(socket))
                tasks.create_task(self._keep_looking(socket, up))
        finally:
            socket.close()

    def _on_event(self, stream: str, data: msgspec.Raw) -> None:
        route = self._routes.get(stream)
        if route is None:
            return  # unsubscribed a moment ago
        market, decode = route
        event = decode(data)
        if isinstance(event, BookTicker):
            market.take(event, self._venue_ms)
        else:
            self._venue_ms = event.event_ms

    def _on_malformed(self) -> None:
        self._counters.malformed += 1
        log.warning("market_message_malformed")

    async def _follow_markets(self, socket: StreamSocket) -> None:
        while True:
            self._changed.clear()
            wanted = set(self._markets.values())
            gone = [market for market in self._subscribed if market not in wanted]
            for markets in _batches(gone):
                await self._unsubscribe(socket, markets)
            new = [market for market in wanted if market not in self._subscribed]
            for named in _batches(self._with_names(new)):
                await self._subscribe(socket, named)
            await self._changed.wait()

    def _with_names(self, markets: Sequence[Market]) -> Sequence[tuple[Market, tuple[str, ...]]]:
        """The markets that can be asked for; the others are told that they cannot."""
        room = STREAMS_MAX - len(self._routes)
        named = []
        for market in markets:
            try:
                streams = self._dialect.streams(self._source.market_id(market.symbol))
            except VenueError as error:
                self._refuse(market, str(error))
                continue
            room -= len(streams)
            if room < 0:
                self._refuse(market, f"a connection carries {STREAMS_MAX} streams at most")
            else:
                named.append((market, streams))
        return named

    async def _subscribe(
        self, socket: StreamSocket, batch: Sequence[tuple[Market, tuple[str, ...]]]
    ) -> None:
        for market, streams in batch:
            for stream in streams:
                self._routes[stream] = market, self._dialect.decoder_of(stream)
        try:
            await socket.request("SUBSCRIBE", [name for _, names in batch for name in names])
        except Unsubscribable as error:
            for _, streams in batch:
                self._forget(streams)
            if len(batch) == 1:
                self._refuse(batch[0][0], str(error))
                return
            # One bad symbol does not cost the others their stream.
            middle = len(batch) // 2
            await self._subscribe(socket, batch[:middle])
            await self._subscribe(socket, batch[middle:])
            return
        self._subscribed.update(batch)
        self._must_look.set()

    async def _unsubscribe(self, socket: StreamSocket, markets: Sequence[Market]) -> None:
        streams = [name for market in markets for name in self._subscribed.pop(market)]
        self._forget(streams)
        await socket.request("UNSUBSCRIBE", streams)

    def _forget(self, streams: Sequence[str]) -> None:
        for stream in streams:
            del self._routes[stream]

    def _refuse(self, market: Market, reason: str) -> None:
        log.warning("quotes_refused", symbol=market.symbol, reason=reason)
        market.lose(reason)
        asyncio.get_running_loop().call_later(RETRY_REFUSED_S, self._changed.set)

    async def _keep_looking(self, socket: StreamSocket, up: Callable[[], None]) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._confirm_every_s):
                    await self._must_look.wait()
            self._must_look.clear()
            await self._look(socket)
            if any(market.is_up for market in self._subscribed):
                up()

    async def _look(self, socket: StreamSocket) -> None:
        """Prove that the connection lives, and compare the books that stand still with REST's."""
        venue_ms = await _answer(self._source.fetch_time_ms())
        expected = {name for names in self._subscribed.values() for name in names}
        listed = await socket.request("LIST_SUBSCRIPTIONS")
        if missing := (expected & self._routes.keys()).difference(listed):
            raise Silent(f"no longer subscribed: {', '.join(sorted(missing))}")
        if venue_ms is None:
            return
        self._venue_ms = venue_ms
        differing: dict[Market, int] = {}
        for batch in _batches([m for m in self._subscribed if _is_due(m, venue_ms)]):
            differing |= await self._compare(batch, venue_ms)
        if differing:
            await asyncio.sleep(CATCH_UP_S)
            self._refuse_standstill(differing)

    async def _compare(self, markets: Sequence[Market], venue_ms: int) -> dict[Market, int]:
        """Restore or confirm each; those of which REST says otherwise, with their updates."""
        before = {market: market.updates for market in markets}
        bests = await _answer(self._source.fetch_bests([market.symbol for market in markets]))
        if bests is None:
            return {}
        differing = {}
        for market, updates in before.items():
            best = bests.get(market.symbol)
            if best is None:
                self._counters.refused += 1
            elif market.best is None:
                market.best = best
                if not market.is_doubted:
                    market.restore(venue_ms)
            elif not market.is_up and market.updates:
                market.restore(venue_ms)
            elif market.updates != updates:
                continue  # it moved meanwhile
            elif market.best != best:
                differing[market] = updates
            elif market.is_up:
                market.confirm(venue_ms)
            else:
                market.restore(venue_ms)
        return differing

    def _refuse_standstill(self, differing: Mapping[Market, int]) -> None:
        stuck = [
            market
            for market, updates in differing.items()
            if market.updates == updates and market in self._subscribed
        ]
        if not stuck:
            return
        for market in stuck:
            market.is_doubted = True
        self._counters.stuck += len(stuck)
        names = ", ".join(sorted(market.symbol for market in stuck))
        raise Silent(f"the book moves at the venue and stands still on the stream: {names}")


def _is_due(market: Market, venue_ms: int) -> bool:
    """Whether the market has no quote, or none as young as it should be."""
    return market.exchange_ms is None or not 0 <= venue_ms - market.exchange_ms < QUIET_MS


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), MARKETS_AT_ONCE):
        yield items[first : first + MARKETS_AT_ONCE]


async def _answer(asked: Awaitable[Answer]) -> Answer | None:
    """REST may fail while the stream is good: what it did not confirm merely grows old."""
    try:
        return await asked
    except VenueError as error:
        log.warning("quotes_not_confirmed", error=str(error))
        return None

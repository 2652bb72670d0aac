"""Best bid and ask of all symbols of an account on one connection that is watched and renewed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from exchanges.account import AccountConfig
from exchanges.channel import Channel, relay
from exchanges.connection import Connection
from exchanges.native.market import Market
from exchanges.native.session import CONFIRM_EVERY_S, Session
from exchanges.native.source import Asking, CcxtSource, QuoteSource
from exchanges.native.wire import DIALECTS, Dialect
from exchanges.streams import QuoteCounters, QuoteEvent, keep_connected
from ext.engine import Lull
from ports.exchange import StreamLost


def native_quotes(
    config: AccountConfig, open_connection: Callable[[], Awaitable[Connection]], asking: Asking
) -> NativeQuotes | None:
    """The account's streams; `None` where ccxt's are to be used."""
    dialect = DIALECTS.get((config.venue, config.market))
    if dialect is None or not config.native_quotes:
        return None
    return NativeQuotes(
        CcxtSource(open_connection, asking),
        dialect,
        dialect.urls[config.mode],
        silence_s=config.stream_silence_ms / 1000,
    )


class NativeQuotes:
    """Watches any number of symbols; the connection lives as long as one of them is watched."""

    def __init__(
        self,
        source: QuoteSource,
        dialect: Dialect,
        url: str,
        *,
        silence_s: float,
        confirm_every_s: float = CONFIRM_EVERY_S,
    ) -> None:
        self.counters = QuoteCounters()
        self._source = source
        self._dialect = dialect
        self._url = url
        self._silence_s = silence_s
        self._confirm_every_s = confirm_every_s
        self._markets: dict[str, Market] = {}
        #: Symbols came or went.
        self._changed = asyncio.Event()
        self._service: asyncio.Task[None] | None = None

    def watch(self, symbol: str, lull: Lull | None = None) -> AsyncGenerator[QuoteEvent, None]:
        async def feed(channel: Channel[QuoteEvent]) -> None:
            service = self._join(symbol, channel, lull or Lull())
            try:
                await asyncio.wait({service})
                service.result()
            finally:
                await self._leave(symbol, channel)

        return relay(feed)

    def _join(self, symbol: str, channel: Channel[QuoteEvent], lull: Lull) -> asyncio.Task[None]:
        if symbol not in self._markets:
            self._markets[symbol] = Market(symbol, self.counters)
            self._changed.set()
        self._markets[symbol].join(channel, lull)
        if self._service is None:
            self._service = asyncio.create_task(self._serve(), name="native quotes")
        return self._service

    async def _leave(self, symbol: str, channel: Channel[QuoteEvent]) -> None:
        market = self._markets[symbol]
        market.readers.pop(channel, None)
        if not market.readers:
            del self._markets[symbol]
            self._changed.set()
        if not self._markets and self._service is not None:
            service, self._service = self._service, None
            service.cancel()
            await asyncio.wait({service})

    async def _serve(self) -> None:
        await keep_connected(
            "quotes", self._serve_once, restored=lambda _: None, lost=self._announce_loss
        )

    async def _serve_once(self, up: Callable[[], None]) -> None:
        session = Session(
            self._source,
            self._dialect,
            self._markets,
            self._changed,
            self.counters,
            silence_s=self._silence_s,
            confirm_every_s=self._confirm_every_s,
        )
        await session.run(self._url, up)

    def _announce_loss(self, lost: StreamLost) -> None:
        self.counters.lost += 1
        for market in self._markets.values():
            market.lose(lost.reason)

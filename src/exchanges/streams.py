"""Quotes and account events over WebSockets that are watched, dropped and opened again.

What a socket loses while it is down is never replayed, so each (re)connection is announced by
`StreamRestored`, upon which the reader asks the venue by REST.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import structlog

from domain.errors import VenueError
from domain.ids import ClientOrderId
from domain.market import Quote
from domain.orders import OrderReport, Trade, VenueStatus
from exchanges.capabilities import UserStream, Venue
from exchanges.channel import Channel, relay
from exchanges.connection import Connection
from exchanges.conversions import Structure, to_order_report, to_quote, to_trade
from exchanges.look_up import client_id_of
from exchanges.translate import MALFORMED, CcxtError, understanding
from ext.engine import Lull
from ports.exchange import StreamLost, StreamRestored, WalletMoved

RECONNECT_FIRST_S = 0.1
RECONNECT_LONGEST_S = 5.0
POLL_EVERY_S = 5.0
#: ccxt's options of the account stream of contracts; it holds the stream's key.
LISTEN_KEY = "linear"
#: What ends a connection's service; anything else is a defect of ours and goes to the reader.
_FAILURES = (CcxtError, VenueError, OSError, *MALFORMED)

QuoteEvent = Quote | StreamLost | StreamRestored
AccountEvent = OrderReport | Trade | WalletMoved | StreamLost | StreamRestored
OpenConnection = Callable[[], Awaitable[Connection]]

log = structlog.get_logger("exchanges")


class Silent(VenueError):
    """A stream says nothing although something must have happened."""


@dataclass(slots=True)
class QuoteCounters:
    """What the market streams did not pass on; of ccxt's only the refused quotes are known."""

    #: Quotes that were crossed, negative or no numbers.
    refused: int = 0
    #: Quotes older than the one before them.
    backwards: int = 0
    #: Messages of another shape than the venue's.
    malformed: int = 0
    #: Books that stood still on the stream while the venue's moved.
    stuck: int = 0
    #: Connections that ended.
    lost: int = 0


@dataclass(slots=True)
class _Market:
    """What is known of one symbol on the present connection."""

    symbol: str
    book: Structure | None = None
    #: The venue's latest word on what time it is, 0 before the first.
    exchange_ms: int = 0


class QuoteStreams:
    """Best bid and ask of any number of symbols on one socket.

    The book ticker comes only when it changes, and on spot without a time; the ticker comes every
    second with the venue's time. So each stamps the other: a quote is sent again, with a later
    time, as long as the venue says that time goes on.
    """

    def __init__(
        self,
        open_connection: OpenConnection,
        fetch_book: Callable[[str], Awaitable[Structure]],
        *,
        silence_s: float,
        subscribe_every_s: float,
    ) -> None:
        self._open = open_connection
        self._fetch_book = fetch_book
        self._silence_s = silence_s
        self._subscribe_every_s = subscribe_every_s
        self._may_subscribe = asyncio.Lock()
        self._last_message_s = 0.0
        self.counters = QuoteCounters()

    def watch(self, symbol: str, _: Lull | None = None) -> AsyncGenerator[QuoteEvent, None]:
        async def feed(channel: Channel[QuoteEvent]) -> None:
            await keep_connected(
                f"quotes {symbol}",
                lambda up: self._serve(symbol, channel, up),
                restored=channel.put,
                lost=channel.put,
            )

        return relay(feed)

    async def _serve(
        self, symbol: str, channel: Channel[QuoteEvent], up: Callable[[], None]
    ) -> None:
        connection = await self._open()
        await self._may_subscribe.acquire()
        asyncio.get_running_loop().call_later(self._subscribe_every_s, self._may_subscribe.release)
        market = _Market(symbol)
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(_pump(self._pump_books(connection.client, market, channel)))
            pumps.create_task(_pump(self._pump_times(connection, market, channel, up)))

    async def _pump_books(self, client: Any, market: _Market, channel: Channel[QuoteEvent]) -> None:
        while True:
            await client.watch_bids_asks([market.symbol])
            self._last_message_s = _now_s()
            # The call returns the first of what came in; the cache holds the latest.
            market.book = client.bidsasks[market.symbol]
            self._publish(market, channel)

    async def _pump_times(
        self,
        connection: Connection,
        market: _Market,
        channel: Channel[QuoteEvent],
        up: Callable[[], None],
    ) -> None:
        client = connection.client
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    await client.watch_tickers([market.symbol])
            except TimeoutError as error:
                # One quiet symbol does not cost the others their socket.
                if _now_s() - self._last_message_s >= self._silence_s:
                    connection.drop_sockets("market streams are silent", of_account=False)
                raise Silent(f"no ticker within {self._silence_s} s") from error
            self._last_message_s = _now_s()
            exchange_ms = int(client.tickers[market.symbol]["timestamp"])
            market.exchange_ms = max(market.exchange_ms, exchange_ms)
            up()
            if market.book is None:
                book = await self._fetch_book(market.symbol)
                market.book = market.book or book
            self._publish(market, channel)

    def _publish(self, market: _Market, channel: Channel[QuoteEvent]) -> None:
        if market.book is None or not market.exchange_ms:
            return
        try:
            quote = to_quote(market.symbol, market.book, market.exchange_ms)
        except MALFORMED as error:
            self.counters.refused += 1
            log.warning("quote_refused", symbol=market.symbol, error=str(error))
            return
        channel.put(quote)


class AccountStream:
    """Order and trade events of the whole account.

    The venue sends nothing while nothing happens, so silence is judged by what must happen: an
    order that the venue accepted shows up on the stream soon, or the stream is broken.
    """

    def __init__(self, open_connection: OpenConnection, venue: Venue, *, silence_s: float) -> None:
        self._open = open_connection
        self._venue = venue
        self._silence_s = silence_s
        #: Orders sent and not yet seen here, and when an accepted one is overdue, by loop time.
        self._expected: dict[ClientOrderId, float | None] = {}

    def watch(self) -> AsyncGenerator[AccountEvent, None]:
        async def feed(channel: Channel[AccountEvent]) -> None:
            if not self._venue.user_streams:
                await _poll(channel)
            await keep_connected(
                "account",
                lambda up: self._serve(channel, up),
                restored=channel.put,
                lost=channel.put,
            )

        return relay(feed)

    def expect(self, client_order_id: ClientOrderId) -> None:
        """An order is about to be sent."""
        if self._venue.user_streams:
            self._expected[client_order_id] = None

    def settle(self, client_order_id: ClientOrderId, *, is_accepted: bool) -> None:
        """Its reply is there: accepted it must show up, otherwise it need not."""
        if not is_accepted:
            self._expected.pop(client_order_id, None)
        elif client_order_id in self._expected:
            self._expected[client_order_id] = _now_s() + self._silence_s

    async def _serve(self, channel: Channel[AccountEvent], up: Callable[[], None]) -> None:
        connection = await self._open()
        client = connection.client
        try:
            if self._venue.signs_in:
                # A key that ccxt holds may have ended with what ended the stream.
                client.options.pop(LISTEN_KEY, None)
                async with asyncio.timeout(self._silence_s):
                    await client.authenticate()
            self._expected.clear()
            up()
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(self._pump_orders(client, channel)))
                pumps.create_task(_pump(self._pump_trades(client, channel)))
                if UserStream.WALLETS in self._venue.user_streams:
                    pumps.create_task(_pump(self._pump_wallets(client, channel)))
                pumps.create_task(self._await_expected())
        finally:
            # ccxt would take a half-open subscription for a working one.
            connection.drop_sockets("account stream failed", of_account=True)

    async def _pump_orders(self, client: Any, channel: Channel[AccountEvent]) -> None:
        while True:
            for order in await client.watch_orders():
                with understanding("order event"):
                    name = client_id_of(order, self._venue.ids)
                    report = to_order_report({**order, "clientOrderId": name})
                self._expected.pop(report.client_order_id, None)
                # A rejection names the client id only, which an order that rests may carry as
                # well; the reply says it better.
                if report.status is not VenueStatus.REJECTED:
                    channel.put(report)

    async def _pump_trades(self, client: Any, channel: Channel[AccountEvent]) -> None:
        while True:
            for trade in await client.watch_my_trades():
                with understanding("trade event"):
                    event = to_trade(trade)
                channel.put(event)

    async def _pump_wallets(self, client: Any, channel: Channel[AccountEvent]) -> None:
        while True:
            balance = await client.watch_balance()
            with understanding("balance event"):
                reason = balance["info"]["a"]["m"]
            # Trades say themselves what they moved.
            if reason != "ORDER":
                channel.put(WalletMoved())

    async def _await_expected(self) -> None:
        while True:
            await asyncio.sleep(self._silence_s / 5)
            now_s = _now_s()
            for client_order_id, overdue_s in self._expected.items():
                if overdue_s is not None and overdue_s < now_s:
                    raise Silent(f"no event of the accepted order {client_order_id}")


async def _poll(channel: Channel[AccountEvent]) -> NoReturn:
    """Where the account has no stream: have the reader ask, again and again."""
    while True:
        channel.put(StreamRestored())
        await asyncio.sleep(POLL_EVERY_S)


async def _pump(forever: Awaitable[None]) -> None:
    """Notice when ccxt cancels its own watch: the group would take that for a quiet end."""
    try:
        await forever
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise Silent("the client cancelled its watch") from None
        raise


async def keep_connected(
    name: str,
    serve: Callable[[Callable[[], None]], Awaitable[None]],
    *,
    restored: Callable[[StreamRestored], None],
    lost: Callable[[StreamLost], None],
) -> None:
    """Serve for ever; say each time when the stream is up, and why it was lost."""
    wait_s = RECONNECT_FIRST_S
    while True:
        is_up = False

        def up() -> None:
            nonlocal is_up, wait_s
            if not is_up:
                is_up, wait_s = True, RECONNECT_FIRST_S
                restored(StreamRestored())

        reason = ""
        try:
            await serve(up)
        except* _FAILURES as failures:
            reason = repr(failures.exceptions[0])
        log.warning("stream_lost", stream=name, reason=reason)
        lost(StreamLost(reason))
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, RECONNECT_LONGEST_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()

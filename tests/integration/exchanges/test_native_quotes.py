"""The native market streams on the simulated venue: what a loss, a silence and a rest look like."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from domain.market import Quote
from exchanges.ccxt_exchange import CcxtExchange
from exchanges.streams import QuoteEvent
from integration.exchanges.conftest import Connect
from integration.exchanges.harness import SYMBOL, Reader, Venue
from ports.exchange import StreamLost, StreamRestored

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")


@pytest.fixture
async def native(connect: Connect) -> CcxtExchange:
    return connect(stream_silence_ms=2_500, native_quotes=True)


@pytest.fixture
async def reader(native: CcxtExchange) -> AsyncIterator[Reader[QuoteEvent]]:
    reader = Reader(native.watch_quotes(SYMBOL))
    await reader.until(quotes_of)
    yield reader
    await reader.close()


def quotes_of(events: list[QuoteEvent]) -> list[Quote]:
    return [event for event in events if isinstance(event, Quote)]


def between_loss_and_return(events: list[QuoteEvent]) -> list[QuoteEvent]:
    after = itertools.dropwhile(lambda event: not isinstance(event, StreamLost), events)
    return list(itertools.takewhile(lambda event: not isinstance(event, StreamRestored), after))


async def test_all_symbols_share_one_socket(native: CcxtExchange, venue: Venue) -> None:
    readers = [Reader(native.watch_quotes(symbol)) for symbol in SYMBOLS]
    for reader in readers:
        await reader.until(quotes_of)
    await venue.arm(kind="ws_disconnect", stream="market")
    for reader in readers:
        await reader.until(lambda seen: seen.count(StreamRestored()) == 2)
        await reader.close()
    assert native.quote_counters.lost == 1


async def test_first_quote_after_a_disconnection_is_what_the_venue_has_by_then(
    native: CcxtExchange, reader: Reader[QuoteEvent], venue: Venue
) -> None:
    # The book moves while nobody is connected, and the stream will not repeat it.
    await venue.arm(kind="maintenance", duration_s=1.5)
    await venue.arm(kind="ws_disconnect", stream="market")
    await reader.until(between_loss_and_return)
    await venue.control("POST", "price", {"symbol": "BTCUSDT", "price": "60123.45"})
    await reader.until(lambda seen: isinstance(seen[-1], Quote) and between_loss_and_return(seen))
    *_, restored, quote = reader.seen[: reader.seen.index(StreamRestored(), 1) + 2]
    assert restored == StreamRestored()
    assert isinstance(quote, Quote)
    best = await native.fetch_quote(SYMBOL)
    assert (quote.bid, quote.ask) == (best.bid, best.ask)
    assert best.bid is not None
    assert best.bid < 60_124


async def test_silent_stream_of_a_moving_market_gives_no_quote_until_it_speaks(
    native: CcxtExchange, reader: Reader[QuoteEvent], venue: Venue
) -> None:
    await venue.set_frozen(False)
    await reader.until(lambda seen: len(quotes_of(seen)) > 5)
    await venue.arm(kind="ws_silent", stream="market", duration_s=6)
    await reader.until(
        lambda seen: seen.count(StreamRestored()) == 2 and isinstance(seen[-1], Quote)
    )
    lost = between_loss_and_return(reader.seen)
    assert lost
    assert all(isinstance(event, StreamLost) for event in lost)
    assert native.quote_counters.stuck >= 1


async def test_silent_stream_of_a_market_at_rest_keeps_fresh_by_rest(
    reader: Reader[QuoteEvent], venue: Venue
) -> None:
    await venue.arm(kind="ws_silent", stream="market", duration_s=60)
    silent_from_ms = (await venue.control("GET", "state"))["time_ms"]
    await reader.until(lambda seen: quotes_of(seen)[-1].exchange_ms > silent_from_ms + 4_000)
    assert between_loss_and_return(reader.seen) == []

"""A symbol's quotes on their way to its readers: kept where they change nothing, in order."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from domain.market import Quote
from exchanges.channel import Channel
from exchanges.native.market import Market
from exchanges.native.wire import BookTicker
from exchanges.streams import QuoteCounters, QuoteEvent
from ext.engine import Lull, QuietBand, TickScale
from ports.exchange import StreamLost, StreamRestored

#: Nothing changes while the middle lies between 100.00 and 110.00.
QUIET = TickScale(Decimal("0.01")), QuietBand(10_000, 11_000, 11_000, 10_000)


class Reader:
    """A channel and a lull, and what came of both."""

    def __init__(self) -> None:
        self.channel: Channel[QuoteEvent] = Channel()
        self.lull = Lull()

    async def sees(self) -> list[QuoteEvent]:
        """Everything that was published since."""
        await asyncio.sleep(0)  # a turn of the loop, for what is published at its end
        return [await self.channel.take() for _ in range(len(self.channel.unread))]


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.fixture
async def market(reader: Reader) -> Market:
    """Up, read to the end, and its reader waits."""
    market = Market("BTC/USDT", QuoteCounters())
    market.join(reader.channel, reader.lull)
    market.best = Decimal(105), Decimal(106)
    market.restore(1)
    await reader.sees()
    reader.lull.begin(*QUIET)
    return market


def book(update_id: int, bid: str, ask: str, quantity: str = "1") -> BookTicker:
    return BookTicker(
        update_id=update_id, bid=bid, bid_quantity=quantity, ask=ask, ask_quantity=quantity
    )


def quote(bid: str, ask: str, exchange_ms: int) -> Quote:
    return Quote(symbol="BTC/USDT", bid=Decimal(bid), ask=Decimal(ask), exchange_ms=exchange_ms)


async def test_market_quiet_book_is_kept_with_its_time_and_not_published(
    market: Market, reader: Reader
) -> None:
    market.take(book(1, "105.00", "105.01"), 7)
    market.take(book(2, "105.50", "105.51"), 8)
    assert await reader.sees() == []
    assert reader.lull.take() == ("105.50", "105.51", 8)
    assert (market.updates, market.update_id, market.exchange_ms) == (2, 2, 8)
    assert market.best == (Decimal("105.50"), Decimal("105.51"))


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        pytest.param("111.00", "111.01", id="outside the band"),
        pytest.param("105.001", "105.01", id="between ticks"),
        pytest.param("1.05E+2", "106.00", id="with an exponent"),
        pytest.param("0000000000000000105.00", "106.00", id="many digits"),
    ],
)
async def test_market_book_that_may_change_something_is_published(
    market: Market, reader: Reader, bid: str, ask: str
) -> None:
    market.take(book(1, "105.50", "105.51"), 7)
    market.take(book(2, bid, ask), 8)
    assert await reader.sees() == [quote(bid, ask, 8)]


async def test_market_one_sided_book_is_published(market: Market, reader: Reader) -> None:
    market.take(book(1, "0.00", "106.00", quantity="0"), 7)
    (seen,) = await reader.sees()
    assert isinstance(seen, Quote)
    assert (seen.bid, seen.ask) == (None, Decimal("106.00"))


@pytest.mark.parametrize(
    ("bid", "ask"), [("105.01", "105.00"), ("105.00", "105.00"), ("x", "105.00"), ("-1", "105.00")]
)
async def test_market_book_that_makes_no_sense_changes_nothing(
    market: Market, reader: Reader, bid: str, ask: str
) -> None:
    market.take(book(1, "111.00", "111.01"), 7)
    market.take(book(2, bid, ask), 8)
    assert market.counters.refused == 1
    assert await reader.sees() == [quote("111.00", "111.01", 7)]
    assert (market.updates, market.update_id) == (1, 1)


async def test_market_quiet_book_older_than_the_last_is_dropped(
    market: Market, reader: Reader
) -> None:
    market.take(book(2, "105.50", "105.51"), 7)
    market.take(book(1, "105.00", "105.01"), 8)
    assert market.counters.backwards == 1
    assert reader.lull.take() == ("105.50", "105.51", 7)


async def test_market_quiet_book_overtakes_no_other_on_its_way_to_the_reader(
    market: Market, reader: Reader
) -> None:
    market.take(book(1, "111.00", "111.01"), 7)
    market.take(book(2, "105.00", "105.01"), 8)
    await asyncio.sleep(0)  # published, and not read yet
    market.take(book(3, "105.50", "105.51"), 9)
    assert reader.lull.take() is None
    assert await reader.sees() == [quote("105.50", "105.51", 9)]
    market.take(book(4, "106.00", "106.01"), 10)
    assert reader.lull.take() == ("106.00", "106.01", 10)


async def test_market_book_is_published_if_any_reader_cannot_do_without(
    market: Market, reader: Reader
) -> None:
    other = Reader()
    market.join(other.channel, other.lull)
    await other.sees()
    market.take(book(1, "105.50", "105.51"), 7)
    expected = quote("105.50", "105.51", 7)
    assert await reader.sees() == await other.sees() == [expected]


async def test_market_second_reader_gets_the_quiet_book(market: Market) -> None:
    market.take(book(1, "105.50", "105.51"), 7)
    other = Reader()
    market.join(other.channel, other.lull)
    assert await other.sees() == [StreamRestored(), quote("105.50", "105.51", 7)]


async def test_market_lost_forgets_the_quiet_book_and_keeps_none(
    market: Market, reader: Reader
) -> None:
    market.take(book(1, "105.50", "105.51"), 7)
    assert reader.lull.take() is not None
    market.lose("closed")
    assert (market.best, market.exchange_ms) == (None, None)
    assert await reader.sees() == [StreamLost("closed")]
    market.take(book(1, "105.00", "105.01"), 8)
    assert reader.lull.take() is None
    assert await reader.sees() == []

"""Streams over real sockets: what they deliver, and how they break and come back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from domain.market import Quote
from domain.orders import OrderReport, Trade, VenueStatus
from exchanges.ccxt_exchange import CcxtExchange
from exchanges.streams import AccountEvent, QuoteEvent
from integration.exchanges.conftest import Connect
from integration.exchanges.harness import SYMBOL, Reader, Venue, cancel, intent, place
from ports.exchange import StreamLost, StreamRestored

SILENCE_MS = 2_500


@pytest.fixture
async def patient(connect: Connect) -> CcxtExchange:
    return connect(stream_silence_ms=SILENCE_MS)


@pytest.fixture(params=[True, False], ids=["native", "ccxt"])
async def quoting(connect: Connect, request: pytest.FixtureRequest) -> CcxtExchange:
    """Its quotes through our own streams, and through ccxt's."""
    return connect(stream_silence_ms=SILENCE_MS, native_quotes=request.param)


@pytest.fixture
async def quotes(quoting: CcxtExchange) -> AsyncIterator[Callable[[str], Reader[QuoteEvent]]]:
    async with AsyncExitStack() as stack:

        def read(symbol: str) -> Reader[QuoteEvent]:
            reader = Reader(quoting.watch_quotes(symbol))
            stack.push_async_callback(reader.close)
            return reader

        yield read


@pytest.fixture
async def account(patient: CcxtExchange) -> AsyncIterator[Reader[AccountEvent]]:
    reader = Reader(patient.watch_account())
    await reader.until(lambda seen: seen == [StreamRestored()])
    yield reader
    await reader.close()


def times(events: list[QuoteEvent]) -> set[int]:
    return {event.exchange_ms for event in events if isinstance(event, Quote)}


def after_the_loss(events: list[Any]) -> list[Any]:
    """What came once the stream was lost for the first time."""
    lost = [at for at, event in enumerate(events) if isinstance(event, StreamLost)]
    return events[lost[0] :] if lost else []


async def test_quotes_come_although_the_market_stands_still(
    quotes: Callable[[str], Reader[QuoteEvent]], exchange: CcxtExchange
) -> None:
    reader = quotes(SYMBOL)
    await reader.until(lambda seen: len(times(seen)) >= 3)
    best = await exchange.fetch_quote(SYMBOL)
    assert reader.seen[0] == StreamRestored()
    assert {(event.bid, event.ask) for event in reader.seen if isinstance(event, Quote)} == {
        (best.bid, best.ask)
    }


async def test_quotes_of_many_symbols_are_each_their_own(
    quotes: Callable[[str], Reader[QuoteEvent]], venue: Venue, quoting: CcxtExchange
) -> None:
    await venue.set_frozen(False)
    readers = {symbol: quotes(symbol) for symbol in ("BTC/USDT", "ETH/USDT", "XRP/USDT")}
    for symbol, reader in readers.items():
        await reader.until(lambda seen: len(seen) > 30)
        assert {event.symbol for event in reader.seen if isinstance(event, Quote)} == {symbol}
    assert quoting.refused_quotes == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "ws_disconnect", "stream": "market"}, id="disconnected"),
        pytest.param({"kind": "ws_silent", "stream": "market", "duration_s": 4}, id="silent"),
    ],
)
async def test_quotes_return_after_the_socket_is(
    quotes: Callable[[str], Reader[QuoteEvent]], venue: Venue, fault: dict[str, Any]
) -> None:
    await venue.set_frozen(False)
    readers = [quotes("BTC/USDT"), quotes("ETH/USDT")]
    for reader in readers:
        await reader.until(times)
    await venue.arm(**fault)
    for reader in readers:
        await reader.until(
            lambda seen: StreamRestored() in after_the_loss(seen) and times(after_the_loss(seen))
        )


async def test_account_events_tell_an_orders_whole_life(
    account: Reader[AccountEvent], patient: CcxtExchange
) -> None:
    resting = intent(patient)
    await place(patient, resting)
    await cancel(patient, resting.client_order_id)
    quote = await patient.fetch_quote(SYMBOL)
    assert quote.ask is not None
    instrument = (await patient.load_instruments())[SYMBOL]
    # Large enough to be filled at several prices.
    crossing = intent(
        patient,
        price_ticks=instrument.price_to_ticks(quote.ask) + 5_000,
        quantity_lots=200_000,
        post_only=False,
    )
    await place(patient, crossing)

    def reports(status: VenueStatus) -> list[str]:
        return [
            event.client_order_id
            for event in account.seen
            if isinstance(event, OrderReport) and event.status is status
        ]

    await account.until(lambda _: crossing.client_order_id in reports(VenueStatus.FILLED))
    assert resting.client_order_id in reports(VenueStatus.OPEN)
    assert reports(VenueStatus.CANCELLED) == [resting.client_order_id]
    fetched = await patient.fetch_trades(SYMBOL)
    assert len(fetched) > 1
    await account.until(lambda seen: [e for e in seen if isinstance(e, Trade)] == fetched)


async def test_account_stream_returns_after_a_disconnection(
    account: Reader[AccountEvent], patient: CcxtExchange, venue: Venue
) -> None:
    await venue.arm(kind="ws_disconnect", stream="user")
    await account.until(lambda seen: StreamRestored() in after_the_loss(seen))
    item = intent(patient)
    await place(patient, item)
    await account.until(
        lambda seen: any(
            isinstance(event, OrderReport) and event.client_order_id == item.client_order_id
            for event in after_the_loss(seen)
        )
    )


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "ws_silent", "stream": "user", "duration_s": 2}, id="silent"),
        pytest.param({"kind": "drop_user_events"}, id="event-dropped"),
    ],
)
async def test_account_stream_that_hides_an_accepted_order_is_replaced(
    account: Reader[AccountEvent], patient: CcxtExchange, venue: Venue, fault: dict[str, Any]
) -> None:
    await venue.arm(**fault)
    item = intent(patient)
    await place(patient, item)
    await account.until(lambda seen: StreamRestored() in after_the_loss(seen))
    (lost,) = (event for event in account.seen if isinstance(event, StreamLost))
    assert item.client_order_id in lost.reason


async def test_account_stream_stays_while_orders_are_refused_and_nothing_happens(
    account: Reader[AccountEvent], patient: CcxtExchange, venue: Venue
) -> None:
    item = intent(patient)
    await place(patient, item)
    await place(patient, item)
    quotes = Reader(patient.watch_quotes(SYMBOL))
    first = max((await venue.control("GET", "state"))["time_ms"], 0)
    await quotes.until(lambda seen: max(times(seen), default=0) > first + 2 * SILENCE_MS)
    await quotes.close()
    assert not [event for event in account.seen if isinstance(event, StreamLost)]


async def test_account_stream_with_a_wrong_key_is_lost_with_the_reason(connect: Connect) -> None:
    reader = Reader(connect(api_secret="wrong").watch_account())
    await reader.until(lambda seen: len(seen) >= 2)
    await reader.close()
    assert all(isinstance(event, StreamLost) for event in reader.seen)

"""The native streams against a loopback server: subscriptions, order, age, loss and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest

from domain.market import Quote
from exchanges.native import NativeQuotes
from exchanges.native.socket import CONTROL_EVERY_S
from exchanges.native.wire import DIALECTS
from exchanges.streams import QuoteEvent
from ext.engine import Lull, QuietBand, TickScale
from integration.exchanges.harness import Reader, eventually
from ports.exchange import StreamLost, StreamRestored
from unit.exchanges.stream_server import START_MS, FakeRest, StreamServer, stream_server

SYMBOL = "BTC/USDT"
SILENCE_S = 1.0
Watch = Callable[..., Reader[QuoteEvent]]


@pytest.fixture
async def server() -> AsyncIterator[StreamServer]:
    async with stream_server() as server:
        yield server


@pytest.fixture
def rest() -> FakeRest:
    return FakeRest()


@pytest.fixture
def quotes(server: StreamServer, rest: FakeRest) -> NativeQuotes:
    return NativeQuotes(
        rest,
        DIALECTS["binance", "spot"],
        server.url,
        silence_s=SILENCE_S,
        confirm_every_s=0.3,
    )


@pytest.fixture
async def watch(quotes: NativeQuotes) -> AsyncIterator[Watch]:
    async with AsyncExitStack() as stack:

        def watch(symbol: str = SYMBOL) -> Reader[QuoteEvent]:
            reader = Reader(quotes.watch(symbol))
            stack.push_async_callback(reader.close)
            return reader

        yield watch


def of(seen: list[QuoteEvent]) -> list[Quote]:
    return [event for event in seen if isinstance(event, Quote)]


def losses(seen: list[QuoteEvent]) -> list[str]:
    return [event.reason for event in seen if isinstance(event, StreamLost)]


def bids(seen: list[QuoteEvent]) -> list[str]:
    return [str(quote.bid) for quote in of(seen)]


async def test_first_quote_is_rests_and_comes_after_the_announcement(
    watch: Watch, server: StreamServer
) -> None:
    reader = watch()
    await reader.until(of)
    first = Quote(
        symbol=SYMBOL,
        bid=Decimal("100.00"),
        ask=Decimal("100.01"),
        exchange_ms=START_MS + 1_000,
    )
    assert reader.seen[:2] == [StreamRestored(), first]
    assert server.subscribed == {"btcusdt@bookTicker", "btcusdt@trade"}


async def test_hundred_symbols_share_a_socket_and_cost_a_second_of_messages_at_most(
    watch: Watch, server: StreamServer
) -> None:
    readers = [watch(f"A{number}/USDT") for number in range(100)]
    for reader in readers:
        await reader.until(of)
    assert len(server.subscribed) == 200
    assert server.connections == 1
    asked = [request for request in server.requests if request["method"] == "SUBSCRIBE"]
    assert len(asked) * CONTROL_EVERY_S <= 1
    assert not [reader for reader in readers if losses(reader.seen)]


async def test_symbols_that_come_and_go_keep_the_venues_pace(
    watch: Watch, server: StreamServer
) -> None:
    kept = watch()
    for number in range(4):
        reader = watch(f"A{number}/USDT")
        await reader.until(of)
        await reader.close()
    await kept.until(lambda _: server.subscribed == {"btcusdt@bookTicker", "btcusdt@trade"})
    assert server.connections == 1
    assert losses(kept.seen) == []


async def test_last_reader_closes_the_socket_and_the_next_opens_another(
    watch: Watch, server: StreamServer
) -> None:
    first = watch()
    await first.until(of)
    await first.close()
    assert server.transport is not None
    async with asyncio.timeout(5):
        await server.transport.wait_disconnected()
    second = watch()
    await second.until(of)
    assert server.connections == 2


async def test_second_reader_of_a_symbol_gets_its_present_quote(
    watch: Watch, server: StreamServer
) -> None:
    first = watch()
    await first.until(of)
    server.book("btcusdt", 7, "101.00", "101.01")
    await first.until(lambda seen: "101.00" in bids(seen))
    second = watch()
    await second.until(of)
    assert second.seen[0] == StreamRestored()
    assert bids(second.seen)[0] == "101.00"


async def test_quotes_are_stamped_with_the_sockets_latest_event_of_any_symbol(
    watch: Watch, server: StreamServer
) -> None:
    reader, other = watch(), watch("ETH/USDT")
    await reader.until(of)
    await other.until(of)
    server.trade("ethusdt", START_MS + 77_777)
    server.book("btcusdt", 7, "101.00", "101.01")
    await reader.until(lambda seen: "101.00" in bids(seen))
    (quote,) = [quote for quote in of(reader.seen) if quote.bid == Decimal("101.00")][:1]
    assert quote.exchange_ms == START_MS + 77_777


async def test_quiet_quotes_are_kept_and_not_read(
    quotes: NativeQuotes, server: StreamServer, rest: FakeRest
) -> None:
    lull = Lull()
    kept: list[str] = []

    async def has_kept_all() -> bool:
        if newest := lull.take():
            kept.append(newest[0])
        return "159.00" in kept

    reader = Reader(quotes.watch(SYMBOL, lull))
    try:
        await reader.until(of)
        rest.is_down = True
        lull.begin(TickScale(Decimal("0.01")), QuietBand(10_000, 20_000, 20_000, 10_000))
        for update_id in range(10):
            server.book("btcusdt", update_id, f"15{update_id}.00", "199.00")
        await eventually(has_kept_all)
        server.book("btcusdt", 10, "201.00", "202.00")
        await reader.until(lambda seen: "201.00" in bids(seen))
        assert set(bids(reader.seen)) == {"100.00", "201.00"}
        assert losses(reader.seen) == []
    finally:
        await reader.close()


async def test_book_that_stands_still_is_made_no_younger_by_trades(
    watch: Watch, server: StreamServer, rest: FakeRest
) -> None:
    reader, other = watch(), watch("ETH/USDT")
    await reader.until(of)
    await other.until(of)
    rest.is_down = True
    last_ms = of(reader.seen)[-1].exchange_ms
    for number in range(1, 6):
        server.trade("btcusdt", START_MS + 100_000 + number)
        server.book("ethusdt", number, f"{100 + number}.00", "200.00")
        await other.until(lambda seen, bid=f"{100 + number}.00": bid in bids(seen))
    assert of(other.seen)[-1].exchange_ms > last_ms + 90_000
    assert of(reader.seen)[-1].exchange_ms == last_ms
    assert losses(reader.seen) == []


async def test_book_that_rest_confirms_is_made_younger(watch: Watch) -> None:
    reader = watch()
    await reader.until(lambda seen: len({quote.exchange_ms for quote in of(seen)}) >= 3)
    assert set(bids(reader.seen)) == {"100.00"}
    assert losses(reader.seen) == []


async def test_quote_older_than_the_one_before_is_dropped_and_counted(
    watch: Watch, server: StreamServer, quotes: NativeQuotes
) -> None:
    reader = watch()
    await reader.until(of)
    for update_id, bid in ((7, "101.00"), (6, "99.00"), (7, "101.00"), (8, "102.00")):
        server.book("btcusdt", update_id, bid, "200.00")
    await reader.until(lambda seen: "102.00" in bids(seen))
    assert "99.00" not in bids(reader.seen)
    assert quotes.counters.backwards == 1


async def test_quotes_that_make_no_sense_are_refused_and_counted(
    watch: Watch, server: StreamServer, quotes: NativeQuotes
) -> None:
    reader = watch()
    await reader.until(of)
    for update_id, (bid, ask) in enumerate(
        [
            ("102.00", "101.00"),
            ("-1", "101.00"),
            ("0", "101.00"),
            ("NaN", "1"),
            ("1", "Infinity"),
            ("many", "1"),
        ]
    ):
        server.book("btcusdt", update_id, bid, ask)
    server.book("btcusdt", 9, "0.00", "103.00", B="0.00")
    await reader.until(lambda seen: of(seen)[-1].ask == Decimal("103.00"))
    assert of(reader.seen)[-1].bid is None
    assert set(bids(reader.seen)) == {"100.00", "None"}
    assert quotes.counters.refused == 6


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"{", id="cut-short"),
        pytest.param(b"\xff", id="no-utf8"),
        pytest.param(b'{"stream":"btcusdt@bookTicker","data":{"u":"x"}}', id="wrong-type"),
        pytest.param(b"[]", id="list"),
    ],
)
async def test_message_that_nobody_understands_is_counted_and_costs_no_connection(
    watch: Watch, server: StreamServer, quotes: NativeQuotes, text: bytes
) -> None:
    reader = watch()
    await reader.until(of)
    server.send_text(text)
    server.book("btcusdt", 1, "101.00", "101.01")
    await reader.until(lambda seen: "101.00" in bids(seen))
    assert quotes.counters.malformed == 1
    assert server.connections == 1


async def test_closed_socket_is_lost_and_comes_back_with_rests_book(
    watch: Watch, server: StreamServer, rest: FakeRest
) -> None:
    reader = watch()
    await reader.until(of)
    server.book("btcusdt", 7, "101.00", "101.01")
    await reader.until(lambda seen: "101.00" in bids(seen))
    rest.bests[SYMBOL] = (Decimal("90.00"), Decimal("90.01"))
    server.hang_up()
    await reader.until(lambda seen: "90.00" in bids(seen))
    lost = next(at for at, event in enumerate(reader.seen) if isinstance(event, StreamLost))
    assert reader.seen[lost + 1] == StreamRestored()
    assert bids(reader.seen[lost + 2 :])[0] == "90.00"
    # The sequence begins anew as well.
    server.book("btcusdt", 1, "91.00", "91.01")
    await reader.until(lambda seen: "91.00" in bids(seen))


@pytest.mark.parametrize("method", ["SUBSCRIBE", "LIST_SUBSCRIPTIONS"])
async def test_message_without_acknowledgement_loses_the_socket(
    watch: Watch, server: StreamServer, method: str
) -> None:
    server.unanswered.add(method)
    reader = watch()
    await reader.until(losses)
    assert f"{method} was not acknowledged" in losses(reader.seen)[0]
    assert of(reader.seen) == []
    server.unanswered.clear()
    await reader.until(of)


async def test_subscription_that_the_venue_forgot_loses_the_socket(
    watch: Watch, server: StreamServer
) -> None:
    reader = watch()
    await reader.until(of)
    server.subscribed.remove("btcusdt@bookTicker")
    await reader.until(losses)
    assert "btcusdt@bookTicker" in losses(reader.seen)[0]
    await reader.until(lambda seen: seen.count(StreamRestored()) == 2)


async def test_symbol_that_is_refused_costs_the_others_nothing(
    watch: Watch, server: StreamServer, rest: FakeRest
) -> None:
    server.refused.add("badusdt@trade")
    rest.unknown.add("NONE/USDT")
    good = [watch(f"A{number}/USDT") for number in range(3)]
    bad, unknown = watch("BAD/USDT"), watch("NONE/USDT")
    for reader in good:
        await reader.until(of)
    await bad.until(losses)
    await unknown.until(losses)
    assert "invalid stream" in losses(bad.seen)[0]
    assert "no market" in losses(unknown.seen)[0]
    assert not [reader for reader in good if losses(reader.seen)]


async def test_book_that_moves_at_the_venue_but_not_on_the_stream_is_lost_until_it_moves(
    watch: Watch, server: StreamServer, rest: FakeRest, quotes: NativeQuotes
) -> None:
    reader = watch()
    await reader.until(of)
    rest.is_moving = True
    await reader.until(lambda seen: len(losses(seen)) >= 2)
    lost = next(at for at, event in enumerate(reader.seen) if isinstance(event, StreamLost))
    assert "stands still" in losses(reader.seen)[0]
    assert of(reader.seen[lost:]) == []
    assert quotes.counters.stuck >= 2
    await reader.until(lambda _: server.subscribed)
    server.book("btcusdt", 1, "150.00", "150.01")
    await reader.until(lambda seen: "150.00" in bids(seen))


async def test_book_at_rest_again_is_trusted_when_two_looks_agree(
    watch: Watch, rest: FakeRest
) -> None:
    reader = watch()
    await reader.until(of)
    rest.bests[SYMBOL] = (Decimal("101.00"), Decimal("101.01"))
    await reader.until(losses)
    looks = rest.looks
    await reader.until(lambda seen: "101.00" in bids(seen))
    assert rest.looks >= looks + 2


async def test_defect_is_raised_to_every_reader(
    quotes: NativeQuotes, rest: FakeRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> int:
        raise NotImplementedError("defect")

    monkeypatch.setattr(rest, "fetch_time_ms", broken)
    for _ in range(2):
        events = quotes.watch(SYMBOL)
        with pytest.raises(ExceptionGroup, match="unhandled"):
            await anext(events)
        await events.aclose()

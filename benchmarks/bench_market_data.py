"""Market data in: the native streams against ccxt's, and a message's whole way against its parsing.

A process of its own sends the same quotes to both over loopback sockets, in one burst each time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from statistics import median
from timeit import Timer
from typing import Any

import ccxt.pro
import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from domain.instrument import MarketKind
from domain.market import Quote
from exchanges.channel import Channel
from exchanges.connection import Way
from exchanges.conversions import to_quote
from exchanges.native import NativeQuotes
from exchanges.native.market import Market
from exchanges.native.wire import DIALECTS, Best, BookTicker, Frame
from exchanges.streams import QuoteCounters, QuoteEvent
from ext.engine import Lull, QuietBand, TickScale
from measurement import Result

SYMBOLS = tuple(f"C{number}/USDT" for number in range(10))
MESSAGES = 20_000
REPETITIONS = 9
WARM_UP = 2
#: Of one message: rounds so short that most of them pass undisturbed on a shared machine.
ROUNDS, CALLS = 201, 250
WAIT_S = 60.0
#: What a burst ends with.
LAST_BID = "99999.99000000"
#: Where each client connects: streams in an envelope that names them, or bare.
COMBINED, RAW = "/stream", "/stream/ws"
DIALECT = DIALECTS["binance", MarketKind.SPOT]
MESSAGE = (
    b'{"stream":"c0usdt@bookTicker","data":{"u":50123456789,"s":"C0USDT","b":"61799.99000000",'
    b'"B":"0.50000000","a":"61800.01000000","A":"1.23450000"}}'
)


async def measure() -> Sequence[Result]:
    return [await _streams(), *await _one_message()]


async def _streams() -> Result:
    case_s: list[float] = []
    baseline_s: list[float] = []
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_server())
        through_ccxt = await stack.enter_async_context(_through_ccxt(server))
        natively = await stack.enter_async_context(_natively(server))
        for repetition in range(WARM_UP + REPETITIONS):
            for read, into in ((through_ccxt, baseline_s), (natively, case_s)):
                seconds = await read()
                if repetition >= WARM_UP:
                    into.append(seconds / MESSAGES)
    return Result(
        case="book ticker taken in natively",
        case_s=median(case_s),
        baseline="the same through ccxt.pro",
        baseline_s=median(baseline_s),
        repetitions=REPETITIONS,
        aim=0.05,
    )


class Server:
    """The sending process, as seen from here."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port

    async def burst(self, path: str) -> None:
        """Have everything sent once to the socket that was opened at `path`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n".encode())
        await self._process.stdin.drain()


@asynccontextmanager
async def _server() -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            port = int(await process.stdout.readline())
        yield Server(process, port)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        async with asyncio.timeout(WAIT_S):
            await process.wait()


Read = Callable[[], Any]


@asynccontextmanager
async def _natively(server: Server) -> AsyncIterator[Read]:
    quotes = NativeQuotes(
        NoRest(),
        DIALECT,
        f"ws://127.0.0.1:{server.port}{COMBINED}",
        silence_s=WAIT_S,
        confirm_every_s=WAIT_S,
    )
    streams = [quotes.watch(symbol) for symbol in SYMBOLS]

    async def until(stream: Any, bid: Decimal) -> None:
        async for event in stream:
            if isinstance(event, Quote) and event.bid == bid:
                return

    async def read() -> float:
        started_s = time.perf_counter()
        await server.burst(COMBINED)
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*(until(stream, Decimal(LAST_BID)) for stream in streams))
        return time.perf_counter() - started_s

    try:
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*(until(stream, NoRest.BID) for stream in streams))
        yield read
        assert quotes.counters == QuoteCounters()
    finally:
        for stream in streams:
            await stream.aclose()


class CountingBinance(ccxt.pro.binance):  # type: ignore[misc]  # ccxt has no types
    """ccxt's client; a watch may sleep through the last message, so these are counted."""

    unseen = 0
    all_seen = asyncio.Event()

    def handle_bids_asks(self, client: Any, message: object) -> None:
        super().handle_bids_asks(client, message)
        self.unseen -= 1
        if self.unseen == 0:
            self.all_seen.set()


@asynccontextmanager
async def _through_ccxt(server: Server) -> AsyncIterator[Read]:
    client = CountingBinance()
    client.number = str
    client.set_markets([_market(client, symbol) for symbol in SYMBOLS])
    client.urls["api"]["ws"]["spot"] = f"ws://127.0.0.1:{server.port}{RAW}"
    client.options["streamLimits"] = {"spot": 1}
    client.options["subscriptionLimitByStream"] = {"spot": 1_024}

    async def pump(symbol: str) -> None:
        while True:
            await client.watch_bids_asks([symbol])
            to_quote(symbol, client.bidsasks[symbol], 0)

    async def read() -> float:
        client.unseen = MESSAGES
        client.all_seen.clear()
        started_s = time.perf_counter()
        await server.burst(RAW)
        async with asyncio.timeout(WAIT_S):
            await client.all_seen.wait()
        seconds = time.perf_counter() - started_s
        bests = {client.bidsasks[symbol]["bid"] for symbol in SYMBOLS}
        assert bests == {LAST_BID}
        return seconds

    pumps = [asyncio.ensure_future(pump(symbol)) for symbol in SYMBOLS]
    try:
        yield read
    finally:
        for running in pumps:
            running.cancel()
        await asyncio.wait(pumps)
        await client.close()


class NoRest:
    """A venue whose REST API says one thing."""

    BID = Decimal(1)

    async def open(self) -> Way:
        return Way()

    def market_id(self, symbol: str) -> str:
        return symbol.replace("/", "")

    async def fetch_time_ms(self) -> int:
        return 1

    async def fetch_bests(self, symbols: Iterable[str]) -> Mapping[str, Best | None]:
        return dict.fromkeys(symbols, (self.BID, self.BID + 1))


def _market(client: Any, symbol: str) -> Any:
    base, _, quote = symbol.partition("/")
    market = {"id": base + quote, "lowercaseId": (base + quote).lower(), "symbol": symbol}
    assets = {"base": base, "quote": quote, "baseId": base, "quoteId": quote}
    return client.safe_market_structure(
        {**market, **assets, "type": "spot", "spot": True, "active": True}
    )


async def _one_message() -> Sequence[Result]:
    """From a frame's bytes to a quote, or to the word that it changes nothing."""
    band = QuietBand(6_170_000, 6_190_000, 6_190_000, 6_170_000)
    lull = Lull()
    lull.begin(TickScale(Decimal("0.01")), band)
    published, kept = Market("C0/USDT", QuoteCounters()), Market("C0/USDT", QuoteCounters())
    reader: Channel[QuoteEvent] = Channel()
    kept.join(reader, lull)
    kept.restore(1)
    await reader.take()
    take, take_quietly = _intake(published), _intake(kept)

    def quoted() -> None:
        take()
        published.confirm(1)

    bare = partial(msgspec.json.Decoder().decode, MESSAGE)

    def bare_decision() -> bool:
        bare()
        return band.is_quiet(6_179_999, 6_180_001)

    results = [
        _timed("bytes of a book ticker to a quote", quoted, bare),
        _timed(
            "bytes of a book ticker to: nothing changes",
            take_quietly,
            bare_decision,
            "a bare msgspec decode and the compiled check",
            aim=3,
        ),
    ]
    assert published.best == kept.best == (Decimal("61799.99"), Decimal("61800.01"))
    assert lull.take() == ("61799.99000000", "61800.01000000", 1)
    return results


def _intake(market: Market) -> Callable[[], None]:
    """What the socket and the session do with a message."""
    decode_frame = msgspec.json.Decoder(Frame).decode
    routes = {"c0usdt@bookTicker": (market, DIALECT.decoder_of("c0usdt@bookTicker"))}

    def take() -> None:
        frame = decode_frame(MESSAGE)
        known, decode = routes[frame.stream]
        event = decode(frame.data)
        if isinstance(event, BookTicker):
            known.take(event, 1)

    return take


def _timed(
    case: str,
    whole: Callable[[], object],
    bare: Callable[[], object],
    baseline: str = "a bare msgspec decode of the same bytes",
    aim: float | None = None,
) -> Result:
    timers = Timer(whole), Timer(bare)
    rounds = [[timer.timeit(CALLS) / CALLS for timer in timers] for _ in range(ROUNDS)]
    return Result(
        case=case,
        case_s=median(whole_s for whole_s, _ in rounds),
        baseline=baseline,
        baseline_s=median(bare_s for _, bare_s in rounds),
        repetitions=ROUNDS,
        aim=aim,
    )


class _Sender(WSListener):
    """Acknowledges every control message; bursts wait until all symbols are subscribed."""

    def __init__(self) -> None:
        self._streams: set[str] = set()
        self._is_ready = asyncio.Event()
        self._transport: WSTransport | None = None

    async def send(self, burst: bytes) -> None:
        await self._is_ready.wait()
        assert self._transport is not None
        self._transport.underlying_transport.write(burst)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            transport.disconnect()
            return
        request = msgspec.json.decode(frame.get_payload_as_bytes())
        self._streams.update(request["params"])
        if sum(stream.endswith("@bookTicker") for stream in self._streams) == len(SYMBOLS):
            self._is_ready.set()
        result = sorted(self._streams) if request["method"] == "LIST_SUBSCRIPTIONS" else None
        reply = {"result": result, "id": request["id"]}
        transport.send(WSMsgType.TEXT, msgspec.json.encode(reply))


def _burst(*, is_combined: bool) -> bytes:
    """All messages as unmasked WebSocket frames; the last of each symbol tells itself."""
    return b"".join(
        _frame(
            f"C{number % len(SYMBOLS)}USDT",
            LAST_BID if number >= MESSAGES - len(SYMBOLS) else f"6{number:05}.01000000",
            is_combined=is_combined,
        )
        for number in range(MESSAGES)
    )


def _frame(name: str, bid: str, *, is_combined: bool) -> bytes:
    book = f'{{"u":50123456789,"s":"{name}","b":"{bid}","B":"0.5","a":"999999.99","A":"1.2345"}}'
    if is_combined:
        book = f'{{"stream":"{name.lower()}@bookTicker","data":{book}}}'
    payload = book.encode()
    size = len(payload)
    long = b"\x7e" + size.to_bytes(2, "big")
    return b"\x81" + (bytes([size]) if size < 126 else long) + payload


async def _serve() -> None:
    senders = {COMBINED: _Sender(), RAW: _Sender()}
    bursts = {path: _burst(is_combined=path == COMBINED) for path in senders}

    def accept(request: WSUpgradeRequest) -> WSListener:
        return senders[COMBINED if request.path.decode() == COMBINED else RAW]

    listening = await ws_create_server(accept, "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await senders[line.strip()].send(bursts[line.strip()])


if __name__ == "__main__":
    asyncio.run(_serve())

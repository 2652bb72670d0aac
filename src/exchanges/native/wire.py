"""Binance's public streams as they are written, and where each kind of market has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

import msgspec

from domain.instrument import MarketKind
from exchanges.account import Mode

#: Best bid and ask; a side that is empty is `None`.
Best = tuple[Decimal | None, Decimal | None]


class Refusal(msgspec.Struct, frozen=True):
    """Why a control message was refused."""

    code: int
    msg: str


class Frame(msgspec.Struct, gc=False):
    """One text frame of a combined stream: either an event or the reply to a control message."""

    stream: str = ""
    #: Valid only as long as the bytes it was decoded from.
    data: msgspec.Raw = msgspec.Raw()
    id: int | None = None
    result: tuple[str, ...] | None = None
    error: Refusal | None = None


class BookTicker(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Best bid and ask after an update of the book, as written; spot gives it no time."""

    update_id: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")
    #: When the matching engine made it, ms since the epoch.
    traded_ms: int | None = msgspec.field(name="T", default=None)


class TimedBookTicker(BookTicker, frozen=True, gc=False, kw_only=True):
    """The same of a futures market, whose every event tells its time."""

    traded_ms: int = msgspec.field(name="T")


class PublicTrade(msgspec.Struct, frozen=True, gc=False):
    """Somebody's trade; what counts here is that the venue says what time it is."""

    event_ms: int = msgspec.field(name="E")


Decode = Callable[[msgspec.Raw], BookTicker | PublicTrade]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One kind of market: where its combined streams are, and what each of them carries."""

    urls: Mapping[Mode, str]
    #: By the part of a stream's name behind the market's id.
    decoders: Mapping[str, Decode]

    def streams(self, market_id: str) -> tuple[str, ...]:
        """The streams of one market, by their full names."""
        return tuple(f"{market_id.lower()}@{kind}" for kind in self.decoders)

    def decoder_of(self, stream: str) -> Decode:
        return self.decoders[stream.partition("@")[2]]


_SPOT_URL = "wss://stream.binance.com:9443/stream"
_USDM_URL = "wss://fstream.binance.com/public/stream"

#: By ccxt's name of the venue, and by the kind of market.
DIALECTS: Mapping[tuple[str, MarketKind], Dialect] = MappingProxyType(
    {
        ("binance", MarketKind.SPOT): Dialect(
            urls={
                Mode.SIMULATOR: _SPOT_URL,
                Mode.TESTNET: "wss://stream.testnet.binance.vision/stream",
                Mode.LIVE: _SPOT_URL,
            },
            decoders={
                "bookTicker": msgspec.json.Decoder(BookTicker).decode,
                "trade": msgspec.json.Decoder(PublicTrade).decode,
            },
        ),
        ("binance", MarketKind.LINEAR): Dialect(
            urls={
                Mode.SIMULATOR: _USDM_URL,
                Mode.TESTNET: "wss://fstream.binancefuture.com/public/stream",
                Mode.LIVE: _USDM_URL,
            },
            decoders={
                "bookTicker": msgspec.json.Decoder(TimedBookTicker).decode,
                "trade": msgspec.json.Decoder(PublicTrade).decode,
            },
        ),
    }
)


def best_of(bid: Decimal, bid_quantity: str, ask: Decimal, ask_quantity: str) -> Best:
    """Best bid and ask, checked; zero at a price of zero is how the venue writes an empty side.

    Raises
    ------
    ValueError, ArithmeticError
        If a price is no number, infinite, negative or zero, if they cross, or if both sides are
        empty.
    """
    if 0 < bid < ask and ask.is_finite():
        return bid, ask
    best = _side(bid, bid_quantity), _side(ask, ask_quantity)
    if best == (None, None):
        raise ValueError("neither bid nor ask")
    if None not in best:
        raise ValueError(f"bid must be < ask, were {bid} and {ask}")
    return best


def _side(price: Decimal, quantity: str) -> Decimal | None:
    if price == 0 and Decimal(quantity) == 0:
        return None
    if not price.is_finite() or price <= 0:
        raise ValueError(f"a price must be > 0, was {price}")
    return price

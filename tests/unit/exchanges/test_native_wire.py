"""Binance's messages as our values: each market's own shape, and numbers exactly or not at all."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from exchanges.native.wire import DIALECTS, Best, BookTicker, PublicTrade, best_of

#: As each stream's documentation shows them.
SPOT_BOOK = b"""{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000",
"A":"40.66000000"}"""
SPOT_TRADE = b"""{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",
"T":1672515782135,"m":true,"M":true}"""
USDM_BOOK = b"""{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT",
"b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"""
USDM_TRADE = b"""{"e":"trade","E":1723161304072,"T":1723161304071,"s":"BTCUSDT","t":5213424870,
"p":"61795.60","q":"0.002","X":"MARKET","m":true}"""


@pytest.mark.parametrize(
    ("kind", "message", "traded_ms"),
    [
        pytest.param("spot", SPOT_BOOK, None, id="spot"),
        pytest.param("linear", USDM_BOOK, 1_568_014_460_891, id="usd-m"),
    ],
)
def test_book_ticker_is_decoded_by_its_markets_row(
    kind: str, message: bytes, traded_ms: int | None
) -> None:
    book = DIALECTS["binance", kind].decoder_of("bnbusdt@bookTicker")(msgspec.Raw(message))
    assert isinstance(book, BookTicker)
    assert (book.update_id, book.traded_ms) == (400_900_217, traded_ms)
    assert (book.bid, book.ask) == ("25.35190000", "25.36520000")


@pytest.mark.parametrize(
    ("kind", "message", "event_ms"),
    [
        pytest.param("spot", SPOT_TRADE, 1_672_515_782_136, id="spot"),
        pytest.param("linear", USDM_TRADE, 1_723_161_304_072, id="usd-m"),
    ],
)
def test_trade_tells_the_venues_time(kind: str, message: bytes, event_ms: int) -> None:
    trade = DIALECTS["binance", kind].decoder_of("bnbbtc@trade")(msgspec.Raw(message))
    assert trade == PublicTrade(event_ms=event_ms)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param("linear", SPOT_BOOK, id="futures-without-time"),
        pytest.param("spot", SPOT_BOOK.replace(b'"25.35190000"', b"25.3519"), id="price-no-text"),
        pytest.param("spot", SPOT_BOOK.replace(b'"u":400900217,', b""), id="no-sequence"),
        pytest.param("spot", SPOT_BOOK[:-1], id="cut-short"),
    ],
)
def test_book_ticker_of_another_shape_is_refused(kind: str, message: bytes) -> None:
    decode = DIALECTS["binance", kind].decoder_of("bnbusdt@bookTicker")
    with pytest.raises(msgspec.MsgspecError):
        decode(msgspec.Raw(message))


def test_streams_of_a_market_are_named_in_small_letters() -> None:
    assert DIALECTS["binance", "spot"].streams("BTCUSDT") == ("btcusdt@bookTicker", "btcusdt@trade")


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        pytest.param(
            ("1.10", "1", "1.20", "1"), (Decimal("1.10"), Decimal("1.20")), id="both-sides"
        ),
        pytest.param(("0.00", "0.00", "1.20", "1"), (None, Decimal("1.20")), id="no-bid"),
        pytest.param(("1.10", "1", "0.00", "0.00"), (Decimal("1.10"), None), id="no-ask"),
    ],
)
def test_best_has_the_sides_that_exist(sides: tuple[str, str, str, str], expected: Best) -> None:
    bid, bid_quantity, ask, ask_quantity = sides
    assert best_of(Decimal(bid), bid_quantity, Decimal(ask), ask_quantity) == expected


@pytest.mark.parametrize(
    ("bid", "ask", "quantity"),
    [
        pytest.param("1.20", "1.10", "1", id="crossed"),
        pytest.param("1.10", "1.10", "1", id="locked"),
        pytest.param("-1", "1.10", "1", id="negative-bid"),
        pytest.param("1.10", "-1", "1", id="negative-ask"),
        pytest.param("0", "1.10", "1", id="zero-with-quantity"),
        pytest.param("NaN", "1.10", "1", id="bid-nan"),
        pytest.param("1.10", "NaN", "1", id="ask-nan"),
        pytest.param("1.10", "Infinity", "1", id="ask-infinite"),
        pytest.param("0", "0", "0", id="empty"),
    ],
)
def test_best_that_makes_no_sense_is_refused(bid: str, ask: str, quantity: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        best_of(Decimal(bid), quantity, Decimal(ask), quantity)

"""What the native streams are told by REST, and when they are used at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from exchanges.account import AccountConfig, Mode
from exchanges.capabilities import Call
from exchanges.native import NativeQuotes, native_quotes
from exchanges.native.source import CcxtSource
from exchanges.native.wire import Best
from exchanges.venues.binance import BINANCE

BOOK = {"bid": "1.10", "bidVolume": "5", "ask": "1.20", "askVolume": "6"}


class Client:
    """ccxt's answer to one question."""

    def __init__(self, book: dict[str, Any]) -> None:
        self._book = book

    async def fetch_bids_asks(self, symbols: list[str]) -> dict[str, Any]:
        return dict.fromkeys(symbols, self._book)


async def no_connection() -> Any:
    raise AssertionError("nothing is asked of the venue here")


@pytest.mark.parametrize(
    ("book", "expected"),
    [
        pytest.param(BOOK, (Decimal("1.10"), Decimal("1.20")), id="both-sides"),
        pytest.param(
            {**BOOK, "bid": None, "bidVolume": None}, (None, Decimal("1.20")), id="no-bid"
        ),
        pytest.param({**BOOK, "ask": "0.00", "askVolume": "0"}, (Decimal("1.10"), None), id="zero"),
        pytest.param({**BOOK, "bid": "1.30"}, None, id="crossed"),
        pytest.param({**BOOK, "bid": 1.1}, None, id="float"),
        pytest.param({"bid": "1.10"}, None, id="cut-short"),
    ],
)
async def test_books_of_rest_are_checked_like_the_streams(
    book: dict[str, Any], expected: Best | None
) -> None:
    asked: list[Call] = []

    @asynccontextmanager
    async def asking(call: Call) -> AsyncIterator[Client]:
        asked.append(call)
        yield Client(book)

    source = CcxtSource(no_connection, asking)
    symbols = ["A/USDT", "B/USDT"]
    assert await source.fetch_bests(symbols) == dict.fromkeys(symbols, expected)
    assert [BINANCE.costs[call].weight for call in asked] == [4]


@pytest.mark.parametrize(
    ("settings", "is_native"),
    [
        pytest.param({}, True, id="binance"),
        pytest.param({"mode": Mode.LIVE}, True, id="live"),
        pytest.param({"native_quotes": False}, False, id="switched-off"),
        pytest.param({"venue": "kraken"}, False, id="no-dialect"),
    ],
)
def test_native_streams_are_used_where_they_know_the_venue(
    settings: dict[str, Any], is_native: bool
) -> None:
    account: dict[str, Any] = {"name": "a", "mode": Mode.TESTNET, "api_key": "", "api_secret": ""}
    quotes = native_quotes(
        AccountConfig(**{**account, **settings}),
        no_connection,
        asking=lambda _: pytest.fail("asked"),
    )
    assert isinstance(quotes, NativeQuotes) is is_native

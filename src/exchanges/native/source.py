"""What the native streams ask of the venue by REST, through the account's ccxt client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Protocol

from domain.errors import TransientVenueError
from exchanges.capabilities import Call
from exchanges.connection import Connection, Way
from exchanges.conversions import Structure, to_decimal
from exchanges.native.wire import Best, best_of
from exchanges.translate import MALFORMED, CcxtError

Asking = Callable[[Call], AbstractAsyncContextManager[Any]]


class QuoteSource(Protocol):
    """The venue beside its streams."""

    async def open(self) -> Way:
        """How to reach the venue; its markets are known from then on."""
        ...

    def market_id(self, symbol: str) -> str:
        """The venue's own name of a symbol; `VenueError` if it has no such market."""
        ...

    async def fetch_time_ms(self) -> int: ...

    async def fetch_bests(self, symbols: Iterable[str]) -> Mapping[str, Best | None]:
        """Best bid and ask of each; `None` for what makes no sense."""
        ...


class CcxtSource:
    """REST within the account's rate budget."""

    def __init__(
        self, open_connection: Callable[[], Awaitable[Connection]], asking: Asking
    ) -> None:
        self._open = open_connection
        self._asking = asking
        self._client: Any = None

    async def open(self) -> Way:
        connection = await self._open()
        self._client = connection.client
        return connection.way

    def market_id(self, symbol: str) -> str:
        try:
            return str(self._client.market(symbol)["id"])
        except CcxtError as error:
            raise TransientVenueError(str(error)) from error

    async def fetch_time_ms(self) -> int:
        async with self._asking(Call.TIME) as client:
            return int(await client.fetch_time())

    async def fetch_bests(self, symbols: Iterable[str]) -> Mapping[str, Best | None]:
        async with self._asking(Call.QUOTES) as client:
            books = await client.fetch_bids_asks(list(symbols))
        return {symbol: _best(book) for symbol, book in books.items()}


def _best(book: Structure) -> Best | None:
    try:
        return best_of(
            _price(book["bid"]),
            book["bidVolume"] or "0",
            _price(book["ask"]),
            book["askVolume"] or "0",
        )
    except MALFORMED:
        return None


def _price(text: object) -> Decimal:
    """ccxt names an empty side `None`."""
    return Decimal(0) if text is None else to_decimal(text)

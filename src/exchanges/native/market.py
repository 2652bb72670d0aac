"""What is known of one symbol, and who is told of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

import structlog

from domain.market import Quote
from exchanges.channel import Channel
from exchanges.native.wire import Best, BookTicker, best_of
from exchanges.streams import QuoteCounters
from ext.engine import Lull, is_sound
from ports.exchange import StreamLost, StreamRestored

log = structlog.get_logger("exchanges")

Reader = Channel[Quote | StreamLost | StreamRestored]


@dataclass(slots=True, eq=False)
class Market:
    """One symbol on the present connection.

    A quote is stamped with a time at which it is known to have been the venue's: when its message
    came, or when REST said the same. Nothing else makes it younger.

    Prices stay as they were written until somebody asks for them: most messages are overtaken by
    the next, or change nothing.
    """

    symbol: str
    counters: QuoteCounters
    #: With where each of them lets quotes be kept that change nothing.
    readers: dict[Reader, Lull] = field(default_factory=dict)
    #: Whether the readers get quotes.
    is_up: bool = False
    #: The stream was caught standing still: REST alone does not bring it up again.
    is_doubted: bool = False
    update_id: int = 0
    #: Quotes that came by the stream, on this connection.
    updates: int = 0
    #: The age of the last quote that was published, or kept for all readers.
    exchange_ms: int | None = None
    _best: Best | None = None
    #: What the stream last said, if `_best` is older.
    _book: BookTicker | None = None
    #: The age of a book that is about to be published.
    _unpublished_ms: int | None = None

    @property
    def best(self) -> Best | None:
        if self._book is not None:
            self.best = Decimal(self._book.bid), Decimal(self._book.ask)
        return self._best

    @best.setter
    def best(self, best: Best | None) -> None:
        self._best, self._book = best, None

    def join(self, reader: Reader, lull: Lull) -> None:
        self.readers[reader] = lull
        if self.is_up and self.exchange_ms is not None:
            reader.put(StreamRestored())
            if self._unpublished_ms is None and (quote := self._quote(self.exchange_ms)):
                reader.put(quote)

    def take(self, book: BookTicker, venue_ms: int) -> None:
        """A message of the stream, sent when the venue's clock showed `venue_ms` or later."""
        if book.update_id < self.update_id:
            self.counters.backwards += 1
            return
        exchange_ms = venue_ms if book.traded_ms is None else book.traded_ms
        is_kept = self.is_up and self._unpublished_ms is None and self._is_kept(book, exchange_ms)
        if is_kept or is_sound(book.bid, book.ask):
            self._book = book
        elif not self._judge(book):
            return
        self.update_id = book.update_id
        self.updates += 1
        if is_kept:
            self.exchange_ms = exchange_ms
        elif self.is_up:
            # Messages that come in one go are worth one quote, the last.
            if self._unpublished_ms is None:
                asyncio.get_running_loop().call_soon(self._publish)
            self._unpublished_ms = exchange_ms

    def _judge(self, book: BookTicker) -> bool:
        """Take in a book whose digits alone do not tell what it is; false if it makes no sense."""
        try:
            bid, ask = Decimal(book.bid), Decimal(book.ask)
            self.best = best_of(bid, book.bid_quantity, ask, book.ask_quantity)
        except (ValueError, ArithmeticError) as error:
            self.counters.refused += 1
            log.warning("quote_refused", symbol=self.symbol, error=str(error))
            return False
        return True

    def _is_kept(self, book: BookTicker, exchange_ms: int) -> bool:
        """Whether it changes nothing to any reader, and overtakes nothing that is still unread."""
        for reader, lull in self.readers.items():
            if reader.unread or not lull.keeps(book.bid, book.ask, exchange_ms):
                return False
        return bool(self.readers)

    def confirm(self, exchange_ms: int) -> None:
        """The book was the venue's at `exchange_ms`."""
        quote = self._quote(exchange_ms)
        if quote is None:
            return
        self.exchange_ms = exchange_ms
        for reader in self.readers:
            reader.put(quote)

    def _quote(self, exchange_ms: int) -> Quote | None:
        if self.best is None:
            return None
        bid, ask = self.best
        return Quote(symbol=self.symbol, bid=bid, ask=ask, exchange_ms=exchange_ms)

    def _publish(self) -> None:
        exchange_ms, self._unpublished_ms = self._unpublished_ms, None
        if exchange_ms is not None and self.is_up:
            self.confirm(exchange_ms)

    def restore(self, exchange_ms: int) -> None:
        """Nothing is missing any more: say so, and then what the book is."""
        self.is_up, self.is_doubted = True, False
        for reader in self.readers:
            reader.put(StreamRestored())
        self.confirm(exchange_ms)

    def lose(self, reason: str) -> None:
        """Forget the book; what comes next on another connection has its own sequence."""
        self.is_up = False
        self.best = self.exchange_ms = None
        self.update_id = self.updates = 0
        self._unpublished_ms = None
        for reader in self.readers:
            reader.put(StreamLost(reason))

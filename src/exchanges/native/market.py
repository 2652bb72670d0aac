"""What is known of one symbol, and who is told of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from domain.market import Quote
from exchanges.channel import Channel
from exchanges.native.wire import Best, BookTicker, best_of
from exchanges.streams import QuoteCounters
from ports.exchange import StreamLost, StreamRestored

log = structlog.get_logger("exchanges")


@dataclass(slots=True, eq=False)
class Market:
    """One symbol on the present connection.

    A quote is stamped with a time at which it is known to have been the venue's: when its message
    came, or when REST said the same. Nothing else makes it younger.
    """

    symbol: str
    counters: QuoteCounters
    readers: set[Channel[Quote | StreamLost | StreamRestored]] = field(default_factory=set)
    #: Whether the readers get quotes.
    is_up: bool = False
    #: The stream was caught standing still: REST alone does not bring it up again.
    is_doubted: bool = False
    best: Best | None = None
    update_id: int = 0
    #: Quotes that came by the stream, on this connection.
    updates: int = 0
    #: The last one published.
    quote: Quote | None = None
    #: The age of a book that is about to be published.
    _unpublished_ms: int | None = None

    def join(self, reader: Channel[Quote | StreamLost | StreamRestored]) -> None:
        self.readers.add(reader)
        if self.is_up and self.quote is not None:
            reader.put(StreamRestored())
            reader.put(self.quote)

    def take(self, book: BookTicker, venue_ms: int) -> None:
        """A message of the stream, sent when the venue's clock showed `venue_ms` or later."""
        if book.update_id < self.update_id:
            self.counters.backwards += 1
            return
        try:
            best = best_of(book.bid, book.bid_quantity, book.ask, book.ask_quantity)
        except (ValueError, ArithmeticError) as error:
            self.counters.refused += 1
            log.warning("quote_refused", symbol=self.symbol, error=str(error))
            return
        self.update_id = book.update_id
        self.updates += 1
        self.best = best
        if self.is_up:
            # Messages that come in one go are worth one quote, the last.
            if self._unpublished_ms is None:
                asyncio.get_running_loop().call_soon(self._publish)
            self._unpublished_ms = venue_ms if book.traded_ms is None else book.traded_ms

    def confirm(self, exchange_ms: int) -> None:
        """The book was the venue's at `exchange_ms`."""
        if self.best is None:
            return
        bid, ask = self.best
        self.quote = Quote(symbol=self.symbol, bid=bid, ask=ask, exchange_ms=exchange_ms)
        for reader in self.readers:
            reader.put(self.quote)

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
        self.best = self.quote = None
        self.update_id = self.updates = 0
        self._unpublished_ms = None
        for reader in self.readers:
            reader.put(StreamLost(reason))

"""The market as a decision sees it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Best bid and ask as the venue sent them; a side that is empty is `None`."""

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    #: Exchange time, ms since the epoch.
    exchange_ms: int


@dataclass(frozen=True, slots=True)
class BookTop:
    """Best bid and ask in ticks; at least one side exists and they do not cross."""

    bid_ticks: int | None
    ask_ticks: int | None
    exchange_ms: int

    @property
    def mid_ticks(self) -> int:
        """Floor of the mid; it falls back to the side that exists."""
        if self.bid_ticks is None or self.ask_ticks is None:
            return self.bid_ticks or self.ask_ticks or 0
        return (self.bid_ticks + self.ask_ticks) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """Prices of one closed interval, in quote."""

    #: Start of the interval, exchange time, ms since the epoch.
    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

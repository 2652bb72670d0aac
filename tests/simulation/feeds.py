"""The venue's streams as one process gets them: events late, lost, repeated or broken."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random

from domain.market import Quote
from ports.exchange import StreamLost, StreamRestored
from simulation.fate import Fate
from simulation.venue import Event

USUAL_WAY_S = 0.02
#: Longest outage of a stream; events in it are never told.
OUTAGE_MAX_S = 6.0

AccountEvent = Event | StreamLost | StreamRestored
QuoteEvent = Quote | StreamLost | StreamRestored


class Feed:
    """Events on their way to one process; each has a delay of its own, so they overtake."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.queue: asyncio.Queue[Event | Quote | StreamLost | StreamRestored] = asyncio.Queue()
        self._restored_s = 0.0

    def tell(
        self,
        event: Event | Quote,
        *,
        lost: float,
        repeated: float,
        slow: float,
        broken: float,
    ) -> None:
        now_s = self._fate.loop.time()
        if self._fate.strikes(broken) and now_s >= self._restored_s:
            outage_s = self._fate.dice.uniform(0.1, OUTAGE_MAX_S)
            self._restored_s = now_s + outage_s
            self.queue.put_nowait(StreamLost("connection reset"))
            self._fate.loop.later(outage_s, self.queue.put_nowait, StreamRestored())
        if now_s < self._restored_s or self._fate.strikes(lost):
            return
        for _ in range(2 if self._fate.strikes(repeated) else 1):
            longest_s = 3.0 if self._fate.strikes(slow) else USUAL_WAY_S
            self._fate.loop.later(
                self._fate.dice.uniform(0.001, longest_s), self.queue.put_nowait, event
            )


def distorted(quote: Quote, dice: Random) -> Quote:
    """A quote as broken as venues send them: empty, one-sided, crossed or no number."""
    bid, ask = dice.choice(
        (
            (None, None),
            (quote.bid, None),
            (None, quote.ask),
            (quote.ask, quote.bid),
            (Decimal("NaN"), quote.ask),
            (Decimal(0), quote.ask),
        )
    )
    return Quote(symbol=quote.symbol, bid=bid, ask=ask, exchange_ms=quote.exchange_ms)

"""What reaches a shard between two decisions: the latest quote, every order event, wishes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.instrument import Instrument
from domain.market import Quote
from domain.orders import OrderReport, Trade
from ext.engine import Lull, QuietBand, TickScale
from ports.exchange import StreamLost, StreamRestored
from ports.store import Desired

#: Order events held before the shard gives up on the stream and asks the venue instead.
MAX_ORDER_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What operators want, as last read from Postgres."""

    desired: Desired
    is_killed: bool
    #: Of the grid that is wanted.
    spec_version: int = 1

    def __str__(self) -> str:
        return "kill switch" if self.is_killed else f"operator wants it {self.desired.value}"


@dataclass(frozen=True, slots=True)
class Batch:
    """All that came in since the batch before."""

    quote: Quote | None
    order_events: tuple[OrderReport | Trade, ...]
    wishes: Wishes
    #: Other trading rules than before, as the venue shows them.
    instrument: Instrument | None
    #: Events may have been missed: compare with the exchange before deciding.
    must_reconcile: bool
    #: By all that the exchange can tell, whatever that costs.
    must_be_complete: bool


class Mailbox:
    """Ticks conflate to the latest; order events are never dropped silently."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        #: Where quotes are left that change nothing while the shard waits.
        self.lull = Lull()
        self._quote: Quote | None = None
        self._latest_quote: Quote | None = None
        self._order_events: list[OrderReport | Trade] = []
        self._must_reconcile = self._must_be_complete = False
        self._instrument: Instrument | None = None
        #: The trading rules as they were last shown, taken or not.
        self.latest_instrument: Instrument | None = None
        self._news = asyncio.Event()

    @property
    def wishes(self) -> Wishes:
        return self._wishes

    @property
    def latest_quote(self) -> Quote | None:
        """The last one that came in, taken or not."""
        self._collect_quiet_quote()
        return self._latest_quote

    def put_quote(self, event: Quote | StreamLost | StreamRestored) -> None:
        match event:
            case Quote():
                self.lull.take()  # older than this one
                self._quote = self._latest_quote = event
                self._news.set()
            case StreamLost() | StreamRestored():
                pass  # the quote's own age tells: a lost stream goes stale, a restored does not

    def put_order_event(self, event: OrderReport | Trade | StreamLost | StreamRestored) -> None:
        match event:
            case OrderReport() | Trade():
                if len(self._order_events) < MAX_ORDER_EVENTS:
                    self._order_events.append(event)
                else:
                    self._must_reconcile = self._must_be_complete = True
            case StreamRestored():
                self._must_reconcile = True
            case StreamLost():
                return
        self._news.set()

    def put_wishes(self, wishes: Wishes) -> None:
        if wishes != self._wishes:
            self._wishes = wishes
            self._news.set()

    def put_instrument(self, instrument: Instrument) -> None:
        if instrument != self.latest_instrument:
            self._instrument = self.latest_instrument = instrument
            self._news.set()

    def ask_reconcile(self) -> None:
        """Have the shard compare with the exchange, wholly, before its next decision."""
        self._must_reconcile = self._must_be_complete = True
        self._news.set()

    def wake(self) -> None:
        """Let the shard look around although nothing came in."""
        self._news.set()

    async def wait(
        self, at_most_s: float, quiet: tuple[TickScale, QuietBand] | None = None
    ) -> None:
        """Return when there is news, or after `at_most_s` seconds.

        Quotes inside a `quiet` band are no news, only newer: the next batch has the last of them.
        """
        if quiet is not None:
            self.lull.begin(*quiet)
        try:
            async with asyncio.timeout(at_most_s):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self.lull.end()

    def take(self) -> Batch:
        self._collect_quiet_quote()
        batch = Batch(
            quote=self._quote,
            order_events=tuple(self._order_events),
            wishes=self._wishes,
            instrument=self._instrument,
            must_reconcile=self._must_reconcile,
            must_be_complete=self._must_be_complete,
        )
        self._quote = self._instrument = None
        self._order_events = []
        self._must_reconcile = self._must_be_complete = False
        self._news.clear()
        return batch

    def _collect_quiet_quote(self) -> None:
        kept = self.lull.take()
        if kept is not None and self._latest_quote is not None:
            bid, ask, exchange_ms = kept
            self._quote = self._latest_quote = replace(
                self._latest_quote, bid=Decimal(bid), ask=Decimal(ask), exchange_ms=exchange_ms
            )

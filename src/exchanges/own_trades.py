"""The account's own trades, complete, whatever pages a venue tells them in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from domain.errors import TransientVenueError
from domain.orders import Trade
from exchanges.capabilities import OwnTrades

DAY_MS = 86_400_000
#: How far a venue's clock may run before ours; no trade is newer.
AHEAD_MS = 60_000
#: A trade shows up in the history at the latest so long after it was made.
LATE_MS = 3_600_000

#: Asks for one page of a symbol: since when (ms), how many, and further parameters.
AskTrades = Callable[[str, int | None, int, Mapping[str, object]], Awaitable[Sequence[Trade]]]


class TradeHistory:
    """Walks one account's trades; remembers how far it came, so that the next walk is short."""

    def __init__(self, terms: OwnTrades, ask: AskTrades, now_ms: Callable[[], int]) -> None:
        self._terms = terms
        self._ask = ask
        self._now_ms = now_ms
        #: By symbol: the newest trade known to the reader, and from when on to look for newer ones.
        self._came_to: dict[str, tuple[str | None, int]] = {}

    async def after(self, symbol: str, trade_id: str | None) -> list[Trade]:
        """All trades after the given one, oldest first; all that the venue keeps without one."""
        if self._terms.from_id is not None:
            return await self._rising_ids(symbol, self._terms.from_id, trade_id, {})
        now_ms = self._now_ms()
        known_id, since_ms = self._came_to.get(symbol, (None, 0))
        if known_id != trade_id or not since_ms:
            since_ms = now_ms - self._terms.history_days * DAY_MS
        found = await self._walk(symbol, since_ms, now_ms, {}, until_id=trade_id)
        newer = [trade for trade in found if trade.trade_id != trade_id]
        if newer:
            self._came_to[symbol] = (newer[-1].trade_id, newer[-1].traded_ms)
        else:
            self._came_to[symbol] = (trade_id, max(since_ms, now_ms - LATE_MS))
        return newer

    async def newest_id(self, symbol: str) -> str | None:
        """Id of the newest trade; `None` if the venue keeps none."""
        if self._terms.from_id is not None:
            newest = await self._ask(symbol, None, 1, {})
            return newest[-1].trade_id if newest else None
        known_id, _ = self._came_to.get(symbol, (None, 0))
        newer = await self.after(symbol, known_id)
        return newer[-1].trade_id if newer else known_id

    async def of_order(self, symbol: str, venue_order_id: str) -> list[Trade]:
        """An order's trades; where they are told by time, those of the latest such window."""
        name = self._terms.order
        params: Mapping[str, object] = {} if name is None else {name: venue_order_id}
        if self._terms.from_id is not None:
            return await self._rising_ids(symbol, self._terms.from_id, None, params)
        now_ms = self._now_ms()
        since_ms = now_ms + AHEAD_MS - self._terms.window_days * DAY_MS
        found = await self._walk(symbol, since_ms, now_ms, params)
        return [trade for trade in found if trade.venue_order_id == venue_order_id]

    async def _rising_ids(
        self, symbol: str, from_id: str, after_id: str | None, params: Mapping[str, object]
    ) -> list[Trade]:
        next_id = 0 if after_id is None else int(after_id) + 1
        trades: list[Trade] = []
        while True:
            told = await self._ask(symbol, None, self._terms.page, {**params, from_id: next_id})
            # ccxt sorts by time and then by the id as text.
            trades += sorted(told, key=lambda trade: int(trade.trade_id))
            if len(told) < self._terms.page:
                return trades
            next_id = int(trades[-1].trade_id) + 1

    async def _walk(
        self,
        symbol: str,
        since_ms: int,
        now_ms: int,
        params: Mapping[str, object],
        *,
        until_id: str | None = None,
    ) -> list[Trade]:
        """From now back to `since_ms`, or to a known trade if it comes first.

        A venue tells the newest of a window first, so a full page ends where the next one begins:
        at its oldest trade, asked for once more lest its neighbours of the same instant get lost.
        """
        terms = self._terms
        found: dict[str, Trade] = {}
        end_ms = now_ms + AHEAD_MS
        while end_ms >= since_ms:
            start_ms = max(since_ms, end_ms - terms.window_days * DAY_MS)
            told = await self._ask(symbol, start_ms, terms.page, {**params, "until": end_ms})
            fresh = {trade.trade_id: trade for trade in told if trade.trade_id not in found}
            found |= fresh
            if until_id in found:
                since_ms = found[until_id].traded_ms
            if len(told) < terms.page:
                end_ms = start_ms - 1
            elif fresh:
                end_ms = _step_up(min(trade.traded_ms for trade in told), terms.step_ms)
            else:
                raise TransientVenueError(f"{terms.page} trades and more in {terms.step_ms} ms")
        kept = [
            trade
            for trade in found.values()
            if trade.symbol == symbol and trade.traded_ms >= since_ms
        ]
        return sorted(kept, key=lambda trade: (trade.traded_ms, trade.trade_id))


def _step_up(time_ms: int, step_ms: int) -> int:
    """The venue cuts times to whole steps: the first one that is not before the time."""
    return -(-time_ms // step_ms) * step_ms

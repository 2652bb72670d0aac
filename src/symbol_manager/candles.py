"""When to look at closed candles: once each time one closes."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import AuthenticationRefused, VenueError
from domain.market import Candle
from grid.spec import Volatility
from ports.clock import Clock
from ports.exchange import ExchangePort

TIMEFRAMES_MS = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}
#: Until a venue is asked again that did not answer, or that has not closed the candle yet.
RETRY_MS = 5_000


class Candles:
    """The closed candles of one symbol, asked for as they close."""

    def __init__(
        self, exchange: ExchangePort, clock: Clock, symbol: str, volatility: Volatility
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._symbol = symbol
        self._volatility = volatility
        self._frame_ms = TIMEFRAMES_MS[volatility.timeframe]
        self._seen_open_ms = 0
        self._ask_after_boot_ms = 0

    async def fresh(self) -> Sequence[Candle]:
        """As many as the average needs, once after each close; otherwise none."""
        closed_ms = self._clock.now_ms() // self._frame_ms * self._frame_ms - self._frame_ms
        if closed_ms <= self._seen_open_ms or self._clock.boot_ms() < self._ask_after_boot_ms:
            return ()
        self._ask_after_boot_ms = self._clock.boot_ms() + RETRY_MS
        try:
            candles = await self._exchange.fetch_candles(
                self._symbol, self._volatility.timeframe, self._volatility.candles + 1
            )
        except AuthenticationRefused:
            raise
        except VenueError:
            return ()
        if not candles or candles[-1].open_ms <= self._seen_open_ms:
            return ()
        self._seen_open_ms = candles[-1].open_ms
        return candles

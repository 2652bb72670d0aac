"""Candles as a venue makes them of its trades."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from domain.market import Candle


class Chart:
    """All candles of one symbol and one timeframe."""

    def __init__(self, frame_ms: int) -> None:
        self._frame_ms = frame_ms
        self._prices: dict[int, list[Decimal]] = {}

    def add(self, traded_ms: int, price: Decimal) -> None:
        self._prices.setdefault(traded_ms - traded_ms % self._frame_ms, []).append(price)

    def closed(self, now_ms: int, count: int) -> list[Candle]:
        """The last ones, oldest first; an interval without a trade has none."""
        open_ms = now_ms - now_ms % self._frame_ms
        started = [start_ms for start_ms in self._prices if start_ms < open_ms]
        return [_candle(start_ms, self._prices[start_ms]) for start_ms in started[-count:]]


def _candle(open_ms: int, prices: Iterable[Decimal]) -> Candle:
    first, *_, last = known = [*prices, *prices]
    return Candle(open_ms=open_ms, open=first, high=max(known), low=min(known), close=last)

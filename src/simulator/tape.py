"""A symbol's public tape: recent trades, candles, rolling 24-hour statistics."""

from collections import deque
from dataclasses import dataclass, replace

from simulator.outbox import PublicTrade
from simulator.units import notional_e8

TRADES_MAX = 1_000
CANDLES_MAX = 1_440
_MINUTE_MS = 60_000
#: Lengths of the candles that are served, by the venue's names.
INTERVALS_MS = {
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "2h": 120 * _MINUTE_MS,
    "4h": 240 * _MINUTE_MS,
    "6h": 360 * _MINUTE_MS,
    "8h": 480 * _MINUTE_MS,
    "12h": 720 * _MINUTE_MS,
    "1d": 1_440 * _MINUTE_MS,
}


@dataclass(slots=True)
class Candle:
    """A stretch of trades; `open_ms` is its beginning."""

    open_ms: int
    open_e8: int
    high_e8: int
    low_e8: int
    close_e8: int
    volume_e8: int = 0
    quote_volume_e8: int = 0
    taker_buy_volume_e8: int = 0
    taker_buy_quote_e8: int = 0
    count: int = 0
    first_trade_id: int = 0
    last_trade_id: int = 0


class Tape:
    """Bounded history since the process started; it is not part of the ledger."""

    def __init__(self) -> None:
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_MAX)
        self.candles: deque[Candle] = deque(maxlen=CANDLES_MAX)

    def add(self, trade: PublicTrade) -> None:
        self.trades.append(trade)
        open_ms = trade.time_ms - trade.time_ms % _MINUTE_MS
        price_e8 = trade.price_e8
        if not self.candles or self.candles[-1].open_ms < open_ms:
            self.candles.append(
                Candle(
                    open_ms, price_e8, price_e8, price_e8, price_e8, first_trade_id=trade.trade_id
                )
            )
        candle = self.candles[-1]
        quote_e8 = notional_e8(price_e8, trade.quantity_e8)
        candle.high_e8 = max(candle.high_e8, price_e8)
        candle.low_e8 = min(candle.low_e8, price_e8)
        candle.close_e8 = price_e8
        candle.volume_e8 += trade.quantity_e8
        candle.quote_volume_e8 += quote_e8
        if not trade.buyer_is_maker:
            candle.taker_buy_volume_e8 += trade.quantity_e8
            candle.taker_buy_quote_e8 += quote_e8
        candle.count += 1
        candle.last_trade_id = trade.trade_id

    def series(self, interval_ms: int, now_ms: int, *, last: int | None = None) -> list[Candle]:
        """Candles of a length up to now, the open one included; `last` asks for so many only.

        A stretch without trades repeats the close before it, as the venue shows it.
        """
        if not self.candles:
            return []
        open_ms = now_ms - now_ms % interval_ms
        first_ms = self.candles[0].open_ms - self.candles[0].open_ms % interval_ms
        shown_from_ms = first_ms if last is None else max(first_ms, open_ms - last * interval_ms)
        merged: list[Candle] = []
        for candle in self._minutes_since(shown_from_ms):
            start_ms = candle.open_ms - candle.open_ms % interval_ms
            _extend_flat(merged, start_ms, interval_ms)
            if merged and merged[-1].open_ms == start_ms:
                _merge(merged[-1], candle)
            else:
                merged.append(replace(candle, open_ms=start_ms))
        _extend_flat(merged, open_ms + interval_ms, interval_ms)
        return merged if last is None else merged[-last:]

    def _minutes_since(self, first_ms: int) -> list[Candle]:
        """Minutes from a time on, and the one before it, whose close goes on."""
        found: list[Candle] = []
        for candle in reversed(self.candles):
            found.append(candle)
            if candle.open_ms < first_ms:
                break
        return found[::-1]

    def day(self, now_ms: int) -> Candle:
        """The last 24 hours as one candle; all zero before the first trade."""
        since_ms = now_ms - CANDLES_MAX * _MINUTE_MS
        candles = [candle for candle in self.candles if candle.open_ms >= since_ms]
        if not candles:
            return Candle(now_ms, 0, 0, 0, 0)
        first, last = candles[0], candles[-1]
        return Candle(
            open_ms=first.open_ms,
            open_e8=first.open_e8,
            high_e8=max(candle.high_e8 for candle in candles),
            low_e8=min(candle.low_e8 for candle in candles),
            close_e8=last.close_e8,
            volume_e8=sum(candle.volume_e8 for candle in candles),
            quote_volume_e8=sum(candle.quote_volume_e8 for candle in candles),
            count=sum(candle.count for candle in candles),
            first_trade_id=first.first_trade_id,
            last_trade_id=last.last_trade_id,
        )


def _extend_flat(candles: list[Candle], until_ms: int, interval_ms: int) -> None:
    """Add candles without trades up to, not including, the one that begins at `until_ms`."""
    while candles and candles[-1].open_ms + interval_ms < until_ms:
        before = candles[-1]
        close_e8 = before.close_e8
        candles.append(
            Candle(
                before.open_ms + interval_ms,
                close_e8,
                close_e8,
                close_e8,
                close_e8,
                first_trade_id=before.last_trade_id,
                last_trade_id=before.last_trade_id,
            )
        )


def _merge(whole: Candle, part: Candle) -> None:
    whole.high_e8 = max(whole.high_e8, part.high_e8)
    whole.low_e8 = min(whole.low_e8, part.low_e8)
    whole.close_e8 = part.close_e8
    whole.volume_e8 += part.volume_e8
    whole.quote_volume_e8 += part.quote_volume_e8
    whole.taker_buy_volume_e8 += part.taker_buy_volume_e8
    whole.taker_buy_quote_e8 += part.taker_buy_quote_e8
    whole.count += part.count
    whole.last_trade_id = part.last_trade_id

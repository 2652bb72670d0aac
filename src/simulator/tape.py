"""A symbol's public tape: recent trades, one-minute candles, rolling 24-hour statistics."""

from collections import deque
from dataclasses import dataclass

from simulator.units import notional_e8
from simulator.venue import PublicTrade

TRADES_MAX = 1_000
CANDLES_MAX = 1_440
_MINUTE_MS = 60_000


@dataclass(slots=True)
class Candle:
    """One minute of trades; `open_ms` is its beginning."""

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

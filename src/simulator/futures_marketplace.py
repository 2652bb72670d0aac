"""The futures market beside its prices: mark prices, funding times, what a moved price ends."""

import random
from collections.abc import Iterable

from simulator import wire_futures_market
from simulator.config import ReplayConfig, SimulatorConfig
from simulator.faults import Faults
from simulator.futures_venue import FuturesVenue
from simulator.ledger import FUTURES
from simulator.marketplace import Marketplace
from simulator.prices import Quote
from simulator.recordings import Timed, load_recordings
from simulator.streams import MarketStreams
from simulator.units import parse_e8
from simulator.wire_futures_market import Mark

#: Kinds of streams that only contracts have.
KINDS = frozenset({"markPrice", "markPrice@1s", "forceOrder"})
ALL_SYMBOLS = frozenset({"!markPrice@arr", "!markPrice@arr@1s", "!forceOrder@arr"})
#: Seeded funding rates lie between minus and plus this.
RATE_MAX_E8 = 30_000


class FuturesMarketplace(Marketplace[FuturesVenue]):
    """Perpetual contracts; a mark price is the middle of the market's own last quote."""

    def __init__(
        self, venue: FuturesVenue, config: SimulatorConfig, faults: Faults, now_ms: int
    ) -> None:
        streams = MarketStreams(
            venue.state.rules, faults, wire_futures_market, kinds=KINDS, all_symbols=ALL_SYMBOLS
        )
        super().__init__(FUTURES, venue, config.perpetuals, streams, config.futures_limits, config)
        self._config = config
        self._next_funding_ms = self._funding_after(now_ms)

    def advance(self, elapsed_ms: float, now_ms: int) -> None:
        super().advance(elapsed_ms, now_ms)
        self.venue.run_countdowns(now_ms)
        if now_ms >= self._next_funding_ms:
            self.settle_funding(self.symbols, now_ms)
            self._next_funding_ms = self._funding_after(now_ms)
        self.venue.check_margins(now_ms)

    def move_price(self, symbol: str, price_e8: int, now_ms: int) -> None:
        super().move_price(symbol, price_e8, now_ms)
        self.venue.check_margins(now_ms)

    def settle_funding(
        self, symbols: Iterable[str], now_ms: int, *, rate_e8: int | None = None
    ) -> None:
        """Now, at the given rate or at the one announced."""
        for symbol in symbols:
            announced_e8 = self.mark(symbol).rate_e8
            self.venue.settle_funding(symbol, announced_e8 if rate_e8 is None else rate_e8, now_ms)

    def mark(self, symbol: str) -> Mark:
        return Mark(
            symbol=symbol,
            price_e8=self.venue.marks_e8.get(symbol, 0),
            rate_e8=self._rate_e8(symbol),
            next_funding_ms=self._next_funding_ms,
        )

    def send_tickers(self, now_ms: int) -> None:
        super().send_tickers(now_ms)
        events = [wire_futures_market.mark_event(self.mark(name), now_ms) for name in self.symbols]
        for event in events:
            for kind in ("markPrice", "markPrice@1s"):
                self.streams.send(f"{event['s'].lower()}@{kind}", event)
        for stream in ("!markPrice@arr", "!markPrice@arr@1s"):
            self.streams.send(stream, events)

    def _show(self, symbol: str, quote: Quote, now_ms: int) -> None:
        super()._show(symbol, quote, now_ms)
        middle_e8 = (quote.bid_e8 + quote.ask_e8) // 2
        self.venue.marks_e8[symbol] = middle_e8 - middle_e8 % self.venue.rules(symbol).tick_e8

    def _funding_after(self, now_ms: int) -> int:
        interval_ms = self._config.futures.funding_interval_s * 1000
        return now_ms - now_ms % interval_ms + interval_ms

    def _rate_e8(self, symbol: str) -> int:
        """The configured rate, or one that depends on nothing but seed, symbol and funding time."""
        if self._config.futures.funding_rate is not None:
            return parse_e8(format(self._config.futures.funding_rate, "f"))
        # A market that a seed repeats, and no secret.
        dice = random.Random(f"{self._config.seed}:{symbol}:{self._next_funding_ms}")  # nosec B311
        return dice.randint(-RATE_MAX_E8, RATE_MAX_E8)

    def _recorded(self, replay: ReplayConfig) -> dict[str, list[Timed]]:
        return load_recordings(replay.paths, replay.futures_market)

    def _seed(self, config: SimulatorConfig) -> str:
        return f"{config.seed}:{FUTURES}"

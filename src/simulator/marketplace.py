"""One of the exchange's markets: a venue, where its prices come from, and its public face."""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from simulator.config import Limits, ReplayConfig, SimulatorConfig
from simulator.errors import invalid_symbol
from simulator.files import write_atomically
from simulator.outbox import Outbox
from simulator.prices import Feed, Quote, ladder, snapped, synthetic
from simulator.rate_limit import RateLimiter
from simulator.recordings import Timed, load_recordings, replayed
from simulator.streams import MarketStreams
from simulator.symbols import SymbolConfig
from simulator.tape import Tape
from simulator.units import format_e8, parse_e8
from simulator.venue import Venue

AnyVenue = TypeVar("AnyVenue", bound=Venue[Any])


class Marketplace(Generic[AnyVenue]):
    """Plays the market's feeds into its venue, and shows the outcome."""

    def __init__(
        self,
        name: str,
        venue: AnyVenue,
        symbols: Iterable[SymbolConfig],
        streams: MarketStreams,
        limits: Limits,
        config: SimulatorConfig,
    ) -> None:
        self.name = name
        self.venue = venue
        self.limits = limits
        self.symbols = {symbol.name: symbol for symbol in symbols}
        self.tapes = {symbol: Tape() for symbol in self.symbols}
        self.streams = streams
        self.rate_limiter = RateLimiter(limits)
        file_name = "market.json" if name == "spot" else f"market-{name}.json"
        self._prices_file = config.data_dir / file_name
        self.feeds = self._make_feeds(config)

    def symbol(self, name: str) -> SymbolConfig:
        config = self.symbols.get(name)
        if config is None:
            raise invalid_symbol()
        return config

    def advance(self, elapsed_ms: float, now_ms: int) -> None:
        """Let the market move."""
        for symbol, feed in self.feeds.items():
            rules = self.venue.rules(symbol)
            for raw in feed.advance(elapsed_ms):
                event = snapped(raw, rules)
                if isinstance(event, Quote):
                    self._show(symbol, event, now_ms)
                else:
                    self.venue.trade(
                        symbol,
                        event.price_e8,
                        event.quantity_e8,
                        now_ms,
                        buyer_is_maker=event.buyer_is_maker,
                    )

    def move_price(self, symbol: str, price_e8: int, now_ms: int) -> None:
        """Put the market's middle at a price; trades print through every order of ours between."""
        config = self.symbol(symbol)
        feed = self.feeds[symbol]
        before_e8 = feed.mid_e8
        quote = feed.move_to(price_e8)
        rising = before_e8 is not None and price_e8 > before_e8
        for order in self.venue.books[symbol].passed_by(price_e8, rising=rising):
            self.venue.trade(
                symbol,
                order.price_e8,
                order.queue_ahead_e8 + order.remaining_e8,
                now_ms,
                buyer_is_maker=not rising,
            )
        self.venue.trade(symbol, price_e8, _displayed_e8(config), now_ms, buyer_is_maker=not rising)
        self._show(symbol, quote, now_ms)

    def trade_by_hand(
        self, symbol: str, price_e8: int, quantity_e8: int, now_ms: int, *, buyer_is_maker: bool
    ) -> None:
        """Print one trade of the market; the orders of ours that it reaches share in it."""
        rules = self.venue.rules(symbol)
        if price_e8 <= 0 or price_e8 % rules.tick_e8 or quantity_e8 <= 0:
            msg = (
                f"the price must be on a tick and the quantity > 0, were {price_e8}, {quantity_e8}"
            )
            raise ValueError(msg)
        self.venue.trade(symbol, price_e8, quantity_e8, now_ms, buyer_is_maker=buyer_is_maker)

    def publish(self, outbox: Outbox) -> None:
        """Tell the public of what was committed."""
        for trade in outbox.trades:
            self.tapes[trade.symbol].add(trade)
            self.streams.trade(trade)
        for stream, event in outbox.announcements:
            self.streams.send(stream, event)

    def send_depth(self, now_ms: int) -> None:
        for symbol, book in self.venue.books.items():
            self.streams.depth(symbol, book, now_ms)

    def send_candles(self, now_ms: int) -> None:
        for symbol, tape in self.tapes.items():
            self.streams.candles(symbol, tape, now_ms)

    def send_tickers(self, now_ms: int) -> None:
        books = self.venue.books
        days = [(symbol, tape.day(now_ms), books[symbol]) for symbol, tape in self.tapes.items()]
        self.streams.tickers(days, now_ms)

    def save_prices(self) -> None:
        prices = {
            symbol: format_e8(feed.mid_e8)
            for symbol, feed in self.feeds.items()
            if feed.mid_e8 is not None
        }
        write_atomically(self._prices_file, orjson.dumps(prices))

    def _show(self, symbol: str, quote: Quote, now_ms: int) -> None:
        book = self.venue.books[symbol]
        tick_e8 = self.venue.rules(symbol).tick_e8
        book.display(*ladder(quote, tick_e8, _displayed_e8(self.symbols[symbol])))
        self.streams.quote(symbol, quote, book.update_id, now_ms)

    def _recorded(self, replay: ReplayConfig) -> dict[str, list[Timed]]:
        return load_recordings(replay.paths, replay.market)

    def _seed(self, config: SimulatorConfig) -> str:
        return str(config.seed)

    def _make_feeds(self, config: SimulatorConfig) -> dict[str, Feed]:
        """Feeds that go on from where the market of the previous process stood."""
        recorded = self._recorded(config.replay) if config.replay else {}
        saved = _saved_prices(self._prices_file)
        feeds: dict[str, Feed] = {}
        for symbol, symbol_config in self.symbols.items():
            if config.replay and symbol in recorded:
                events = replayed(recorded[symbol], speed=float(config.replay.speed))
            else:
                events = synthetic(symbol_config, seed=self._seed(config))
            tick_e8 = self.venue.rules(symbol).tick_e8
            feeds[symbol] = Feed(events, tick_e8, start_price_e8=saved.get(symbol))
        return feeds


@functools.cache
def _displayed_e8(config: SymbolConfig) -> int:
    return parse_e8(format(config.displayed_quantity, "f"))


def _saved_prices(path: Path) -> Mapping[str, int]:
    if not path.exists():
        return {}
    return {symbol: parse_e8(price) for symbol, price in orjson.loads(path.read_bytes()).items()}

"""The running exchange: venue, ledger, market feeds and streams behind one `commit`."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

from simulator.auth import Authenticator
from simulator.config import ConfigurationError, Rules, SimulatorConfig, SymbolConfig
from simulator.errors import invalid_symbol
from simulator.faults import Fault, Faults
from simulator.files import write_atomically
from simulator.ledger import Ledger
from simulator.market import Feed, Quote, ladder, snapped, synthetic
from simulator.rate_limit import RateLimiter
from simulator.recordings import load_recordings, replayed
from simulator.state import State
from simulator.streams import MarketStreams
from simulator.tape import Tape
from simulator.units import format_e8, parse_e8
from simulator.user_streams import UserStreams
from simulator.venue import Venue

MARKET_INTERVAL_S = 0.02
DEPTH_INTERVAL_S = 0.1
TICKER_INTERVAL_S = 1.0


class Exchange:
    """Owns every part; all methods run on one event loop, so each one is atomic."""

    def __init__(self, config: SimulatorConfig) -> None:
        """Recover from the data directory, or begin with the configured balances."""
        self.config = config
        self.faults = Faults()
        self.clock_offset_ms = 0
        self.ledger = Ledger(config.data_dir / "ledger.jsonl", fsync=config.fsync)
        state = State({symbol.name: Rules.of(symbol) for symbol in config.symbols})
        for record in self.ledger.recover():
            try:
                state.apply(record)
            except KeyError as error:
                self.ledger.close()
                msg = f"`symbols` must hold what the ledger knows, lacks {error}"
                raise ConfigurationError(msg) from error
        self.venue = Venue(state, config.limits, first_id=self.now_ms())
        self.symbols = {symbol.name: symbol for symbol in config.symbols}
        self.tapes = {symbol: Tape() for symbol in self.symbols}
        self.authenticator = Authenticator(config.accounts, config.limits)
        self.rate_limiter = RateLimiter(config.limits)
        self.market_streams = MarketStreams(list(self.symbols), self.faults)
        self.user_streams = UserStreams(self.authenticator, self.faults, self.now_ms)
        self._market_file = config.data_dir / "market.json"
        self.feeds = self._make_feeds()
        for account in config.accounts:
            if account.name not in state.initial_e8:
                for asset, amount in account.balances.items():
                    amount_e8 = parse_e8(format(amount, "f"))
                    self.venue.deposit(account.name, asset, amount_e8, self.now_ms(), initial=True)
        self.commit()

    def now_ms(self) -> int:
        """The exchange's own clock, which a fault may shift."""
        return time.time_ns() // 1_000_000 + self.clock_offset_ms

    def symbol(self, name: str) -> SymbolConfig:
        config = self.symbols.get(name)
        if config is None:
            raise invalid_symbol()
        return config

    def commit(self) -> None:
        """Write what happened to the ledger, and only then tell the streams."""
        outbox = self.venue.drain(self.now_ms())
        if outbox.records:
            try:
                self.ledger.append(outbox.records)
            except OSError as error:
                # Memory is ahead of the ledger now: nothing may be answered from it any more.
                sys.stderr.write(f"the ledger cannot be written, stopping: {error}\n")
                sys.stderr.flush()
                os._exit(os.EX_IOERR)
        for account, event in outbox.events:
            self.user_streams.publish(account, event)
        for trade in outbox.trades:
            self.tapes[trade.symbol].add(trade)
            self.market_streams.trade(trade)

    def advance(self, elapsed_ms: float) -> None:
        """Let the market move."""
        now_ms = self.now_ms()
        for symbol, feed in self.feeds.items():
            rules = self.venue.rules(symbol)
            for raw in feed.advance(elapsed_ms):
                event = snapped(raw, rules)
                if isinstance(event, Quote):
                    self._show(symbol, event)
                else:
                    self.venue.trade(
                        symbol,
                        event.price_e8,
                        event.quantity_e8,
                        now_ms,
                        buyer_is_maker=event.buyer_is_maker,
                    )
        self.commit()

    def move_price(self, symbol: str, price_e8: int) -> None:
        """Put the market's middle at a price; trades print through every order of ours between."""
        config = self.symbol(symbol)
        feed = self.feeds[symbol]
        before_e8 = feed.mid_e8
        quote = feed.move_to(price_e8)
        rising = before_e8 is not None and price_e8 > before_e8
        now_ms = self.now_ms()
        for order in self.venue.books[symbol].passed_by(price_e8, rising=rising):
            self.venue.trade(
                symbol,
                order.price_e8,
                order.queue_ahead_e8 + order.remaining_e8,
                now_ms,
                buyer_is_maker=not rising,
            )
        displayed_e8 = parse_e8(format(config.displayed_quantity, "f"))
        self.venue.trade(symbol, price_e8, displayed_e8, now_ms, buyer_is_maker=not rising)
        self._show(symbol, quote)
        self.commit()

    def apply_fault(self, fault: Fault) -> None:
        """Carry out a fault that takes effect once."""
        match fault.kind:
            case "ws_disconnect":
                if fault.stream in {"market", "all"}:
                    self.market_streams.disconnect_all()
                if fault.stream in {"user", "all"}:
                    self.user_streams.disconnect_all()
            case "clock_offset_ms":
                self.clock_offset_ms = fault.offset_ms
            case "filters":
                self.venue.change_rules(fault.symbol or "", fault.filters, self.now_ms())
                self.commit()

    def clear_faults(self) -> None:
        self.faults.clear()
        self.clock_offset_ms = 0

    async def run_market(self) -> None:
        """Advance the feeds by the time that passed, and send depth and tickers, for ever."""
        last_s = time.monotonic()
        for turn in itertools.count():
            await asyncio.sleep(MARKET_INTERVAL_S)
            now_s = time.monotonic()
            self.advance((now_s - last_s) * 1000)
            last_s = now_s
            if turn % round(DEPTH_INTERVAL_S / MARKET_INTERVAL_S) == 0:
                for symbol, book in self.venue.books.items():
                    self.market_streams.depth(symbol, book, self.now_ms())
            if turn % round(TICKER_INTERVAL_S / MARKET_INTERVAL_S) == 0:
                self._send_tickers()
                self._save_prices()

    def close(self) -> None:
        self._save_prices()
        self.ledger.close()

    def _show(self, symbol: str, quote: Quote) -> None:
        config = self.symbols[symbol]
        book = self.venue.books[symbol]
        tick_e8 = self.venue.rules(symbol).tick_e8
        book.display(*ladder(quote, tick_e8, parse_e8(format(config.displayed_quantity, "f"))))
        self.market_streams.quote(symbol, quote, book.update_id)

    def _send_tickers(self) -> None:
        now_ms = self.now_ms()
        for symbol, tape in self.tapes.items():
            book = self.venue.books[symbol]
            self.market_streams.ticker(symbol, tape.day(now_ms), book, now_ms)

    def _make_feeds(self) -> dict[str, Feed]:
        """Feeds that go on from where the market of the previous process stood."""
        recorded = load_recordings(self.config.replay) if self.config.replay else {}
        saved = _saved_prices(self._market_file)
        feeds: dict[str, Feed] = {}
        for symbol, config in self.symbols.items():
            if self.config.replay and symbol in recorded:
                events = replayed(recorded[symbol], speed=float(self.config.replay.speed))
            else:
                events = synthetic(config, seed=self.config.seed)
            tick_e8 = parse_e8(format(config.tick_size, "f"))
            feeds[symbol] = Feed(events, tick_e8, start_price_e8=saved.get(symbol))
        return feeds

    def _save_prices(self) -> None:
        prices = {
            symbol: format_e8(feed.mid_e8)
            for symbol, feed in self.feeds.items()
            if feed.mid_e8 is not None
        }
        write_atomically(self._market_file, orjson.dumps(prices))


def _saved_prices(path: Path) -> Mapping[str, int]:
    if not path.exists():
        return {}
    return {symbol: parse_e8(price) for symbol, price in orjson.loads(path.read_bytes()).items()}

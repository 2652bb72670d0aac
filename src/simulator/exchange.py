"""The running exchange: its two markets, one ledger and one fault injector behind one `commit`."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from simulator import wire_market
from simulator.auth import Authenticator
from simulator.config import AccountConfig, ConfigurationError, SimulatorConfig
from simulator.faults import Fault, Faults
from simulator.futures_marketplace import FuturesMarketplace
from simulator.futures_state import FuturesState
from simulator.futures_venue import FuturesVenue
from simulator.ledger import FUTURES, SPOT, Ledger
from simulator.listen_keys import ListenKeyStreams
from simulator.marketplace import Marketplace
from simulator.spot_state import SpotState
from simulator.spot_venue import SpotVenue
from simulator.state import State
from simulator.streams import MarketStreams
from simulator.symbols import Rules
from simulator.units import parse_e8
from simulator.user_streams import SubscribedStreams, UserStreams

MARKET_INTERVAL_S = 0.02
DEPTH_INTERVAL_S = 0.1
CANDLE_INTERVAL_S = 0.24
TICKER_INTERVAL_S = 1.0


class Exchange:
    """Owns every part; all methods run on one event loop, so each one is atomic."""

    def __init__(self, config: SimulatorConfig) -> None:
        """Recover from the data directory, or begin with the configured balances."""
        self.config = config
        self.faults = Faults()
        self.clock_offset_ms = 0
        self.ledger = Ledger(config.data_dir / "ledger.jsonl", fsync=config.fsync)
        spot_state = SpotState({symbol.name: Rules.of(symbol) for symbol in config.symbols})
        futures_state = FuturesState(
            {symbol.name: Rules.of(symbol) for symbol in config.perpetuals}
        )
        self._recover({SPOT: spot_state, FUTURES: futures_state})
        now_ms = self.now_ms()
        self.spot = Marketplace(
            SPOT,
            SpotVenue(spot_state, config.limits, first_id=now_ms),
            config.symbols,
            MarketStreams(spot_state.rules, self.faults, wire_market),
            config.limits,
            config,
        )
        self.futures = FuturesMarketplace(
            FuturesVenue(futures_state, config.futures_limits, first_id=now_ms),
            config,
            self.faults,
            now_ms,
        )
        #: In the order in which their records are written.
        self.markets: dict[str, Marketplace[Any]] = {
            SPOT: self.spot,
            FUTURES: self.futures,
        }
        self.authenticator = Authenticator(config.accounts, config.limits)
        self.subscriptions = SubscribedStreams(self.faults)
        self.listen_keys = ListenKeyStreams(
            self.faults, config.futures.listen_key_validity_s * 1000
        )
        self._user_streams: dict[str, UserStreams] = {
            SPOT: self.subscriptions,
            FUTURES: self.listen_keys,
        }
        for account in config.accounts:
            self._open(account)
        self.commit()

    def now_ms(self) -> int:
        """The exchange's own clock, which a fault may shift."""
        return time.time_ns() // 1_000_000 + self.clock_offset_ms

    def commit(self) -> None:
        """Write what happened to the ledger, and only then tell the streams."""
        outboxes = {
            name: market.venue.drain(self.now_ms()) for name, market in self.markets.items()
        }
        for name, outbox in outboxes.items():
            if not outbox.records:
                continue
            try:
                self.ledger.append(name, outbox.records)
            except OSError as error:
                # Memory is ahead of the ledger now: nothing may be answered from it any more.
                sys.stderr.write(f"the ledger cannot be written, stopping: {error}\n")
                sys.stderr.flush()
                os._exit(os.EX_IOERR)
        for name, outbox in outboxes.items():
            for account, event in outbox.events:
                self._user_streams[name].publish(account, event)
            self.markets[name].publish(outbox)

    def advance(self, elapsed_ms: float) -> None:
        """Let both markets move."""
        now_ms = self.now_ms()
        for market in self.markets.values():
            market.advance(elapsed_ms, now_ms)
        self.commit()

    def apply_fault(self, fault: Fault) -> None:
        """Carry out a fault that takes effect once."""
        match fault.kind:
            case "ws_disconnect":
                if fault.stream in {"market", "all"}:
                    for market in self.markets.values():
                        market.streams.disconnect_all()
                if fault.stream in {"user", "all"}:
                    for streams in self._user_streams.values():
                        streams.disconnect_all()
            case "listen_key_expired":
                self.listen_keys.expire(self.now_ms(), at_once=True)
            case "clock_offset_ms":
                self.clock_offset_ms = fault.offset_ms
            case "filters":
                venue = self.markets[fault.market].venue
                venue.change_rules(fault.symbol or "", fault.filters, self.now_ms())
                self.commit()

    def clear_faults(self) -> None:
        self.faults.clear()
        self.clock_offset_ms = 0

    async def run_market(self) -> None:
        """Advance the feeds by the time that passed, and send what is sent regularly, for ever."""
        last_s = time.monotonic()
        for turn in itertools.count():
            await asyncio.sleep(MARKET_INTERVAL_S)
            now_s = time.monotonic()
            self.advance((now_s - last_s) * 1000)
            last_s = now_s
            self.listen_keys.expire(self.now_ms())
            self._send_regularly(turn)

    def close(self) -> None:
        self._save_prices()
        self.ledger.close()

    def _send_regularly(self, turn: int) -> None:
        def is_due(interval_s: float) -> bool:
            return turn % round(interval_s / MARKET_INTERVAL_S) == 0

        now_ms = self.now_ms()
        sends: list[Callable[[int], None]] = []
        for market in self.markets.values():
            if is_due(DEPTH_INTERVAL_S):
                sends.append(market.send_depth)
            if is_due(CANDLE_INTERVAL_S):
                sends.append(market.send_candles)
            if is_due(TICKER_INTERVAL_S):
                sends.append(market.send_tickers)
        for send in sends:
            send(now_ms)
        if is_due(TICKER_INTERVAL_S):
            self._save_prices()

    def _save_prices(self) -> None:
        for market in self.markets.values():
            market.save_prices()

    def _recover(self, states: dict[str, State]) -> None:
        for market, record in self.ledger.recover():
            try:
                states[market].apply(record)
            except KeyError as error:
                self.ledger.close()
                field = "symbols" if market == SPOT else "perpetuals"
                msg = f"`{field}` must hold what the ledger knows, lacks {error}"
                raise ConfigurationError(msg) from error

    def _open(self, account: AccountConfig) -> None:
        """Give an account that is new in a market what it begins with."""
        for name, balances in ((SPOT, account.balances), (FUTURES, account.futures_balances)):
            venue = self.markets[name].venue
            if account.name in venue.state.initial_e8 or not self.markets[name].symbols:
                continue
            for asset, amount in balances.items():
                amount_e8 = parse_e8(format(amount, "f"))
                venue.deposit(account.name, asset, amount_e8, self.now_ms(), initial=True)

"""Keeps the shards of a node told of the venue's trading rules: ticks, lots, minimums, fees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog

from domain.errors import ConfigurationError, VenueError
from ports.exchange import ExchangePort
from symbol_manager.shard import Shard

#: The rules of all markets are one large answer: never asked for more often than this.
LEAST_EVERY_S = 60.0

log = structlog.get_logger("orchestrator")


class TradingRules:
    """Asks every now and then, and soon after something spoke for a change."""

    def __init__(
        self, exchange: ExchangePort, every_s: float, shards: Callable[[], Iterable[Shard]]
    ) -> None:
        self._exchange = exchange
        self._every_s = every_s
        self._shards = shards
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """An order did not fit, or a symbol starts under the rules it was left with."""
        self._doubted.set()

    async def keep(self) -> None:
        """Ask until cancelled."""
        least_s = min(LEAST_EVERY_S, self._every_s)
        while True:
            self._doubted.clear()
            await self._tell()
            await asyncio.sleep(least_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s - least_s):
                    await self._doubted.wait()

    async def _tell(self) -> None:
        try:
            published = await self._exchange.load_instruments()
        except (VenueError, ConfigurationError) as error:
            log.warning("trading_rules_not_loaded", error=str(error))
            self.doubt()
            return
        for runner in self._shards():
            instrument = published.get(runner.symbol)
            if instrument is None:
                log.warning("market_not_listed", symbol=runner.symbol)
            else:
                runner.mailbox.put_instrument(instrument)

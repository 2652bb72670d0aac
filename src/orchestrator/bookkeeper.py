"""Books what moves an account's wallets without a trade: funding and transfers.

It asks for the whole account, so that one request serves all symbols, those that are gone included.
Every node does it; an entry is made once, by the venue's transaction id.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from domain.errors import StoreUnavailable, VenueError
from orchestrator.rows import WalletRows
from ports.exchange import ExchangePort

log = structlog.get_logger("orchestrator")


class Bookkeeper:
    def __init__(self, exchange: ExchangePort, wallets: WalletRows, every_s: float) -> None:
        self._exchange = exchange
        self._wallets = wallets
        self._every_s = every_s
        self._has_news = asyncio.Event()

    def ask_now(self) -> None:
        """The venue says that a wallet moved."""
        self._has_news.set()

    async def keep(self) -> None:
        """Ask for ever, at once where there is news."""
        while True:
            self._has_news.clear()
            try:
                await self.book()
            except (VenueError, StoreUnavailable) as error:
                log.warning("round_failed", task="bookkeeper", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._has_news.wait()

    async def book(self) -> None:
        """One round: everything that is not in the ledger yet."""
        from_ms = await self._wallets.ask_from_ms()
        if from_ms is None:
            return
        booked = await self._wallets.book(await self._exchange.fetch_income(from_ms))
        if booked:
            log.info("income_booked", entries=booked)

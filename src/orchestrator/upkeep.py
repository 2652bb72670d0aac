"""Keeps the tables small, and what people are shown fresh; any node does it for all."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from orchestrator.rounds import every
from ports.exchange import ExchangePort
from store.reservations import are_balances_old, keep_balances
from store.retention import purge_history

PURGE_EVERY_S = 3_600.0
#: The balances that people are shown are about so old at most, whatever the number of nodes.
BALANCES_EVERY_S = 60.0


class Upkeep:
    def __init__(
        self, engine: AsyncEngine, exchange: ExchangePort, keep_history_days: float
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        #: Replaced where an operator changes it while the node runs.
        self.keep_history_days = keep_history_days

    async def keep(self) -> None:
        """Look after it for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(every(PURGE_EVERY_S, self._purge), name="purge")
            tasks.create_task(every(BALANCES_EVERY_S, self._note_balances), name="balances")

    async def _purge(self) -> None:
        await purge_history(self._engine, self.keep_history_days)

    async def _note_balances(self) -> None:
        """Unless another node did it just now."""
        account = self._exchange.account
        if await are_balances_old(self._engine, account, BALANCES_EVERY_S / 2):
            await keep_balances(self._engine, account, await self._exchange.fetch_balances())

"""The store as one process sees it: the database behind connections that break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from domain.contracts import Income
from domain.errors import StoreUnavailable
from domain.ids import ClientOrderId, VenueOrderId
from domain.instrument import Instrument
from domain.orders import Order
from domain.plans import CommittedPlan
from ports.store import Changes, Claim, Decision, Held, Loaded, Ownership, Status
from simulation.database import Database
from simulation.fate import Fate
from simulation.link import Chances, Link, NoAnswerError
from store.engine import cancellations

USUAL_WAY_S = 0.003
TIMEOUT_S = 4.0

Answer = TypeVar("Answer")


class SimulatedStore:
    """Implements `ports.store.ShardStore`, and `store.wallets.Wallets`, for one executor.

    A transaction of which no answer came may have been committed, or may be committed later.
    """

    def __init__(self, fate: Fate, database: Database, executor: str, account: str = "sim") -> None:
        self._fate = fate
        self.database = self._database = database
        self._executor = executor
        self._account = account
        self.link = Link(fate, self._chances, usual_s=USUAL_WAY_S, timeout_s=TIMEOUT_S)

    async def claim(self, shard: int, workflow_id: str) -> Claim:
        return await self._transact(
            f"claim {shard}", lambda: self._database.claim(self._executor, shard, workflow_id)
        )

    async def load(self, claim: Claim) -> Loaded:
        return await self._transact("load", lambda: self._database.load(claim))

    async def find_order(
        self, claim: Claim, order_id: ClientOrderId | VenueOrderId
    ) -> tuple[Order, Decimal] | None:
        return await self._transact(
            f"find {order_id}", lambda: self._database.find_order(claim, order_id)
        )

    async def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        return await self._transact(
            f"commit {decision.decision_id}",
            lambda: self._database.commit_decision(decision, instrument),
        )

    async def own_trade_ids(self, client_order_id: ClientOrderId) -> frozenset[str]:
        return await self._transact(
            f"trades of {client_order_id}", lambda: self._database.own_trade_ids(client_order_id)
        )

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        orders = [f"{name} {order.status.value}" for name, order in changes.orders.items()]
        fills = [f"{name} {fill.origin.value}" for name, fill in changes.fills.items()]
        news = [str(part) for part in (changes.phase, changes.ladder) if part]
        return await self._transact(
            f"record {ownership.epoch} {orders} {fills} {news}",
            lambda: self._database.record(ownership, instrument, changes),
        )

    async def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        return await self._transact(
            f"status {ownership.epoch} {status.value} {reason}",
            lambda: self._database.set_status(ownership, status, reason),
        )

    async def held_inventory(self, account: str, base: str) -> Decimal:
        return await self._transact("held", lambda: self._database.held_inventory(account, base))

    async def held_position(self, account: str, symbol: str) -> Held:
        return await self._transact("held", lambda: self._database.held_position(account, symbol))

    async def ask_from_ms(self) -> int | None:
        """Of `store.wallets.Wallets`, as is `book`."""
        return await self.ask(self._database.ask_income_from_ms)

    async def book(self, found: Sequence[Income]) -> int:
        return await self._transact(
            f"book {[income.transaction_id for income in found]}",
            lambda: self._database.book_income(self._account, found),
        )

    async def ask(self, act: Callable[[], Answer]) -> Answer:
        """Any one transaction, at the database's end of the connection."""
        before = cancellations()
        try:
            return await self.link.call(act)
        except NoAnswerError as error:
            if cancellations() > before:
                raise asyncio.CancelledError from error
            raise StoreUnavailable(str(error)) from error

    async def _transact(self, what: str, act: Callable[[], Answer]) -> Answer:
        def traced() -> Answer:
            try:
                answer = act()
            except Exception as error:
                self._fate.trace.note(f"{self._executor} {what}: {error!r}")
                raise
            self._fate.trace.note(f"{self._executor} {what}")
            return answer

        self._fate.hazard(1.0)
        return await self.ask(traced)

    def _chances(self) -> Chances:
        weather = self._fate.weather()
        return Chances(
            weather.store_request_lost,
            weather.store_reply_lost,
            weather.store_request_slow,
            weather.store_reply_slow,
        )

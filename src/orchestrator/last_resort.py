"""Cancels orders that are not to rest, where nothing can be written down first.

An order needs a durable intent before it leaves; a cancel needs none. What it did comes back by the
account's stream, or by the next comparison, as if somebody else had cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from domain.errors import OwnershipLost
from domain.ids import ClientOrderId
from domain.orders import Order
from ports.clock import Clock
from ports.exchange import Accepted, ExchangePort, Outcome, Refused
from symbol_manager.lease import Lease
from symbol_manager.reconcile import is_unconfirmed
from symbol_manager.shard import Shard

LOOK_EVERY_S = 0.5
#: How long a shard may take to cancel by itself: it plans, commits and sends within one round.
PATIENCE_MS = 2_000
#: How soon a cancel without an answer is sent again.
AGAIN_MS = 5_000

log = structlog.get_logger("orchestrator")


class LastResort:
    """Looks after the shards of one node that want no orders and still have some."""

    def __init__(
        self,
        exchange: ExchangePort,
        clock: Clock,
        lease: Lease,
        shards: Callable[[], Collection[Shard]],
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._lease = lease
        self._shards = shards
        #: Since when each shard wants no orders.
        self._since_ms: dict[int, int] = {}
        #: When each cancel may be sent again; `None` where the order is gone.
        self._asked: dict[ClientOrderId, int | None] = {}

    async def keep(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Cancel what has rested too long."""
        now_ms = self._clock.boot_ms()
        unwanted = [shard for shard in self._shards() if shard.wants_no_orders]
        self._since_ms = {
            shard.shard: self._since_ms.get(shard.shard, now_ms) for shard in unwanted
        }
        if not unwanted:
            self._asked.clear()
        async with asyncio.TaskGroup() as cancelling:
            for shard in unwanted:
                due = [order for order in shard.resting if self._is_due(order, now_ms)]
                if due and now_ms >= self._since_ms[shard.shard] + PATIENCE_MS:
                    cancelling.create_task(self._cancel(shard, due))

    async def _cancel(self, shard: Shard, orders: list[Order]) -> None:
        log.error("cancels_without_commit", symbol=shard.symbol, orders=len(orders))
        again_ms = self._clock.boot_ms() + AGAIN_MS
        names = [order.intent.client_order_id for order in orders]
        outcomes = await self._exchange.cancel(shard.symbol, names, self._guard(shard))
        for order, outcome in zip(orders, outcomes, strict=True):
            is_gone = _is_gone(order, outcome)
            self._asked[order.intent.client_order_id] = None if is_gone else again_ms

    def _guard(self, shard: Shard) -> Callable[[], None]:
        def guard() -> None:
            self._lease.check()
            if not shard.wants_no_orders:
                raise OwnershipLost("its orders may rest again")

        return guard

    def _is_due(self, order: Order, now_ms: int) -> bool:
        again_ms = self._asked.get(order.intent.client_order_id, 0)
        return again_ms is not None and now_ms >= again_ms


def _is_gone(order: Order, outcome: Outcome) -> bool:
    """Whether an order is gone, by this cancel or before.

    One that the venue never confirmed may still be on its way where it is not found.
    """
    match outcome:
        case Accepted():
            return True
        case Refused(reason=reason):
            return reason == "not_found" and not is_unconfirmed(order)
        case _:
            return False

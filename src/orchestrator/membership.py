"""A process's row in `nodes`: its permission to act, renewed by a heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import OwnershipLost, StoreUnavailable
from orchestrator.takeover import this_process
from ports.clock import Clock
from store.nodes import ExecutorId, Nodes
from symbol_manager.lease import Lease


class Membership:
    """Joins, keeps the lease renewed, and leaves."""

    def __init__(self, nodes: Nodes, executor_id: ExecutorId, clock: Clock, lease: Lease) -> None:
        self._nodes = nodes
        self._executor_id = executor_id
        self._clock = clock
        self._lease = lease
        #: Since when no heartbeat came too late for the lease.
        self._steady_since_ms = 0
        self.process = this_process()

    async def join(self, name: str, capacity: int) -> None:
        """Write the row that lets this process act."""
        asked_ms = self._clock.boot_ms()
        await self._nodes.join(self._executor_id, name, self.process, capacity)
        self._steady_since_ms = asked_ms
        self._lease.renew(asked_ms)

    def was_steady_for(self, seconds: float) -> bool:
        """Whether Postgres acknowledged the heartbeats without a gap for so long."""
        steady_ms = self._clock.boot_ms() - self._steady_since_ms
        return self._lease.is_held and steady_ms >= seconds * 1000

    async def keep(self, heartbeat_s: float, reaches_exchange: Callable[[], bool]) -> None:
        """Renew the lease for ever; while Postgres does not answer it runs out by itself.

        Raises
        ------
        OwnershipLost
            If the row is gone: this process was declared dead and must not renew what it lost.
        """
        while True:
            asked_ms = self._clock.boot_ms()
            with suppress(StoreUnavailable, SQLAlchemyError):
                if not await self._nodes.beat(
                    self._executor_id, reaches_exchange=reaches_exchange()
                ):
                    self._lease.revoke()
                    raise OwnershipLost("this node was declared dead; its shards moved on")
                if not self._lease.is_held:
                    self._steady_since_ms = asked_ms
                self._lease.renew(asked_ms)
            await asyncio.sleep(heartbeat_s)

    async def leave(self) -> None:
        """Send nothing any more and delete the row: what is pending here may be resumed."""
        self._lease.revoke()
        with suppress(StoreUnavailable):
            await self._nodes.remove([self._executor_id])

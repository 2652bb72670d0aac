"""A process's row in `nodes`: its permission to act, renewed by a heartbeat."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost, StoreUnavailable
from orchestrator.takeover import Process
from ports.clock import Clock
from store.engine import transaction
from symbol_manager.lease import Lease


class Membership:
    """Joins, keeps the lease renewed, and leaves."""

    def __init__(
        self, engine: AsyncEngine, executor_id: str, name: str, clock: Clock, lease: Lease
    ) -> None:
        self._engine = engine
        self._executor_id = executor_id
        self._name = name
        self._clock = clock
        self._lease = lease
        self.process = Process.current()

    async def join(self) -> None:
        """Write the row that lets this process act."""
        asked_ms = self._clock.boot_ms()
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("""
                    INSERT INTO nodes (executor_id, name, host, boot_id, pid, pid_started)
                    VALUES (:executor_id, :name, :host, :boot_id, :pid, :pid_started)
                """),
                {
                    "executor_id": self._executor_id,
                    "name": self._name,
                    "host": self.process.host,
                    "boot_id": self.process.boot_id,
                    "pid": self.process.pid,
                    "pid_started": self.process.pid_started,
                },
            )
        self._lease.renew(asked_ms)

    async def keep(self, heartbeat_s: float) -> None:
        """Renew the lease for ever; while Postgres does not answer it runs out by itself.

        Raises
        ------
        OwnershipLost
            If the row is gone: this process was declared dead and must not renew what it lost.
        """
        while True:
            asked_ms = self._clock.boot_ms()
            with suppress(StoreUnavailable, SQLAlchemyError):
                if not await self._beat():
                    self._lease.revoke()
                    raise OwnershipLost("this node was declared dead; its shards moved on")
                self._lease.renew(asked_ms)
            await asyncio.sleep(heartbeat_s)

    async def leave(self) -> None:
        """Send nothing any more and delete the row: what is pending here may be resumed."""
        self._lease.revoke()
        with suppress(StoreUnavailable):
            async with transaction(self._engine) as connection:
                await connection.execute(
                    text("DELETE FROM nodes WHERE executor_id = :me"), {"me": self._executor_id}
                )

    async def _beat(self) -> bool:
        async with transaction(self._engine) as connection:
            renewed = await connection.execute(
                text("""
                    UPDATE nodes SET heartbeat_at = clock_timestamp()
                     WHERE executor_id = :me RETURNING executor_id
                """),
                {"me": self._executor_id},
            )
            return renewed.one_or_none() is not None

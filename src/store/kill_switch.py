"""The kill switch, and the log of who threw and re-armed it why."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import StoreFull
from store.engine import transaction

_ENGAGE = text("""
    WITH logged AS (
        INSERT INTO kill_switch_log (request_id, engaged, reason)
        VALUES (:request_id, true, :reason) ON CONFLICT DO NOTHING
        RETURNING *
    )
    INSERT INTO kill_switch (id, engaged, reason, request_id)
    SELECT 1, true, reason, request_id FROM logged
    ON CONFLICT (id) DO UPDATE
       SET engaged = true, reason = excluded.reason, request_id = excluded.request_id,
           changed_at = clock_timestamp()
""")

#: What a full disk leaves room for: a row that is there is changed in its place.
_ENGAGE_UNLOGGED = text("""
    INSERT INTO kill_switch (id, engaged, reason, request_id)
    SELECT 1, true, :reason, :request_id
     WHERE NOT EXISTS (SELECT FROM kill_switch_log WHERE request_id = :request_id)
    ON CONFLICT (id) DO UPDATE
       SET engaged = true, reason = excluded.reason, request_id = excluded.request_id,
           changed_at = clock_timestamp()
""")

_RESERVE = text("""
    INSERT INTO kill_switch (id, engaged, reason, request_id) VALUES (1, false, '', '')
    ON CONFLICT DO NOTHING
""")

#: A kill that could not be logged is logged with its re-arm at the latest.
_REARM = text("""
    WITH killed AS (
        INSERT INTO kill_switch_log (request_id, engaged, reason, changed_at)
        SELECT request_id, true, reason, changed_at FROM kill_switch WHERE engaged
        ON CONFLICT DO NOTHING
    ), rearmed AS (
        UPDATE kill_switch SET engaged = false, reason = :reason, changed_at = clock_timestamp()
          FROM dbos.workflow_status AS asked
         WHERE asked.workflow_uuid = :workflow_id AND engaged
           AND floor(extract(epoch FROM changed_at) * 1000) <= asked.created_at
        RETURNING changed_at
    )
    INSERT INTO kill_switch_log (request_id, engaged, reason, changed_at)
    SELECT :workflow_id, false, :reason, changed_at FROM rearmed
""")


class KillSwitch:
    """While engaged, no order is committed and all own orders are cancelled."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def is_engaged(self) -> bool:
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("SELECT EXISTS (SELECT FROM kill_switch WHERE engaged)")
            )
            return bool(found.scalar_one())

    async def engage(self, *, reason: str, request_id: str) -> None:
        """Forbid every placement from now on; a request made before changes nothing."""
        values = {"reason": reason, "request_id": request_id}
        try:
            async with transaction(self._engine) as connection:
                await connection.execute(_ENGAGE, values)
        except StoreFull:
            async with transaction(self._engine) as connection:
                await connection.execute(_ENGAGE_UNLOGGED, values)

    async def reserve(self) -> None:
        """Make the switch's row, so that throwing it needs no room later."""
        async with transaction(self._engine) as connection:
            await connection.execute(_RESERVE)

    async def rearm(self, *, reason: str, workflow_id: str) -> None:
        """Allow placements again, unless a kill is newer than the request to re-arm."""
        async with transaction(self._engine) as connection:
            await connection.execute(_REARM, {"reason": reason, "workflow_id": workflow_id})

    async def live_order_count(self) -> int:
        """Orders that may rest at the exchange."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("""
                    SELECT count(*) FROM orders
                     WHERE status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled')
                """)
            )
            return int(found.scalar_one())

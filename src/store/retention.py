"""Forget old history in small batches; fills, pairs and the ledger are kept for ever."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import transaction

BATCH = 1_000

#: Orders that ended without a fill; those with fills explain the ledger and stay.
_ORDERS = text("""
    DELETE FROM orders WHERE client_order_id IN (
        SELECT client_order_id FROM orders
         WHERE ended_at < clock_timestamp() - make_interval(secs => :seconds)
           AND filled = 0
           AND NOT EXISTS (SELECT FROM fills WHERE fills.client_order_id = orders.client_order_id)
         LIMIT :batch)
""")

_DECISIONS = text("""
    DELETE FROM decisions WHERE decision_id IN (
        SELECT decision_id FROM decisions
         WHERE decided_at < clock_timestamp() - make_interval(secs => :seconds)
           AND NOT EXISTS (SELECT FROM orders WHERE orders.decision_id = decisions.decision_id)
         LIMIT :batch)
""")

_WORKFLOWS = text("""
    WITH old AS (
        DELETE FROM dbos.workflow_status WHERE workflow_uuid IN (
            SELECT workflow_uuid FROM dbos.workflow_status
             WHERE name = 'execute_plan' AND status IN ('SUCCESS', 'ERROR', 'CANCELLED')
               AND created_at < (extract(epoch FROM clock_timestamp()) - :seconds) * 1000
             LIMIT :batch)
        RETURNING workflow_uuid
    ), steps AS (
        DELETE FROM dbos.operation_outputs USING old
         WHERE operation_outputs.workflow_uuid = old.workflow_uuid
    ), inputs AS (
        DELETE FROM dbos.workflow_input USING old
         WHERE workflow_input.workflow_uuid = old.workflow_uuid
    ), outputs AS (
        DELETE FROM dbos.workflow_output USING old
         WHERE workflow_output.workflow_uuid = old.workflow_uuid
    )
    SELECT count(*) FROM old
""")


async def purge_history(engine: AsyncEngine, keep_days: float) -> int:
    """Delete what ended longer ago than `keep_days`; the number of rows gone."""
    seconds = keep_days * 86_400
    gone = 0
    for statement in (_ORDERS, _DECISIONS, _WORKFLOWS):
        while True:
            async with transaction(engine) as connection:
                result = await connection.execute(statement, {"seconds": seconds, "batch": BATCH})
                deleted = int(result.scalar_one()) if result.returns_rows else int(result.rowcount)
            gone += deleted
            if deleted < BATCH:
                break
    return gone

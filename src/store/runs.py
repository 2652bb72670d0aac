"""What a node writes about the runs of its shards: that they start, fail and are given up."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import transaction


class Runs:
    """The runs of one executor."""

    def __init__(self, engine: AsyncEngine, executor_id: str) -> None:
        self._engine = engine
        self._executor_id = executor_id

    async def release(self, shard: int) -> None:
        """Let another node claim a shard of which nothing runs here any more."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("UPDATE shards SET owner = NULL WHERE shard = :shard AND owner = :me"),
                {"shard": shard, "me": self._executor_id},
            )

    async def begin_start(self, shard: int) -> int:
        """Count a start ahead of it, so that one that kills its process counts; how many now."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("UPDATE shards SET starts = starts + 1 WHERE shard = :shard RETURNING starts"),
                {"shard": shard},
            )
            return int(found.scalar_one())

    async def end_start(self, shard: int) -> None:
        """The start neither crashed nor killed its process."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("UPDATE shards SET starts = 0 WHERE shard = :shard AND starts > 0"),
                {"shard": shard},
            )

    async def change_starts(self, workflow_id: str) -> int:
        """How many other processes in a row began a request's step and did not live to end it."""
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                text("""
                    SELECT starts - CAST(executor_id = :me AS integer) FROM change_starts
                     WHERE workflow_id = :workflow_id
                """),
                {"workflow_id": workflow_id, "me": self._executor_id},
            )
            return found.scalar_one_or_none() or 0

    async def begin_change(self, workflow_id: str) -> None:
        """Count a start of a request ahead of it; again by the same process it counts once."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("""
                    INSERT INTO change_starts (workflow_id, executor_id, starts)
                    VALUES (:workflow_id, :me, 1)
                    ON CONFLICT (workflow_id) DO UPDATE
                       SET executor_id = excluded.executor_id, starts = change_starts.starts + 1
                     WHERE change_starts.executor_id <> excluded.executor_id
                """),
                {"workflow_id": workflow_id, "me": self._executor_id},
            )

    async def end_change(self, workflow_id: str) -> None:
        """The start did not kill its process."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("DELETE FROM change_starts WHERE workflow_id = :workflow_id"),
                {"workflow_id": workflow_id},
            )

    async def halt(self, shard: int, reason: str, *, is_quarantined: bool = False) -> None:
        """Say why a shard does not go on, unless another live node runs it."""
        async with transaction(self._engine) as connection:
            await connection.execute(
                text("""
                    UPDATE shards
                       SET status = CASE status WHEN 'removing' THEN status ELSE 'halted' END,
                           status_reason = :reason, updated_at = clock_timestamp(),
                           quarantined_at = CASE WHEN :is_quarantined THEN clock_timestamp()
                                                 ELSE quarantined_at END
                     WHERE shard = :shard AND status <> 'removed'
                       AND (owner IS NULL OR owner = :me
                            OR NOT EXISTS (SELECT FROM nodes WHERE executor_id = owner))
                """),
                {
                    "shard": shard,
                    "reason": reason[:500],
                    "me": self._executor_id,
                    "is_quarantined": is_quarantined,
                },
            )

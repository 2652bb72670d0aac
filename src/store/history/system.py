"""The nodes that live and the kill switch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.history.reading import fetch, fetch_one


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A process that may run shards."""

    executor_id: str
    name: str
    host: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    #: Seconds since its last heartbeat.
    silent_s: float
    #: Symbols it runs, and may run.
    symbols: int
    capacity: int
    #: Its symbols go to other nodes, and it takes none.
    is_draining: bool
    #: When it last reached the exchange.
    exchange_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    engaged: bool
    reason: str
    request_id: str
    changed_at: datetime


_NODES = text("""
    SELECT executor_id, name, host, pid, started_at, heartbeat_at,
           CAST(extract(epoch FROM clock_timestamp() - heartbeat_at) AS float) AS silent_s,
           (SELECT count(*) FROM shards
             WHERE owner = executor_id AND status <> 'removed') AS symbols,
           capacity, is_draining, exchange_at
      FROM nodes ORDER BY started_at
""")

_KILL_SWITCH = text("SELECT engaged, reason, request_id, changed_at FROM kill_switch")


async def nodes(engine: AsyncEngine) -> tuple[NodeRecord, ...]:
    """Every node that joined and did not leave, the oldest first; a silent one may be dead."""
    return await fetch(engine, NodeRecord, _NODES)


async def kill_switch(engine: AsyncEngine) -> KillSwitch | None:
    """The kill switch; `None` if it was never thrown."""
    return await fetch_one(engine, KillSwitch, _KILL_SWITCH)

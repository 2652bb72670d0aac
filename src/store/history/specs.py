"""The versions of a symbol's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.history.reading import fetch


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecVersion:
    """One grid that a symbol had, or has."""

    shard: int
    symbol: str
    version: int
    is_current: bool
    #: Of the ladder that it began with.
    ladder_version: int
    spec: Mapping[str, Any]
    note: str
    #: Id of the workflow that asked for it.
    requested_by: str
    made_at: datetime
    #: What differs from the version before: its value there, and here.
    changes: Mapping[str, tuple[Any, Any]]


_VERSIONS = text("""
    SELECT p.shard, s.symbol, p.version, p.version = s.spec_version AS is_current,
           p.ladder_version, p.spec, p.note, p.requested_by, p.made_at,
           lag(p.spec) OVER (ORDER BY p.version) AS before
      FROM specs p JOIN shards s USING (shard)
     WHERE shard = (SELECT max(shard) FROM shards WHERE symbol = :symbol)
     ORDER BY p.version
""")


async def spec_versions(engine: AsyncEngine, symbol: str) -> tuple[SpecVersion, ...]:
    """All versions of a symbol's grid, the first one first; of its last life if it was removed."""
    return await fetch(engine, _version, _VERSIONS, symbol=symbol)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The top-level fields that differ between two specs."""
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _version(*, before: Mapping[str, Any] | None, **columns: Any) -> SpecVersion:
    changes = {} if before is None else differences(before, columns["spec"])
    return SpecVersion(changes=changes, **columns)

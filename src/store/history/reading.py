"""How every question to the history is asked: one statement, one transaction, frozen rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import transaction

T = TypeVar("T")


async def fetch(
    engine: AsyncEngine, kind: Callable[..., T], statement: TextClause, /, **values: Any
) -> tuple[T, ...]:
    """Every row as a `kind`, whose fields are the statement's columns by name."""
    async with transaction(engine) as connection:
        found = await connection.execute(statement, values)
        return tuple(kind(**row._asdict()) for row in found)


async def fetch_one(
    engine: AsyncEngine, kind: Callable[..., T], statement: TextClause, /, **values: Any
) -> T | None:
    """The first row as a `kind`; `None` if there is none."""
    return next(iter(await fetch(engine, kind, statement, **values)), None)

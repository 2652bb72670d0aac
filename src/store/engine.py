"""Connections to Postgres, and its failures in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import StoreUnavailable
from store.migrate import sqlalchemy_url

#: A transaction of ours takes milliseconds; a server that holds one this long is hung.
TRANSACTION_TIMEOUT_S = 10.0
_RETRY_S = 0.5

T = TypeVar("T")

log = structlog.get_logger("store")


def create_engine(dsn: str, *, pool_size: int = 8) -> AsyncEngine:
    return create_async_engine(
        sqlalchemy_url(dsn),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=TRANSACTION_TIMEOUT_S,
        # The connection used last has the statements prepared.
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": "gridkeeper",
            "prepare_threshold": 1,
        },
    )


@asynccontextmanager
async def transaction(
    engine: AsyncEngine, timeout_s: float = TRANSACTION_TIMEOUT_S
) -> AsyncIterator[AsyncConnection]:
    """One transaction; a server that is gone, going or hung raises `StoreUnavailable`."""
    try:
        async with asyncio.timeout(timeout_s), engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError) as error:
        raise StoreUnavailable(str(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable(str(error)) from error
        raise


async def until_store_answers(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again for as long as Postgres does not answer."""
    while True:
        try:
            return await ask()
        except StoreUnavailable as error:
            log.warning("store_unavailable", error=str(error))
            await asyncio.sleep(_RETRY_S)

"""Connections to Postgres, and its failures in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import structlog
from sqlalchemy import CursorResult, TextClause
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import StoreFull, StoreUnavailable
from store.migrate import sqlalchemy_url
from store.room import DISK_FULL

#: What connections are called in `pg_stat_activity`; those of a node end in a name of its own.
POSTGRES_SESSIONS = "gridkeeper"
#: A transaction of ours takes milliseconds: a server that holds one this long is hung, and of a
#: client that leaves one idle so long, stopped or cut off, the server takes back the locks. Not of
#: one that was stopped between the messages of a batch: for that client the server waits.
TRANSACTION_TIMEOUT_S = 10.0
_RETRY_S = 0.5

T = TypeVar("T")

log = structlog.get_logger("store")


def create_engine(
    dsn: str, *, sessions: str = POSTGRES_SESSIONS, pool_size: int = 8
) -> AsyncEngine:
    """A pool that does not grow: whoever finds it in use waits.

    A connection beyond the pool would be made for one transaction and cost more than several.

    Parameters
    ----------
    sessions : str
        What the connections are called in `pg_stat_activity`.
    """
    url = make_url(sqlalchemy_url(dsn))
    given = url.query.get("options", "")
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=TRANSACTION_TIMEOUT_S,
        # The connection used last has the statements prepared.
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": sessions,
            "prepare_threshold": 1,
            "options": f"{given} -c idle_in_transaction_session_timeout="
            f"{TRANSACTION_TIMEOUT_S * 1000:.0f}".strip(),
        },
    )


@asynccontextmanager
async def transaction(
    engine: AsyncEngine, timeout_s: float = TRANSACTION_TIMEOUT_S
) -> AsyncIterator[AsyncConnection]:
    """One transaction; a server that is gone, going or hung raises `StoreUnavailable`.

    Not if the task is cancelled meanwhile: that its rollback failed is nobody's news, and who heard
    of that instead would go on.
    """
    with _in_our_words():
        async with asyncio.timeout(timeout_s), engine.begin() as connection:
            yield connection


class Alone:
    """Executes statements each of which is a whole transaction: one round trip instead of three."""

    def __init__(self, engine: AsyncEngine) -> None:
        #: On the connections of the engine.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def execute(
        self, statement: TextClause, values: Mapping[str, object]
    ) -> CursorResult[Any]:
        """Raises `StoreUnavailable` as `transaction` does."""
        with _in_our_words():
            async with asyncio.timeout(TRANSACTION_TIMEOUT_S), self._engine.connect() as connection:
                return await connection.execute(statement, values)


@contextmanager
def _in_our_words() -> Iterator[None]:
    before = cancellations()
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError) as error:
        if cancellations() > before:
            raise asyncio.CancelledError from error
        if _sqlstate(error) == DISK_FULL:
            raise StoreFull(str(error)) from error
        raise StoreUnavailable(str(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated and cancellations() > before:
            raise asyncio.CancelledError from error
        if error.connection_invalidated:
            raise StoreUnavailable(str(error)) from error
        raise


def cancellations() -> int:
    """How often the present task was told to end; one that cleans up after that goes on."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def is_undone(failure: DBAPIError | StoreUnavailable) -> bool:
    """Whether the server itself refused a statement, so that nothing of it stands.

    Of one whose connection was lost nobody knows.
    """
    cause = failure.__cause__ if isinstance(failure, StoreUnavailable) else failure
    return _sqlstate(cause) is not None


def _sqlstate(failure: BaseException | None) -> str | None:
    """The server's own code of what went wrong; `None` if it said nothing."""
    return getattr(getattr(failure, "orig", None), "sqlstate", None)


async def until_store_answers(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again for as long as Postgres does not answer."""
    while True:
        try:
            return await ask()
        except StoreUnavailable as error:
            log.warning("store_unavailable", error=str(error))
            await asyncio.sleep(_RETRY_S)

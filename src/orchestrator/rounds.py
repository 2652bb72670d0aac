"""What is done again and again, and whose failures the next round makes good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from dbos import error
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import StoreUnavailable, VenueError

#: What may fail in a round of something periodic; the next round does what this one did not.
ROUND_FAILURES = (StoreUnavailable, VenueError, SQLAlchemyError, error.DBOSException)

log = structlog.get_logger("orchestrator")


async def every(period_s: float, act: Callable[[], Awaitable[object]]) -> None:
    """Act for ever, with a pause after each round."""
    while True:
        try:
            await act()
        except ROUND_FAILURES as failure:
            log.warning("round_failed", task=act.__name__, error=str(failure))
        await asyncio.sleep(period_s)

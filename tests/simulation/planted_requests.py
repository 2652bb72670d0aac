"""Bugs in what becomes of requests, to be planted like those of `planted.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar
from unittest.mock import patch

from orchestrator import changes
from orchestrator.changes import Changes
from orchestrator.workflows import Document
from ports.store import Desired
from simulation.database import Database
from simulation.symbols import SimulatedKillSwitch
from simulation.tables import ShardRow
from symbol_manager.tenure import Tenure

Answer = TypeVar("Answer")


@contextmanager
def request_fails_with_postgres() -> Iterator[None]:
    """A step of a request asks Postgres once."""

    async def once(ask: Callable[[], Awaitable[Answer]]) -> Answer:
        return await ask()

    with patch.object(changes, "until_store_answers", once):
        yield


@contextmanager
def older_wish_counts() -> Iterator[None]:
    """The request that is applied last counts, whenever it was made."""
    desire = Database.desire

    def hasty(
        self: Database, account: str, symbol: str, desired: Desired, asked_ms: int
    ) -> ShardRow | None:
        return desire(self, account, symbol, desired, self.now_ms())

    with patch.object(Database, "desire", hasty):
        yield


@contextmanager
def new_spec_not_taken() -> Iterator[None]:
    """A symbol goes on with the grid that it was claimed with."""
    with patch.object(Tenure, "is_outdated", property(lambda self: False)):
        yield


@contextmanager
def kill_reported_too_soon() -> Iterator[None]:
    """Whoever killed is told that all is cancelled before it is."""

    async def at_once(self: Changes) -> Document:
        return {"outcome": "done", "live_orders": 0}

    with patch.object(Changes, "_killed", at_once):
        yield


@contextmanager
def start_not_forgiven() -> Iterator[None]:
    """A start counts against its symbol although the process outlived it."""
    with patch.object(Database, "end_start", lambda self, shard: None):
        yield


@contextmanager
def rearm_forgotten() -> Iterator[None]:
    """Who re-arms is told that it is done, and it is not."""

    async def idle(self: SimulatedKillSwitch, *, reason: str, workflow_id: str) -> None:
        return

    with patch.object(SimulatedKillSwitch, "rearm", idle):
        yield


@contextmanager
def requests_refused() -> Iterator[None]:
    """What was prepared is not written down."""

    async def refuse(
        self: Changes, change: Document, prepared: Document, workflow_id: str
    ) -> Document:
        return {"outcome": "refused", "reason": "not today"}

    with patch.object(Changes, "record", refuse):
        yield


REQUEST_BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    bug.__name__: bug
    for bug in (
        request_fails_with_postgres,
        older_wish_counts,
        new_spec_not_taken,
        kill_reported_too_soon,
        start_not_forgiven,
        rearm_forgotten,
        requests_refused,
    )
}

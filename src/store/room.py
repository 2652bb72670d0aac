"""Whether Postgres has room for what is written: noticed wherever it says that it has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from ports.clock import Clock

#: Postgres' code of a full disk.
DISK_FULL = "53100"
#: What could not be written is tried again within this time.
REMEMBERED_MS = 60_000
#: One line of the log in so long.
TOLD_EVERY_MS = 10_000

log = structlog.get_logger("store")


class Room:
    """Hears every error of Postgres in this process, those that DBOS tries again among them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused_ms: int | None = None
        self._told_ms: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether something was refused lately for want of room."""
        now_ms = self._clock.boot_ms()
        return self._refused_ms is not None and now_ms < self._refused_ms + REMEMBERED_MS

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Listen to every engine of this process."""
        event.listen(Engine, "handle_error", self.hear)
        try:
            yield
        finally:
            event.remove(Engine, "handle_error", self.hear)

    def hear(self, context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) != DISK_FULL:
            return
        now_ms = self._refused_ms = self._clock.boot_ms()
        if self._told_ms is None or now_ms >= self._told_ms + TOLD_EVERY_MS:
            self._told_ms = now_ms
            log.error(
                "disk_full",
                error=str(context.original_exception).splitlines()[0],
                remedy="make room where Postgres keeps its data; until then nothing is placed",
            )

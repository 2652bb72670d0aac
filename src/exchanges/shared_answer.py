"""One answer for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SharedAnswer(Generic[Answer]):
    """Whoever asks while a question is on its way shares the next one.

    So an answer is never from before it was asked for, and a hundred who ask at once cost two
    questions. A hundred who come one by one, each as it gets so far, would still cost as many
    questions as fit in: `every_s` is the least time from one question to the next.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]], *, every_s: float = 0.0) -> None:
        self._ask = ask
        self._every_s = every_s
        #: By the clock of the event loop, when the next question may go.
        self._due_s = 0.0
        #: The question on its way, and the one that newcomers share.
        self._current: asyncio.Task[Answer] | None = None
        self._next: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """Raises what asking raises, to all who share the question."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self._current))
            self._next.add_done_callback(_look_at)
        return await asyncio.shield(self._next)

    async def _ask_after(self, current: asyncio.Task[Answer] | None) -> Answer:
        if current is not None:
            await asyncio.wait([current])
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._due_s - loop.time())
        self._due_s = loop.time() + self._every_s
        self._current, self._next = self._next, None
        return await self._ask()


def _look_at(asked: asyncio.Task[Answer]) -> None:
    """Nobody may be waiting for a failure any more."""
    if not asked.cancelled():
        asked.exception()

"""From a background task to one reader: quotes conflate, other events are never lost unnoticed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

from domain.market import Quote
from ports.exchange import StreamRestored

#: Events a slow reader may leave unread before it is told to ask the venue instead.
UNREAD_MAX = 10_000

Event = TypeVar("Event")


class Channel(Generic[Event]):
    """A bounded queue for one reader."""

    def __init__(self) -> None:
        self.unread: deque[Event | StreamRestored] = deque()
        self._news = asyncio.Event()
        self._error: BaseException | None = None

    def put(self, event: Event | StreamRestored) -> None:
        events = self.unread
        if events and isinstance(events[-1], Quote) and isinstance(event, Quote):
            events.pop()
        elif len(events) >= UNREAD_MAX:
            # Whoever reads this asks the venue for everything that was thrown away here.
            events.clear()
            events.append(StreamRestored())
        events.append(event)
        self._news.set()

    def end(self, error: BaseException) -> None:
        """Raise in the reader once it has read what is there."""
        self._error = error
        self._news.set()

    async def take(self) -> Event | StreamRestored:
        while not self.unread:
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        return self.unread.popleft()


async def relay(
    feed: Callable[[Channel[Event]], Awaitable[None]],
) -> AsyncGenerator[Event | StreamRestored, None]:
    """Run a feed as long as its events are read; a defect in it is raised to the reader."""
    channel: Channel[Event] = Channel()

    def ended(task: asyncio.Future[None]) -> None:
        error = None if task.cancelled() else task.exception()
        channel.end(error or asyncio.CancelledError())

    feeding = asyncio.ensure_future(feed(channel))
    feeding.add_done_callback(ended)
    try:
        while True:
            yield await channel.take()
    finally:
        feeding.cancel()
        await asyncio.wait({feeding})

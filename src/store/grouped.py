"""Calls that come while one is being made, made together by the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

#: Calls in a group: a bound for what one failure can touch, not for speed.
GROUP_MAX = 64

Item = TypeVar("Item")
Result = TypeVar("Result")


class Grouped(Generic[Item, Result]):
    """One action at a time, for all who waited for it; nobody waits for others to come.

    Parameters
    ----------
    act : callable
        Takes the items of a group, and returns a result for each in their order. What it raises
        is raised to all of them. It runs in an empty context: it is done for nobody in particular.
    """

    def __init__(self, act: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._act = act
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """Cancelling it withdraws an item that still waits, and leaves one that is acted on."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._working is None:
            self._working = asyncio.create_task(self._work(), context=Context())
        return await result

    async def _work(self) -> None:
        try:
            while group := self._next_group():
                await self._act_for(group)
        finally:
            self._working = None

    def _next_group(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        still_wanted = [each for each in self._waiting if not each[1].done()]
        self._waiting = still_wanted[GROUP_MAX:]
        return still_wanted[:GROUP_MAX]

    async def _act_for(self, group: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in group]
        (made,) = await asyncio.gather(self._act(items), return_exceptions=True)
        for at, (_, result) in enumerate(group):
            if result.done():
                continue
            if isinstance(made, BaseException):
                result.set_exception(made)
            else:
                result.set_result(made[at])

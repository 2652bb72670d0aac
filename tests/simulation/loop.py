"""An event loop on virtual time, and processes that can be stopped and killed between two awaits.

Nothing sleeps: when nothing is ready, time jumps to the next timer. Whatever a coroutine of a
process schedules carries that process in its context, so the loop knows whose step it is about to
run: the steps of a dead process are dropped, those of a stopped one wait until it goes on.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from enum import Enum, auto
from itertools import count
from typing import Any, TypeVar, TypeVarTuple

#: Virtual seconds since boot at which a run begins.
START_S = 1_000.0
#: What any timer takes at the least: a shorter one would end before time could go on.
TICK_S = 1e-6
#: Closing a dead coroutine may find it in one `finally` after the other.
_CLOSINGS_MAX = 20

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_owner: ContextVar[Process | None] = ContextVar("owner", default=None)


class StuckError(Exception):
    """The run did not end within its bounds."""


class Life(Enum):
    RUNNING = auto()
    #: As after SIGSTOP.
    STOPPED = auto()
    #: As after SIGKILL.
    DEAD = auto()


class Process:
    """One incarnation of a simulated process: everything its coroutines ever schedule."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.life = Life.RUNNING
        self._loop = loop
        self._context = Context()
        self._context.run(_owner.set, self)
        self._waiting: list[_Step] = []
        self._steps_left: int | None = None
        self._on_death: Callable[[], None] = lambda: None

    def start(self, main: Coroutine[Any, Any, None], on_death: Callable[[], None]) -> None:
        """Run `main`; the process dies with it at the latest."""
        self._on_death = on_death
        task = self._context.run(self._loop.create_task, main)
        task.add_done_callback(lambda _: self.kill(), context=Context())

    def kill_after(self, steps: int) -> None:
        """Die right before so many more steps, each of which ends at an await that waits."""
        if self._steps_left is None:
            self._steps_left = steps

    def kill(self) -> None:
        if self.life is Life.DEAD:
            return
        self.life = Life.DEAD
        self._loop.bury()  # before what holds its tasks is forgotten
        self._waiting.clear()
        self._on_death()

    def stop(self) -> None:
        if self.life is Life.RUNNING:
            self.life = Life.STOPPED

    def go_on(self) -> None:
        if self.life is Life.STOPPED:
            self.life = Life.RUNNING
            self._loop.resume(self._waiting)
            self._waiting = []

    def admits(self, step: _Step) -> bool:
        """Whether the step may run now; one of a stopped process is kept for later."""
        if self.life is Life.STOPPED:
            self._waiting.append(step)
            return False
        if self.life is Life.DEAD:
            return False
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left < 0:
                self.kill()
                return False
        return True


class _Step(asyncio.TimerHandle):
    """A callback, when it is due and whose it is."""

    __slots__ = ("owner",)

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: VirtualLoop,
        context: Context | None,
    ) -> None:
        if context is None:
            context = copy_context()
        super().__init__(when, callback, args, loop, context)
        self.owner = context.get(_owner)

    def run(self) -> None:
        if not self._cancelled:
            self._run()


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs steps in the order they became ready; holds no socket, thread or real clock."""

    def __init__(self, *, steps_max: int) -> None:
        super().__init__()
        self.set_debug(False)
        self.failures: list[str] = []
        self.steps = 0
        self._steps_max = steps_max
        self._now_s = START_S
        self._ready_steps: deque[_Step] = deque()
        self._timers: list[tuple[float, int, _Step]] = []
        self._numbers = count()
        self._world = Context()
        #: Tasks of dead processes: kept from the garbage collector, which would run their ends.
        self._buried: set[asyncio.Task[Any]] = set()

    def time(self) -> float:
        return self._now_s

    def now_ms(self) -> int:
        """Virtual milliseconds since boot."""
        return int(self._now_s * 1000)

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        step = _Step(self._now_s, callback, args, self, context)
        self._ready_steps.append(step)
        return step

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        when = max(when, self._now_s + TICK_S)
        step = _Step(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), step))
        return step

    def create_task(
        self,
        coro: Generator[Any, None, Result] | Coroutine[Any, Any, Result],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[Result]:
        """Whatever a process starts is its own, also in a context that is otherwise empty."""
        if context is not None and _owner not in context:
            context.run(_owner.set, _owner.get())
        return super().create_task(coro, name=name, context=context)

    def later(
        self, delay_s: float, callback: Callable[[*Arguments], object], *args: *Arguments
    ) -> asyncio.TimerHandle:
        """Have the world outside all processes do something."""
        return self.call_at(self._now_s + delay_s, callback, *args, context=self._world)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._buried and str(context.get("message")).endswith("was never retrieved"):
            return  # the one who would have retrieved it may be dead
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def resume(self, steps: list[_Step]) -> None:
        self._ready_steps.extend(steps)

    def bury(self) -> None:
        """Keep every task there is; called when a process dies."""
        self._buried |= asyncio.all_tasks(self)

    def run_for(self, duration_s: float) -> None:
        """Let so much virtual time pass.

        Raises
        ------
        StuckError
            If that takes more steps than a run may have.
        """
        end_s = self._now_s + duration_s
        asyncio._set_running_loop(self)
        try:
            while self._advance(end_s):
                step = self._ready_steps.popleft()
                if step.owner is None or step.owner.admits(step):
                    step.run()
                self.steps += 1
                if self.steps > self._steps_max:
                    raise StuckError(f"more than {self._steps_max} steps")
        finally:
            asyncio._set_running_loop(None)

    def end(self) -> None:
        """Close every coroutine that is left, without letting any of it run on."""
        self._ready_steps.clear()
        self._timers.clear()
        closed: set[asyncio.Task[Any]] = set()
        asyncio._set_running_loop(self)
        try:
            # What a task does at its end may start another.
            while left := (self._buried | asyncio.all_tasks(self)) - closed:
                for task in left:
                    _close(task)
                closed |= left
        finally:
            asyncio._set_running_loop(None)
            self._buried.clear()
            self.close()

    def _advance(self, end_s: float) -> bool:
        """Move to the next step; whether there is one before the end."""
        timers = self._timers
        while not self._ready_steps:
            if not timers or timers[0][0] > end_s:
                self._now_s = end_s
                return False
            when, _, step = heapq.heappop(timers)
            if not step.cancelled():
                self._now_s = max(self._now_s, when)
                self._ready_steps.append(step)
        return True

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are skipped when their time comes."""


def _close(task: asyncio.Task[Any]) -> None:
    vars_of: Any = task  # typeshed hides what asyncio itself sets to end a task in silence
    vars_of._log_destroy_pending = False
    coroutine = task.get_coro()
    if task.done() or coroutine is None:
        return
    for _ in range(_CLOSINGS_MAX):
        with suppress(BaseException):  # whatever its `finally` raises is nobody's any more
            coroutine.close()
            return

"""A way to something remote on which requests and replies are late or lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from simulation.fate import Fate

#: Longest ways of a message that is slow: before a request expires, and long after it did.
SLOW_MAX_S = (1.0, 5.0)
#: How long a message is under way that was overtaken by the end of its connection.
STRAY_S = (0.3, 1.0)

Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """Whether the request had its effect is not known."""


class HeldError(Exception):
    """What the far end is to do waits for another's lock."""


@dataclass(frozen=True, slots=True)
class Chances:
    request_lost: float
    reply_lost: float
    request_slow: float
    reply_slow: float


@dataclass(frozen=True, slots=True)
class _Reply(Generic[Answer]):
    value: Answer | None
    error: Exception | None = None


class Link:
    """Carries calls; what is under way goes on without the process that sent it."""

    def __init__(
        self,
        fate: Fate,
        chances: Callable[[], Chances],
        *,
        usual_s: float,
        timeout_s: float,
    ) -> None:
        self._fate = fate
        self._chances = chances
        self._usual_s = usual_s
        self._timeout_s = timeout_s
        #: While cut, nothing passes in either direction.
        self.is_cut = False
        #: How each call that is under way is ended.
        self._under_way: dict[Callable[[_Reply[Any]], None], None] = {}

    async def call(self, act: Callable[[], Answer], *, strays: bool = False) -> Answer:
        """Have `act` done at the far end; its errors are its answer.

        Parameters
        ----------
        strays : bool
            Whether the connection breaks at once and the request arrives all the same, late.

        Raises
        ------
        NoAnswerError
            If there is none within the time-out, or the connection breaks before.
        """
        future = self._fate.loop.create_future()

        def settle(reply: _Reply[Answer]) -> None:
            if not future.done():
                future.set_result(reply)

        chances = self._chances()
        if strays and not self.is_cut:
            self._fate.loop.later(self._fate.dice.uniform(*STRAY_S), self._arrive, act, settle)
            breaks_s = self._fate.dice.uniform(0.0, self._usual_s)
        elif self._passes(chances.request_lost):
            self._fate.loop.later(self.way_s(chances.request_slow), self._arrive, act, settle)
            breaks_s = self._timeout_s
            if self._fate.strikes(chances.reply_lost):
                # The connection is reset while the request is still on its way.
                breaks_s = self._fate.dice.uniform(0.0, 10 * self._usual_s)
        else:
            breaks_s = self._fate.dice.uniform(0.0, self._timeout_s)
        timer = self._fate.loop.later(breaks_s, settle, _Reply(None, NoAnswerError("no answer")))
        self._under_way[settle] = None
        try:
            reply: _Reply[Answer] = await future
        finally:
            del self._under_way[settle]
        timer.cancel()
        if reply.error is not None:
            raise reply.error
        return reply.value  # type: ignore[return-value]  # `None` only where the answer is that

    def break_off(self) -> None:
        """The far end closes every connection; what is under way may arrive all the same."""
        for settle in list(self._under_way):
            settle(_Reply(None, NoAnswerError("the connection was closed")))

    def way_s(self, slow: float) -> float:
        """How long one message is under way."""
        if self._fate.strikes(slow):
            return self._fate.dice.uniform(self._usual_s, self._fate.dice.choice(SLOW_MAX_S))
        return self._fate.dice.uniform(0.2, 1.0) * self._usual_s

    def _passes(self, lost: float) -> bool:
        return not self.is_cut and not self._fate.strikes(lost)

    def _arrive(self, act: Callable[[], Answer], settle: Callable[[_Reply[Answer]], None]) -> None:
        if self.is_cut:
            return
        reply: _Reply[Answer]
        try:
            reply = _Reply(act())
        except HeldError:
            if settle in self._under_way:
                self._fate.loop.later(self._usual_s, self._arrive, act, settle)
            return
        except Exception as error:  # noqa: BLE001 - it is the caller's, whatever it is
            reply = _Reply(None, error)
        chances = self._chances()
        if self._passes(chances.reply_lost):
            self._fate.loop.later(self.way_s(chances.reply_slow), settle, reply)

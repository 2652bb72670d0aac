"""Kill or stop this process at a named instant, when the environment asks for it.

``GRIDKEEPER_FAILPOINT=execute_plan.after_send@2`` sends SIGKILL to the process the second time it
gets there, ``stop:execute_plan.before_send`` SIGSTOP the first time. It exists so that tests can
prove what a crash there does, and what a process does that wakes there much later.
"""

from __future__ import annotations

import os
import signal

from domain.errors import ConfigurationError
from ports.failpoints import Failpoint

_STOP = "stop:"


class KillAt:
    """Implements `ports.failpoints.Failpoints`."""

    def __init__(
        self,
        point: Failpoint | None = None,
        hits: int = 1,
        how: signal.Signals = signal.SIGKILL,
    ) -> None:
        self._point = point
        self._hits_left = hits
        self._how = how

    @classmethod
    def parse(cls, text: str | None) -> KillAt:
        """Read ``name`` or ``name@hits``, after ``stop:`` or not; nothing arms nothing."""
        if not text:
            return cls()
        name, _, hits = text.removeprefix(_STOP).partition("@")
        if name not in set(Failpoint) or not (hits or "1").isdecimal():
            raise ConfigurationError(
                field="GRIDKEEPER_FAILPOINT",
                rule="must be a failpoint's name, with @hits if not the first, after stop: to stop",
                value=repr(text),
                remedy=f"use one of {', '.join(Failpoint)}",
            )
        how = signal.SIGSTOP if text.startswith(_STOP) else signal.SIGKILL
        return cls(Failpoint(name), int(hits or "1"), how)

    def __call__(self, point: Failpoint) -> None:
        if point is not self._point:
            return
        self._hits_left -= 1
        if self._hits_left == 0:
            os.kill(os.getpid(), self._how)

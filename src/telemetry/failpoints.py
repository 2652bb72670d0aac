"""Kill this process at a named instant, when the environment asks for it.

``GRIDKEEPER_FAILPOINT=execute_plan.after_send@2`` sends SIGKILL to the process the second time it
gets there. It exists so that tests can prove what a crash there does.
"""

from __future__ import annotations

import os
import signal

from domain.errors import ConfigurationError
from ports.failpoints import Failpoint


class KillAt:
    """Implements `ports.failpoints.Failpoints`."""

    def __init__(self, point: Failpoint | None = None, hits: int = 1) -> None:
        self._point = point
        self._hits_left = hits

    @classmethod
    def parse(cls, text: str | None) -> KillAt:
        """Read ``name`` or ``name@hits``; nothing arms nothing."""
        if not text:
            return cls()
        name, _, hits = text.partition("@")
        if name not in set(Failpoint) or not (hits or "1").isdecimal():
            raise ConfigurationError(
                field="GRIDKEEPER_FAILPOINT",
                rule="must be a failpoint's name, with @hits if not the first",
                value=repr(text),
                remedy=f"use one of {', '.join(Failpoint)}",
            )
        return cls(Failpoint(name), int(hits or "1"))

    def __call__(self, point: Failpoint) -> None:
        if point is not self._point:
            return
        self._hits_left -= 1
        if self._hits_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

"""The venue's word that an account is to keep quiet, and who must have heard of it."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from simulation.database import Database
from simulation.loop import VirtualLoop
from simulator.errors import VenueError

#: Clocks that count in milliseconds and in seconds round a moment each in its own way.
ROUNDING_S = 1e-6
TOO_MANY_REQUESTS = 429
BANNED = 418


class Silence:
    """Refuses while it lasts, and judges whoever is about to ask in spite of it."""

    def __init__(
        self, loop: VirtualLoop, database: Database, fail: Callable[[str], None], lease_ms: int
    ) -> None:
        self._loop = loop
        self._database = database
        self._fail = fail
        self._lease_ms = lease_ms
        self._until_s = 0.0
        self._status = TOO_MANY_REQUESTS
        #: Until when each process was told to keep quiet.
        self._told_s: dict[str, float] = {}

    def begin(self, lasts_s: float, status: int) -> None:
        """The account asked too much; a ban is not shortened by a mere refusal."""
        until_s = self._loop.time() + lasts_s
        if until_s > self._until_s:
            self._until_s, self._status = until_s, status

    def check(self) -> None:
        """Raise the venue's refusal of a request that arrives meanwhile."""
        left_s = self._until_s - self._loop.time()
        if left_s > 0:
            what = "banned" if self._status == BANNED else "limited"
            raise VenueError(
                -1003,
                f"Way too much request weight used; IP {what}.",
                status=self._status,
                retry_after_s=ceil(left_s),
            )

    def tell(self, executor: str, error: VenueError) -> float:
        """A process learns of it; for how many seconds."""
        retry_after_s = float(error.retry_after_s or 0)
        until_s = self._loop.time() + retry_after_s
        self._told_s[executor] = max(until_s, self._told_s.get(executor, 0.0))
        return retry_after_s

    def judge(self, executor: str) -> None:
        """A process is about to ask: neither told by the venue, nor a lease ago by the others."""
        if self._loop.time() < self._told_s.get(executor, 0.0) - ROUNDING_S:
            self._fail(f"{executor} asks the venue, which told it to keep quiet")
        now_ms = self._loop.now_ms()
        for since_ms, until_ms in self._database.pauses:
            if since_ms + self._lease_ms < now_ms < until_ms:
                self._fail(f"{executor} asks the venue, which told another node to keep quiet")

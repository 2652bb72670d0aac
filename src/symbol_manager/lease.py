"""A process's permission to send, good until a moment of CLOCK_BOOTTIME."""

from __future__ import annotations

from domain.errors import OwnershipLost
from ports.clock import Clock


class Lease:
    """Renewed by each heartbeat that Postgres acknowledged; checked before each socket write.

    A stopped process that wakes finds the lease run out before it can send: CLOCK_BOOTTIME went on.
    """

    def __init__(self, clock: Clock, duration_ms: int) -> None:
        self._clock = clock
        self.duration_ms = duration_ms
        #: By CLOCK_BOOTTIME; a revoked lease is over before.
        self.valid_until_ms = 0
        #: How often it began anew after it had run out. What was decided in a former term may not
        #: know of a kill since, however good the lease is again.
        self.term = 0
        self._revoked = False

    def renew(self, asked_boot_ms: int) -> None:
        """Extend from the moment the heartbeat was *asked for*, not when it was answered."""
        if self._clock.boot_ms() >= self.valid_until_ms:
            self.term += 1
        self.valid_until_ms = asked_boot_ms + self.duration_ms

    def revoke(self) -> None:
        """The node's row is gone: another process may own its shards."""
        self._revoked = True

    @property
    def is_held(self) -> bool:
        return not self._revoked and self._clock.boot_ms() < self.valid_until_ms

    def check(self) -> None:
        if not self.is_held:
            raise OwnershipLost("the lease of this process has run out")

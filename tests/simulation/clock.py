"""Time as one simulated process reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulation.loop import VirtualLoop

#: The venue's wall clock at virtual second 0, ms since 1970.
EPOCH_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """Implements `ports.clock.Clock`: the boot clock is right, the wall clock is not."""

    loop: VirtualLoop
    #: By how much the wall clock is ahead.
    ahead_ms: Callable[[], int]

    def now_ms(self) -> int:
        return EPOCH_MS + self.loop.now_ms() + self.ahead_ms()

    def boot_ms(self) -> int:
        return self.loop.now_ms()

"""Time as one simulated process reads it."""

from __future__ import annotations

from dataclasses import dataclass

from simulation.loop import VirtualLoop

#: The venue's wall clock at virtual second 0, ms since 1970.
EPOCH_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """Implements `ports.clock.Clock`: the boot clock is right, the wall clock off by `skew_ms`."""

    loop: VirtualLoop
    skew_ms: int = 0

    def now_ms(self) -> int:
        return EPOCH_MS + self.loop.now_ms() + self.skew_ms

    def boot_ms(self) -> int:
        return self.loop.now_ms()

"""Time as the shard sees it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall-clock time, ms since the epoch (UTC)."""
        ...

    def boot_ms(self) -> int:
        """CLOCK_BOOTTIME in ms: it never jumps, and runs on while the host sleeps."""
        ...

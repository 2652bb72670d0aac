"""The host's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `ports.clock.Clock`."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boot_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

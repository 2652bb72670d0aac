"""Request weight by minute and order count by ten seconds, in fixed windows as the venue counts."""

from collections import defaultdict
from typing import Any

from simulator.config import Limits
from simulator.errors import VenueError

_MINUTE_MS = 60_000
_ORDER_WINDOW_MS = 10_000


class RateLimiter:
    """Counts for the one client address there is, and orders for each account."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._minute = 0
        self._order_window = 0
        self.used_weight = 0
        self._refusals = 0
        #: Requests and orders ever answered with 429 or 418.
        self.refused = 0
        self._banned_until_ms = 0
        self.order_count: dict[str, int] = defaultdict(int)

    def spend(self, weight: int, now_ms: int) -> None:
        """Count a request; over the limit it is refused, and still counts.

        Who goes on in spite of that is banned for a while.
        """
        if now_ms < self._banned_until_ms:
            self.refused += 1
            raise self._banned(now_ms)
        minute, into_ms = divmod(now_ms, _MINUTE_MS)
        if minute != self._minute:
            self._minute, self.used_weight, self._refusals = minute, 0, 0
        self.used_weight += weight
        if self.used_weight > self._limits.weight_per_minute:
            self._refusals += 1
            self.refused += 1
            if self._refusals > self._limits.ban_after_refusals:
                self._banned_until_ms = now_ms + self._limits.ban_s * 1000
                raise self._banned(now_ms)
            raise VenueError(
                -1003,
                "Too much request weight used; current limit is "
                f"{self._limits.weight_per_minute} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API.",
                status=429,
                retry_after_s=max(1, (_MINUTE_MS - into_ms + 999) // 1000),
            )

    def count_order(self, account: str, now_ms: int) -> None:
        window, into_ms = divmod(now_ms, _ORDER_WINDOW_MS)
        if window != self._order_window:
            self._order_window = window
            self.order_count.clear()
        self.order_count[account] += 1
        if self.order_count[account] > self._limits.orders_per_10s:
            self.refused += 1
            raise VenueError(
                -1015,
                "Too many new orders; current limit is "
                f"{self._limits.orders_per_10s} orders per 10 SECOND.",
                status=429,
                retry_after_s=max(1, (_ORDER_WINDOW_MS - into_ms + 999) // 1000),
            )

    def describe(self) -> list[dict[str, Any]]:
        """As the WebSocket API tells it with each answer."""
        return [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": self._limits.weight_per_minute,
                "count": self.used_weight,
            }
        ]

    def _banned(self, now_ms: int) -> VenueError:
        until_ms = self._banned_until_ms
        return VenueError(
            -1003,
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans.",
            status=418,
            retry_after_s=max(1, (until_ms - now_ms + 999) // 1000),
        )

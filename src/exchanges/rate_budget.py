"""How much of a venue's rate limits an account may still use, with a reserve for cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import TransientVenueError

MINUTE_MS = 60_000
ORDER_WINDOW_MS = 10_000
#: Share of the weight that only cancels may use.
CANCEL_RESERVE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What the venue allows in any of its windows."""

    weight_per_minute: int
    orders_per_10s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one request uses up."""

    weight: int
    orders: int = 0
    is_cancel: bool = False


class Bucket:
    """A token bucket that keeps a fixed-window limit whatever way the windows fall.

    Half of the limit may go in one burst and half flows back over a window, so that no window of
    that length ever sees more than the limit.
    """

    def __init__(self, limit: int, window_ms: int) -> None:
        self._capacity = limit / 2
        self._per_ms = limit / 2 / window_ms
        self._level = self._capacity
        self._as_of_ms = 0.0

    def wait_ms(self, amount: float, now_ms: float, reserve_share: float = 0.0) -> float:
        """How long until `amount` may be taken without touching the reserve; 0 if it may now."""
        if now_ms > self._as_of_ms:
            gained = (now_ms - self._as_of_ms) * self._per_ms
            self._level = min(self._capacity, self._level + gained)
            self._as_of_ms = now_ms
        missing = amount + reserve_share * self._capacity - self._level
        return max(0.0, missing / self._per_ms)

    def take(self, amount: float) -> None:
        self._level -= amount


class RateBudget:
    """The account's budget; pure, given the time."""

    def __init__(self, limits: RateLimits) -> None:
        self._weight = Bucket(limits.weight_per_minute, MINUTE_MS)
        self._orders = Bucket(limits.orders_per_10s, ORDER_WINDOW_MS)
        self._paused_until_ms = 0.0

    def take(self, cost: Cost, now_ms: float) -> float:
        """Spend and return 0, or spend nothing and return how many ms to wait."""
        reserve_share = 0.0 if cost.is_cancel else CANCEL_RESERVE
        wait_ms = max(
            self._paused_until_ms - now_ms,
            self._weight.wait_ms(cost.weight, now_ms, reserve_share),
            self._orders.wait_ms(cost.orders, now_ms) if cost.orders else 0.0,
        )
        if wait_ms > 0:
            return wait_ms
        self._weight.take(cost.weight)
        self._orders.take(cost.orders)
        return 0.0

    def pause(self, now_ms: float, wait_ms: float) -> None:
        """The venue asked for silence: nothing passes, not even a cancel, or it bans."""
        self._paused_until_ms = max(self._paused_until_ms, now_ms + wait_ms)


class Admission:
    """The budget on a running clock."""

    def __init__(self, budget: RateBudget, now_s: Callable[[], float]) -> None:
        self._budget = budget
        self._now_s = now_s

    async def admit(self, cost: Cost, *, wait_max_s: float = 0.0) -> None:
        """Return when the request may go.

        Raises
        ------
        TransientVenueError
            If that would take longer than `wait_max_s`.
        """
        deadline_s = self._now_s() + wait_max_s
        while (wait_ms := self._budget.take(cost, self._now_s() * 1000)) > 0:
            wait_s = wait_ms / 1000
            if self._now_s() + wait_s > deadline_s:
                raise TransientVenueError(
                    f"rate budget is used up for {wait_s:.1f} s", retry_after_s=wait_s
                )
            await asyncio.sleep(wait_s)

    def pause(self, retry_after_s: float) -> None:
        self._budget.pause(self._now_s() * 1000, retry_after_s * 1000)

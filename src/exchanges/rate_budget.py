"""How much of a venue's rate limits this process may use, and who goes first when that is little.

An account's limits are shared by all its nodes: each uses its part, for as long as its heartbeat
renewed the permission. Within a part no tier of requests takes what the tiers above it keep.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum

from domain.errors import TransientVenueError

MINUTE_MS = 60_000
ORDER_WINDOW_MS = 10_000
#: Parts of a limit that may go in one burst, and that flow back over its window. What they leave of
#: it is for the first burst of nodes that join meanwhile.
BURST = 0.4
FLOW = 0.5
#: Part of its burst that a node has at hand when it gets its first share beside others.
JOINED_WITH = 0.25
#: When to ask again where no share is in sight.
NO_SHARE_RETRY_S = 1.0


class Tier(IntEnum):
    """What a request is for; the lower number goes first."""

    CANCEL = 0
    #: Orders that lower a position: exits, flattening, stops.
    REDUCE = 1
    ENTRY = 2
    QUERY = 3


#: Percent of the bucket that each tier keeps from those after it.
WEIGHT_RESERVES = {Tier.CANCEL: 10, Tier.REDUCE: 5, Tier.ENTRY: 5}
ORDER_RESERVES = {Tier.REDUCE: 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What the venue allows in any of its windows."""

    weight_per_minute: int
    orders_per_10s: int

    def percent(self, percent: int) -> RateLimits:
        """What is left where others may use the rest."""
        return RateLimits(
            weight_per_minute=self.weight_per_minute * percent // 100,
            orders_per_10s=max(1, self.orders_per_10s * percent // 100),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one request uses up."""

    weight: int
    orders: int = 0
    tier: Tier = Tier.QUERY

    def of_tier(self, tier: Tier) -> Cost:
        return replace(self, tier=tier)


class Bucket:
    """A token bucket that keeps a fixed-window limit whatever way the windows fall.

    What may go in one burst and what flows back over a window are less than the limit together.
    """

    def __init__(self, limit: int, window_ms: int, reserves: Mapping[Tier, int]) -> None:
        self._burst = limit * BURST
        self._flow_per_ms = limit * FLOW / window_ms
        #: Percent, by the tier that must leave it alone.
        self._kept_from = {
            tier: sum(kept for above, kept in reserves.items() if above < tier) for tier in Tier
        }
        self._part = 1.0
        self._level = self._burst
        self._as_of_ms = 0.0

    @property
    def capacity(self) -> float:
        return self._burst * self._part

    def level(self, now_ms: float) -> float:
        self._flow(now_ms)
        return self._level

    def share(self, part: float, now_ms: float) -> None:
        """Use this part of the limit from now on; what is at hand shrinks with it at once."""
        self._flow(now_ms)
        is_first = not self._part
        self._part = part
        self._level = self.capacity * JOINED_WITH if is_first else min(self._level, self.capacity)

    def wait_ms(self, amount: float, now_ms: float, tier: Tier) -> float:
        """How long until the tier may take `amount` of its own; 0 if it may now.

        What is more than the bucket holds goes when the bucket is full, and is paid back after.
        """
        self._flow(now_ms)
        if not self._part:
            return math.inf
        needed = min(amount + self._kept_from[tier] * self.capacity / 100, self.capacity)
        return max(0.0, (needed - self._level) / (self._flow_per_ms * self._part))

    def take(self, amount: float) -> None:
        self._level -= amount

    def _flow(self, now_ms: float) -> None:
        if now_ms > self._as_of_ms:
            gained = (now_ms - self._as_of_ms) * self._flow_per_ms * self._part
            self._level = min(self.capacity, self._level + gained)
            self._as_of_ms = now_ms


class RateBudget:
    """This process's part of the account's budget; pure, given the time.

    Until it is told of a share it has all of the limits, as a command beside the nodes does.
    """

    def __init__(self, limits: RateLimits) -> None:
        self._weight = Bucket(limits.weight_per_minute, MINUTE_MS, WEIGHT_RESERVES)
        self._orders = Bucket(limits.orders_per_10s, ORDER_WINDOW_MS, ORDER_RESERVES)
        self._nodes = 1
        self._shared_until_ms = math.inf
        self._paused_until_ms = 0.0

    def share(self, nodes: int, now_ms: float, until_ms: float) -> None:
        """Use one of so many equal parts, or nothing at 0; after `until_ms` nothing as well."""
        if nodes != self._nodes:
            part = 1 / nodes if nodes else 0.0
            self._weight.share(part, now_ms)
            self._orders.share(part, now_ms)
            self._nodes = nodes
        self._shared_until_ms = until_ms

    def part(self, now_ms: float) -> float:
        """The part of the limits that is used now."""
        return 1 / self._nodes if self._nodes and now_ms < self._shared_until_ms else 0.0

    def weight_level(self, now_ms: float) -> float:
        """Part of the burst that is at hand."""
        capacity = self._weight.capacity
        return max(0.0, self._weight.level(now_ms) / capacity) if capacity else 0.0

    def take(self, cost: Cost, now_ms: float) -> float:
        """Spend and return 0, or spend nothing and return how many ms to wait.

        The wait is infinite while there is no share to wait for.
        """
        if now_ms >= self._shared_until_ms:
            return math.inf
        wait_ms = max(
            self._paused_until_ms - now_ms,
            self._weight.wait_ms(cost.weight, now_ms, cost.tier),
            self._orders.wait_ms(cost.orders, now_ms, cost.tier) if cost.orders else 0.0,
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
    """The budget on a running clock; implements `ports.exchange.RateSharing`.

    Parameters
    ----------
    now_s : callable
        CLOCK_BOOTTIME, by which shares end.
    """

    def __init__(self, budget: RateBudget, now_s: Callable[[], float]) -> None:
        self._budget = budget
        self._now_s = now_s
        #: Until when the venue asked *this* process for silence.
        self._told_until_s = 0.0
        self._was_told = asyncio.Event()
        self._shares_anew = asyncio.Event()

    async def admit(self, cost: Cost, *, wait_max_s: float = 0.0) -> None:
        """Return when the request may go.

        Raises
        ------
        TransientVenueError
            If that would take longer than `wait_max_s`.
        """
        deadline_s = self._now_s() + wait_max_s
        while (wait_ms := self._budget.take(cost, self._now_s() * 1000)) > 0:
            wait_s, left_s = wait_ms / 1000, deadline_s - self._now_s()
            if math.isinf(wait_s) and left_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._shares_anew.wait()
            elif math.isinf(wait_s):
                raise TransientVenueError(
                    "this node has no share of the rate limits now",
                    retry_after_s=NO_SHARE_RETRY_S,
                )
            elif wait_s > left_s:
                raise TransientVenueError(
                    f"rate budget is used up for {wait_s:.1f} s", retry_after_s=wait_s
                )
            else:
                await asyncio.sleep(wait_s)

    def pause(self, retry_after_s: float) -> None:
        """The venue told this process to keep quiet."""
        until_s = self._now_s() + retry_after_s
        self._budget.pause(self._now_s() * 1000, retry_after_s * 1000)
        if until_s > self._told_until_s:
            self._told_until_s = until_s
            self._was_told.set()

    def share(self, nodes: int, until_boot_ms: int) -> None:
        self._budget.share(nodes, self._now_s() * 1000, until_boot_ms)
        # Whoever waits looks again; whoever comes later waits for the next time.
        self._shares_anew.set()
        self._shares_anew = asyncio.Event()

    def pause_with(self, seconds: float) -> None:
        self._budget.pause(self._now_s() * 1000, seconds * 1000)

    @property
    def told_pause_s(self) -> float:
        return max(0.0, self._told_until_s - self._now_s())

    async def was_told(self) -> None:
        await self._was_told.wait()
        self._was_told.clear()

    @property
    def part(self) -> float:
        return self._budget.part(self._now_s() * 1000)

    @property
    def level(self) -> float:
        return self._budget.weight_level(self._now_s() * 1000)

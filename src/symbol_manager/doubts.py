"""Orders whose fate is not known, and the waits that keep a shard from asking too often."""

from __future__ import annotations

from typing import Generic, TypeVar

from domain.ids import ClientOrderId
from grid.grid import SlotSide
from ports.clock import Clock
from ports.exchange import Capabilities

#: Where a venue expires nothing, how long after the last send an absence is believed.
GRACE_WITHOUT_EXPIRY_MS = 60_000
FIRST_BACKOFF_MS = 1_000
LONGEST_BACKOFF_MS = 60_000
FIRST_LOOK_UP_MS = 500
LONGEST_LOOK_UP_MS = 5_000

Key = TypeVar("Key")


class Doubts:
    """When an order that the venue does not show may be taken for never arrived.

    A signed request dies at the venue after its expiry; an order last signed at *t* that is not
    found after *t* + expiry + clock skew never arrived and never will.
    """

    def __init__(self, clock: Clock, capabilities: Capabilities) -> None:
        self._clock = clock
        expiry = capabilities.request_expiry_ms
        self._grace_ms = (
            GRACE_WITHOUT_EXPIRY_MS if expiry is None else expiry + capabilities.clock_skew_ms
        )
        self._absent_after_ms: dict[ClientOrderId, int] = {}
        self._pace: Pace[ClientOrderId] = Pace(
            clock, first_ms=FIRST_LOOK_UP_MS, longest_ms=LONGEST_LOOK_UP_MS
        )

    def raise_for(self, client_order_id: ClientOrderId) -> None:
        """The order may have been sent up to this instant."""
        self._absent_after_ms[client_order_id] = self._clock.boot_ms() + self._grace_ms

    def settle(self, client_order_id: ClientOrderId) -> None:
        """Its fate is known for now; what is asked about it next still keeps its distance."""
        self._absent_after_ms.pop(client_order_id, None)

    def clear(self, client_order_id: ClientOrderId) -> None:
        self._absent_after_ms.pop(client_order_id, None)
        self._pace.reset(client_order_id)

    def is_due(self, client_order_id: ClientOrderId) -> bool:
        """Whether to ask the venue about it now; each time the next wait is twice as long."""
        return self._pace.take(client_order_id)

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._absent_after_ms

    def may_be_absent(self, client_order_id: ClientOrderId) -> bool:
        """Whether the venue's "no such order" is proof by now."""
        after_ms = self._absent_after_ms.get(client_order_id)
        if after_ms is None:
            self.raise_for(client_order_id)
            return False
        return self._clock.boot_ms() >= after_ms


class Pace(Generic[Key]):
    """For each key a wait that doubles every time it is taken, up to a bound."""

    def __init__(self, clock: Clock, *, first_ms: int, longest_ms: int) -> None:
        self._clock = clock
        self._first_ms = first_ms
        self._longest_ms = longest_ms
        #: Until when to wait, and how long the wait is.
        self._waits: dict[Key, tuple[int, int]] = {}

    def take(self, key: Key) -> bool:
        """Whether the wait is over; if so the next one begins."""
        until_ms, _ = self._waits.get(key, (0, 0))
        if self._clock.boot_ms() < until_ms:
            return False
        self.begin(key)
        return True

    def begin(self, key: Key) -> None:
        """Start waiting, twice as long as the last time."""
        _, waited_ms = self._waits.get(key, (0, 0))
        wait_ms = min(max(waited_ms * 2, self._first_ms), self._longest_ms)
        self._waits[key] = (self._clock.boot_ms() + wait_ms, wait_ms)

    def reset(self, key: Key) -> None:
        self._waits.pop(key, None)

    def waiting(self) -> set[Key]:
        now_ms = self._clock.boot_ms()
        return {key for key, (until_ms, _) in self._waits.items() if now_ms < until_ms}


class Backoff:
    """Slot-sides whose last order was refused wait, twice as long each time, up to a bound."""

    def __init__(self, clock: Clock, *, funds_lock_ms: int) -> None:
        self._clock = clock
        self._funds_lock_ms = funds_lock_ms
        self._entries_locked_until_ms = 0
        self._doubts_position = False
        self._pace: Pace[SlotSide] = Pace(
            clock, first_ms=FIRST_BACKOFF_MS, longest_ms=LONGEST_BACKOFF_MS
        )

    def lock_entries(self) -> None:
        """The venue says that funds are short: no entries for a while, exits go on."""
        self._entries_locked_until_ms = self._clock.boot_ms() + self._funds_lock_ms

    @property
    def entries_locked(self) -> bool:
        return self._clock.boot_ms() < self._entries_locked_until_ms

    def refuse(self, slot_side: SlotSide) -> None:
        self._pace.begin(slot_side)

    def doubt_position(self) -> None:
        """The venue says that there is nothing to reduce: look at what it holds."""
        self._doubts_position = True

    def take_position_doubt(self) -> bool:
        """Whether the position was doubted since this was last asked."""
        doubted, self._doubts_position = self._doubts_position, False
        return doubted

    def succeed(self, slot_side: SlotSide) -> None:
        self._pace.reset(slot_side)

    def waiting(self) -> set[SlotSide]:
        return self._pace.waiting()

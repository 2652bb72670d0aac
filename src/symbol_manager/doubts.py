"""Orders whose fate is not known, and the waits that keep a shard from asking too often."""

from __future__ import annotations

from domain.ids import ClientOrderId
from grid.grid import SlotSide
from ports.clock import Clock
from ports.exchange import Capabilities

#: Where a venue expires nothing, how long after the last send an absence is believed.
GRACE_WITHOUT_EXPIRY_MS = 60_000
FIRST_BACKOFF_MS = 1_000
LONGEST_BACKOFF_MS = 60_000


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

    def raise_for(self, client_order_id: ClientOrderId) -> None:
        """The order may have been sent up to this instant."""
        self._absent_after_ms[client_order_id] = self._clock.boot_ms() + self._grace_ms

    def clear(self, client_order_id: ClientOrderId) -> None:
        self._absent_after_ms.pop(client_order_id, None)

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._absent_after_ms

    def may_be_absent(self, client_order_id: ClientOrderId) -> bool:
        """Whether the venue's "no such order" is proof by now."""
        after_ms = self._absent_after_ms.get(client_order_id)
        if after_ms is None:
            self.raise_for(client_order_id)
            return False
        return self._clock.boot_ms() >= after_ms


class Backoff:
    """Slot-sides whose last order was refused wait, twice as long each time, up to a bound."""

    def __init__(self, clock: Clock, *, funds_lock_ms: int) -> None:
        self._clock = clock
        self._funds_lock_ms = funds_lock_ms
        self._entries_locked_until_ms = 0
        self._waits: dict[SlotSide, tuple[int, int]] = {}

    def lock_entries(self) -> None:
        """The venue says that funds are short: no entries for a while, exits go on."""
        self._entries_locked_until_ms = self._clock.boot_ms() + self._funds_lock_ms

    @property
    def entries_locked(self) -> bool:
        return self._clock.boot_ms() < self._entries_locked_until_ms

    def refuse(self, slot_side: SlotSide) -> None:
        _, waited_ms = self._waits.get(slot_side, (0, FIRST_BACKOFF_MS // 2))
        wait_ms = min(waited_ms * 2, LONGEST_BACKOFF_MS)
        self._waits[slot_side] = (self._clock.boot_ms() + wait_ms, wait_ms)

    def succeed(self, slot_side: SlotSide) -> None:
        self._waits.pop(slot_side, None)

    def waiting(self) -> set[SlotSide]:
        now_ms = self._clock.boot_ms()
        return {slot_side for slot_side, (until_ms, _) in self._waits.items() if now_ms < until_ms}

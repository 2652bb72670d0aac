"""Into how many parts the nodes of an account divide its rate limits; pure, given the time."""

from __future__ import annotations


class ShareRule:
    """One node's part, by the nodes that its heartbeats see.

    A heartbeat's word is good for one lease: the others' parts have shrunk, or lapsed, at the
    latest a lease after this node's row could be seen. Only then, or once it saw that it is alone,
    does it use any part; so the parts in use never add up to more than the limits, in whatever
    order heartbeats come.
    """

    def __init__(self, lease_ms: int) -> None:
        self._lease_ms = lease_ms
        self._is_known_from_ms: int | None = None

    def join(self, now_ms: int) -> None:
        """This node's row is committed."""
        self._is_known_from_ms = now_ms + self._lease_ms

    def nodes(self, seen: int, now_ms: int) -> int:
        """How many nodes divide the limits, when `seen` live, this one included; 0 for no part."""
        if self._is_known_from_ms is None:
            return 0
        if seen <= 1:
            # Whoever joins from now on sees this node before it sends anything.
            self._is_known_from_ms = min(self._is_known_from_ms, now_ms)
        return seen if now_ms >= self._is_known_from_ms else 0

"""Whether a price is new enough to act on, for all that the host's wall clock may be wrong."""

from __future__ import annotations

from ports.clock import Clock
from symbol_manager.mailbox import Mailbox

STALE = "no fresh price from the exchange"
BEHIND = "this host's clock is behind the exchange's"


class Freshness:
    """Of the quotes that come into a mailbox.

    A price is as old as the wall clock says by the venue's time of it. By a clock that is behind,
    old prices look new: so a price is at least as old as the time, by CLOCK_BOOTTIME, in which no
    other came; and one that seems to come from the future tells of such a clock.

    Parameters
    ----------
    stale_after_ms : int
        Age from which on a price is not acted on.
    clock_skew_ms : int
        By how much the wall clock may be behind the venue's.
    """

    def __init__(
        self, mailbox: Mailbox, clock: Clock, *, stale_after_ms: int, clock_skew_ms: int
    ) -> None:
        self._mailbox = mailbox
        self._clock = clock
        self._stale_after_ms = stale_after_ms
        self._clock_skew_ms = clock_skew_ms
        #: Venue time of the latest quote, and when it was seen here first.
        self._latest_ms: int | None = None
        self._seen_ms = 0

    @property
    def of_latest(self) -> bool | None:
        """Whether the latest quote may be acted on; `None` before the first came."""
        latest = self._mailbox.latest_quote
        return None if latest is None else not self.reason_against(latest.exchange_ms)

    def reason_against(self, exchange_ms: int) -> str:
        """Why a price of that venue time must not be acted on; empty if it may."""
        latest, boot_ms = self._mailbox.latest_quote, self._clock.boot_ms()
        if latest is not None and latest.exchange_ms != self._latest_ms:
            self._latest_ms, self._seen_ms = latest.exchange_ms, boot_ms
        age_ms = self._clock.now_ms() - exchange_ms
        if age_ms < -self._clock_skew_ms:
            return BEHIND
        return STALE if max(age_ms, boot_ms - self._seen_ms) > self._stale_after_ms else ""

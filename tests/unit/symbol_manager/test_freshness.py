"""A price is as old as the worse of two clocks says."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest

from domain.market import Quote
from ports.store import Desired
from symbol_manager.freshness import BEHIND, STALE, Freshness
from symbol_manager.mailbox import Mailbox, Wishes

STALE_AFTER_MS = 10_000
SKEW_MS = 1_000
VENUE_MS = 1_700_000_000_000


@dataclass
class Host:
    """Whose wall clock is ahead of the venue's by so much."""

    ahead_ms: int = 0
    passed_ms: int = 0

    def now_ms(self) -> int:
        return VENUE_MS + self.passed_ms + self.ahead_ms

    def boot_ms(self) -> int:
        return 500_000 + self.passed_ms


class Bench:
    def __init__(self, ahead_ms: int = 0) -> None:
        self.host = Host(ahead_ms)
        self.mailbox = Mailbox(Wishes(Desired.RUNNING, is_killed=False))
        self.freshness = Freshness(
            self.mailbox, self.host, stale_after_ms=STALE_AFTER_MS, clock_skew_ms=SKEW_MS
        )
        self.latest_ms = 0

    def quote(self, late_ms: int = 0) -> str:
        """A quote of the venue's present, or of so long ago; what speaks against it."""
        price, self.latest_ms = Decimal(100), VENUE_MS + self.host.passed_ms - late_ms
        quote = Quote(symbol="BTC/USDT", bid=price, ask=price, exchange_ms=self.latest_ms)
        self.mailbox.put_quote(quote)
        return self.reason()

    def reason(self, wait_ms: int = 0) -> str:
        self.host.passed_ms += wait_ms
        return self.freshness.reason_against(self.latest_ms)


@pytest.mark.parametrize("ahead_ms", [-SKEW_MS, 0])
def test_price_is_stale_when_no_other_came_for_as_long_as_allowed(ahead_ms: int) -> None:
    bench = Bench(ahead_ms)
    assert bench.quote() == ""
    assert bench.reason(STALE_AFTER_MS) == ""
    assert bench.reason(1) == STALE
    assert bench.quote() == ""


@pytest.mark.parametrize(("late_ms", "reason"), [(STALE_AFTER_MS, ""), (STALE_AFTER_MS + 1, STALE)])
def test_price_that_comes_late_is_as_old_as_the_venue_says(late_ms: int, reason: str) -> None:
    assert Bench().quote(late_ms) == reason


def test_clock_that_is_ahead_makes_prices_older_by_as_much() -> None:
    bench = Bench(ahead_ms=STALE_AFTER_MS)
    assert bench.quote() == ""
    assert bench.reason(1) == STALE


def test_clock_that_is_behind_by_more_than_allowed_is_told() -> None:
    assert Bench(ahead_ms=-SKEW_MS - 1).quote() == BEHIND


def test_clock_that_is_behind_makes_no_price_newer_than_it_came() -> None:
    """The wall clock alone would take it for new as long again."""
    bench = Bench(ahead_ms=-STALE_AFTER_MS)
    assert bench.quote() == BEHIND
    assert bench.reason(STALE_AFTER_MS - SKEW_MS) == ""
    assert bench.reason(SKEW_MS + 1) == STALE


def test_venue_that_is_set_back_does_not_make_what_comes_next_stale() -> None:
    bench = Bench()
    bench.quote(late_ms=-SKEW_MS)
    bench.host.passed_ms += STALE_AFTER_MS + 1
    assert bench.quote(late_ms=2 * SKEW_MS) == ""


def test_latest_price_of_none_is_neither_fresh_nor_stale() -> None:
    bench = Bench()
    assert bench.freshness.of_latest is None
    bench.quote()
    assert bench.freshness.of_latest is True
    bench.reason(STALE_AFTER_MS + 1)
    assert bench.freshness.of_latest is False

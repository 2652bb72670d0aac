"""Limits as the venue counts them: weight by minute, a ban for who goes on regardless."""

import pytest

from simulator.config import Limits
from simulator.errors import VenueError
from simulator.rate_limit import RateLimiter

MINUTE_MS = 60_000
LIMITS = Limits(weight_per_minute=10, ban_after_refusals=2, ban_s=90)


def refusal(limiter: RateLimiter, now_ms: int) -> VenueError:
    with pytest.raises(VenueError) as caught:
        limiter.spend(1, now_ms)
    return caught.value


def test_weight_over_the_limit_is_429_until_the_next_minute() -> None:
    limiter = RateLimiter(LIMITS)
    limiter.spend(10, 20_000)

    error = refusal(limiter, 20_000)

    assert (error.status, error.code, error.retry_after_s) == (429, -1003, 40)
    limiter.spend(1, MINUTE_MS)


def test_who_goes_on_after_429_is_banned_for_a_while() -> None:
    limiter = RateLimiter(LIMITS)
    limiter.spend(10, 0)
    assert [refusal(limiter, 1_000).status for _ in range(4)] == [429, 429, 418, 418]

    error = refusal(limiter, MINUTE_MS)
    assert (error.status, error.code, error.retry_after_s) == (418, -1003, 31)
    assert "IP banned until 91000" in error.message
    limiter.spend(1, 91_000)


def test_refusals_of_an_earlier_minute_are_forgiven() -> None:
    limiter = RateLimiter(LIMITS)
    for minute in range(5):
        limiter.spend(10, minute * MINUTE_MS)
        assert refusal(limiter, minute * MINUTE_MS).status == 429

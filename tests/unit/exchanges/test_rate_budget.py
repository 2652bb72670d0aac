"""The rate budget: no window sees more than the limit, and cancels keep their reserve."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TransientVenueError
from exchanges.rate_budget import Admission, Cost, RateBudget, RateLimits

LIMITS = RateLimits(weight_per_minute=200, orders_per_10s=20)
PLACE = Cost(weight=1, orders=1)
CANCEL = Cost(weight=1, is_cancel=True)
QUERY = Cost(weight=20)


def spend_all(budget: RateBudget, cost: Cost, now_ms: float) -> int:
    """How often the request passes before it has to wait."""
    count = 0
    while budget.take(cost, now_ms) == 0:
        count += 1
    return count


def test_places_stop_at_half_of_the_order_limit_and_come_back() -> None:
    budget = RateBudget(LIMITS)
    assert spend_all(budget, PLACE, 1) == 10
    assert budget.take(PLACE, 1) == pytest.approx(1_000)
    assert budget.take(PLACE, 1_002) == 0


def test_queries_leave_a_reserve_that_only_cancels_use() -> None:
    budget = RateBudget(LIMITS)
    assert spend_all(budget, QUERY, 1) == 4
    assert spend_all(budget, PLACE, 1) == 10
    assert spend_all(budget, Cost(weight=1), 1) == 0
    assert spend_all(budget, CANCEL, 1) == 10


def test_pause_stops_everything_until_it_ends() -> None:
    budget = RateBudget(LIMITS)
    budget.pause(1_000, 5_000)
    assert budget.take(CANCEL, 1_000) == 5_000
    assert budget.take(QUERY, 5_999) == 1
    assert budget.take(CANCEL, 6_000) == 0


def test_shorter_pause_does_not_end_a_longer_one() -> None:
    budget = RateBudget(LIMITS)
    budget.pause(0, 5_000)
    budget.pause(0, 1_000)
    assert budget.take(CANCEL, 2_000) == 3_000


@given(st.lists(st.integers(0, 3_000), max_size=300))
def test_orders_in_any_window_stay_within_the_limit(pauses_ms: list[int]) -> None:
    budget = RateBudget(LIMITS)
    now_ms, sent_ms = 1, []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        if budget.take(PLACE, now_ms) == 0:
            sent_ms.append(now_ms)
    for start_ms in sent_ms:
        inside = [at_ms for at_ms in sent_ms if start_ms <= at_ms < start_ms + 10_000]
        assert len(inside) <= LIMITS.orders_per_10s


async def test_admission_that_would_wait_too_long_is_refused_with_the_wait() -> None:
    budget = RateBudget(LIMITS)
    admission = Admission(budget, lambda: 1.0)
    admission.pause(30)
    with pytest.raises(TransientVenueError) as refused:
        await admission.admit(QUERY, wait_max_s=10)
    assert refused.value.retry_after_s == pytest.approx(30)


async def test_admission_waits_for_a_short_pause() -> None:
    admission = Admission(RateBudget(LIMITS), time.monotonic)
    admission.pause(0.02)
    asked_s = time.monotonic()
    await admission.admit(QUERY, wait_max_s=1)
    assert time.monotonic() - asked_s >= 0.02

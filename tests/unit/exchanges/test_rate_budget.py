"""The rate budget: no window sees more than the limit, and each tier keeps its reserve."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TransientVenueError
from exchanges.rate_budget import WEIGHT_RESERVES, Admission, Cost, RateBudget, RateLimits, Tier

#: Of the weight 80 go in a burst: 8 are the cancels' own, 4 the exits' and 4 the entries'.
LIMITS = RateLimits(weight_per_minute=200, orders_per_10s=25)
UNIT = Cost(weight=1)
ENTRY = Cost(weight=1, orders=1, tier=Tier.ENTRY)
EXIT = ENTRY.of_tier(Tier.REDUCE)
QUERY = Cost(weight=20)
NEVER_MS = math.inf


def spend_all(budget: RateBudget, cost: Cost, now_ms: float) -> int:
    """How often the request passes before it has to wait."""
    count = 0
    while budget.take(cost, now_ms) == 0:
        count += 1
    return count


def test_entries_leave_orders_to_exits_and_come_back() -> None:
    budget = RateBudget(LIMITS)
    assert spend_all(budget, ENTRY, 1) == 9
    assert budget.take(ENTRY, 1) == pytest.approx(800)
    assert spend_all(budget, EXIT, 1) == 1
    assert budget.take(ENTRY, 1_602) == 0


def test_each_tier_leaves_what_those_above_it_keep() -> None:
    budget = RateBudget(LIMITS)
    spent = [spend_all(budget, UNIT.of_tier(tier), 1) for tier in reversed(Tier)]
    assert spent == [64, 4, 4, 8]
    assert spend_all(budget, QUERY, 21_000) == 0
    assert spend_all(budget, QUERY, 22_000) == 1


@given(
    st.lists(st.tuples(st.sampled_from(list(Tier)), st.integers(1, 8), st.integers(0, 4_000))),
    st.sampled_from([1, 2, 5]),
)
def test_lower_tiers_never_take_what_a_higher_one_keeps(
    asked: list[tuple[Tier, int, int]], nodes: int
) -> None:
    """Each tier may spend its reserve at once, whatever those after it did before."""
    for tier, percent in WEIGHT_RESERVES.items():
        budget, now_ms = RateBudget(LIMITS), 1
        budget.share(nodes, now_ms, NEVER_MS)
        for after, weight, passed_ms in asked:
            now_ms += passed_ms
            if after > tier:
                budget.take(Cost(weight=weight, tier=after), now_ms)
        assert spend_all(budget, UNIT.of_tier(tier), now_ms) >= percent * 80 // (100 * nodes)


def test_request_larger_than_the_bucket_goes_when_it_is_full_and_is_paid_back() -> None:
    budget = RateBudget(LIMITS)
    budget.share(8, 1, NEVER_MS)
    assert budget.take(QUERY, 1) == 0
    wait_ms = budget.take(QUERY, 1)
    assert wait_ms == pytest.approx(20 / (100 / 8) * 60_000)
    assert budget.take(QUERY, 1 + wait_ms + 1) == 0


def test_part_shrinks_at_once_and_gains_nothing_when_it_grows() -> None:
    budget = RateBudget(LIMITS)
    budget.share(2, 1, NEVER_MS)
    assert budget.part(1) == 0.5
    assert spend_all(budget, UNIT.of_tier(Tier.CANCEL), 1) == 40
    budget.share(1, 1, NEVER_MS)
    assert spend_all(budget, UNIT.of_tier(Tier.CANCEL), 1) == 0
    assert budget.take(UNIT.of_tier(Tier.CANCEL), 1) == pytest.approx(600)


def test_first_part_beside_others_begins_with_little() -> None:
    budget = RateBudget(LIMITS)
    budget.share(0, 1, NEVER_MS)
    assert math.isinf(budget.take(UNIT.of_tier(Tier.CANCEL), 1))
    budget.share(2, 1, NEVER_MS)
    assert spend_all(budget, UNIT.of_tier(Tier.CANCEL), 1) == 10


def test_pause_stops_everything_until_it_ends() -> None:
    budget = RateBudget(LIMITS)
    budget.pause(1_000, 5_000)
    assert budget.take(UNIT.of_tier(Tier.CANCEL), 1_000) == 5_000
    assert budget.take(QUERY, 5_999) == 1
    assert budget.take(UNIT.of_tier(Tier.CANCEL), 6_000) == 0


def test_shorter_pause_does_not_end_a_longer_one() -> None:
    budget = RateBudget(LIMITS)
    budget.pause(0, 5_000)
    budget.pause(0, 1_000)
    assert budget.take(UNIT.of_tier(Tier.CANCEL), 2_000) == 3_000


@given(st.lists(st.integers(0, 3_000), max_size=300))
def test_orders_in_any_window_stay_within_the_limit(pauses_ms: list[int]) -> None:
    budget = RateBudget(LIMITS)
    now_ms, sent_ms = 1, []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        if budget.take(EXIT, now_ms) == 0:
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


async def test_admission_without_a_share_is_refused() -> None:
    admission = Admission(RateBudget(LIMITS), lambda: 100.0)
    admission.share(1, 99_999)
    with pytest.raises(TransientVenueError, match="no share"):
        await admission.admit(UNIT)
    assert (admission.part, admission.level) == (0, 1)


async def test_admission_waits_for_its_first_share() -> None:
    admission = Admission(RateBudget(LIMITS), time.monotonic)
    admission.share(0, 0)
    waiting = asyncio.create_task(admission.admit(UNIT, wait_max_s=30))
    await asyncio.sleep(0)
    assert not waiting.done()
    admission.share(2, int(time.monotonic() * 1000) + 60_000)
    async with asyncio.timeout(10):
        await waiting


async def test_admission_passes_on_what_the_venue_told_it_but_not_what_others_did() -> None:
    admission = Admission(RateBudget(LIMITS), lambda: 5.0)
    admission.pause_with(20)
    assert admission.told_pause_s == 0
    admission.pause(7)
    async with asyncio.timeout(1):
        await admission.was_told()
    assert admission.told_pause_s == 7
    admission.pause(3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await admission.was_told()
    assert admission.told_pause_s == 7

"""Absence counts only after the grace, and refused slot-sides wait longer each time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.ids import ClientOrderId, Side
from symbol_manager.doubts import (
    FIRST_BACKOFF_MS,
    FIRST_LOOK_UP_MS,
    GRACE_WITHOUT_EXPIRY_MS,
    LONGEST_BACKOFF_MS,
    LONGEST_LOOK_UP_MS,
    Backoff,
    Doubts,
)
from unit.symbol_manager.factories import CAPABILITIES, FakeClock, slot_id

ORDER = ClientOrderId("c1")
OTHER = ClientOrderId("c2")
SLOT_SIDE = (slot_id(-1), Side.BUY)
FUNDS_LOCK_MS = 30_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backoff(clock: FakeClock) -> Backoff:
    return Backoff(clock, funds_lock_ms=FUNDS_LOCK_MS)


@pytest.mark.parametrize(
    ("expiry_ms", "grace_ms"),
    [
        pytest.param(1_000, 1_500, id="expiry and skew"),
        pytest.param(None, GRACE_WITHOUT_EXPIRY_MS, id="venue expires nothing"),
    ],
)
def test_doubts_absence_counts_only_after_the_grace(
    clock: FakeClock, expiry_ms: int | None, grace_ms: int
) -> None:
    doubts = Doubts(clock, replace(CAPABILITIES, request_expiry_ms=expiry_ms))
    doubts.raise_for(ORDER)
    clock.ms += grace_ms - 1
    assert not doubts.may_be_absent(ORDER)
    clock.ms += 1
    assert doubts.may_be_absent(ORDER)


def test_doubts_raised_again_start_the_grace_anew(clock: FakeClock) -> None:
    doubts = Doubts(clock, CAPABILITIES)
    doubts.raise_for(ORDER)
    clock.ms += 1_000
    doubts.raise_for(ORDER)
    clock.ms += 1_000
    assert not doubts.may_be_absent(ORDER)


def test_doubts_order_never_doubted_starts_its_grace_at_the_first_question(
    clock: FakeClock,
) -> None:
    doubts = Doubts(clock, CAPABILITIES)
    assert not doubts.may_be_absent(ORDER)
    assert ORDER in doubts
    clock.ms += 1_500
    assert doubts.may_be_absent(ORDER)


def test_doubts_cleared_order_is_in_no_doubt(clock: FakeClock) -> None:
    doubts = Doubts(clock, CAPABILITIES)
    doubts.raise_for(ORDER)
    doubts.raise_for(OTHER)
    doubts.clear(ORDER)
    doubts.clear(ORDER)
    assert ORDER not in doubts
    assert OTHER in doubts


def test_doubts_look_ups_keep_twice_the_distance_each_time_up_to_a_bound(
    clock: FakeClock,
) -> None:
    doubts = Doubts(clock, CAPABILITIES)
    doubts.raise_for(ORDER)
    distance_ms = FIRST_LOOK_UP_MS
    for _ in range(10):
        assert doubts.is_due(ORDER)
        clock.ms += distance_ms - 1
        assert not doubts.is_due(ORDER)
        clock.ms += 1
        distance_ms = min(distance_ms * 2, LONGEST_LOOK_UP_MS)
    assert distance_ms == LONGEST_LOOK_UP_MS == 5_000
    assert doubts.is_due(OTHER)


def test_doubts_cleared_order_is_looked_up_at_once_when_doubted_again(clock: FakeClock) -> None:
    doubts = Doubts(clock, CAPABILITIES)
    assert doubts.is_due(ORDER)
    assert not doubts.is_due(ORDER)
    doubts.clear(ORDER)
    assert doubts.is_due(ORDER)


def test_backoff_refusals_double_the_wait_up_to_a_bound(clock: FakeClock, backoff: Backoff) -> None:
    expected_ms = FIRST_BACKOFF_MS
    for _ in range(10):
        backoff.refuse(SLOT_SIDE)
        clock.ms += expected_ms - 1
        assert backoff.waiting() == {SLOT_SIDE}
        clock.ms += 1
        assert backoff.waiting() == set()
        expected_ms = min(expected_ms * 2, LONGEST_BACKOFF_MS)
    assert expected_ms == LONGEST_BACKOFF_MS


def test_backoff_success_starts_from_the_first_wait_again(
    clock: FakeClock, backoff: Backoff
) -> None:
    for _ in range(3):
        backoff.refuse(SLOT_SIDE)
    backoff.succeed(SLOT_SIDE)
    assert backoff.waiting() == set()
    backoff.refuse(SLOT_SIDE)
    clock.ms += FIRST_BACKOFF_MS
    assert backoff.waiting() == set()


def test_backoff_slot_sides_wait_by_themselves(backoff: Backoff) -> None:
    backoff.refuse(SLOT_SIDE)
    backoff.succeed((slot_id(-1), Side.SELL))
    assert backoff.waiting() == {SLOT_SIDE}


def test_backoff_short_funds_lock_entries_for_a_while(clock: FakeClock, backoff: Backoff) -> None:
    assert not backoff.entries_locked
    backoff.lock_entries()
    clock.ms += FUNDS_LOCK_MS - 1
    assert backoff.entries_locked
    clock.ms += 1
    assert not backoff.entries_locked

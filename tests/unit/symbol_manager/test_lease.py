"""A lease is held from a heartbeat's asking until it runs out, and never after it was revoked."""

from __future__ import annotations

import pytest

from domain.errors import OwnershipLost
from symbol_manager.lease import Lease
from unit.symbol_manager.factories import FakeClock

DURATION_MS = 3_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lease(clock: FakeClock) -> Lease:
    return Lease(clock, DURATION_MS)


def test_lease_never_renewed_is_not_held(lease: Lease) -> None:
    assert not lease.is_held
    with pytest.raises(OwnershipLost):
        lease.check()


def test_lease_runs_out_on_the_millisecond(clock: FakeClock, lease: Lease) -> None:
    lease.renew(clock.ms)
    clock.ms += DURATION_MS - 1
    lease.check()
    clock.ms += 1
    with pytest.raises(OwnershipLost):
        lease.check()


def test_lease_renewal_counts_from_the_asking(clock: FakeClock, lease: Lease) -> None:
    asked_ms = clock.ms
    clock.ms += 2_000  # the heartbeat's answer took two seconds
    lease.renew(asked_ms)
    clock.ms += 999
    assert lease.is_held
    clock.ms += 1
    assert not lease.is_held


def test_lease_answer_that_came_too_late_renews_nothing(clock: FakeClock, lease: Lease) -> None:
    asked_ms = clock.ms
    clock.ms += DURATION_MS
    lease.renew(asked_ms)
    assert not lease.is_held


def test_lease_run_out_is_held_again_after_a_heartbeat(clock: FakeClock, lease: Lease) -> None:
    lease.renew(clock.ms)
    clock.ms += DURATION_MS
    assert not lease.is_held
    lease.renew(clock.ms)
    lease.check()


def test_lease_begins_a_new_term_only_after_it_had_run_out(clock: FakeClock, lease: Lease) -> None:
    lease.renew(clock.ms)
    first = lease.term
    clock.ms += DURATION_MS - 1
    lease.renew(clock.ms)
    assert lease.term == first
    clock.ms += DURATION_MS
    lease.renew(clock.ms)
    assert lease.term == first + 1


def test_lease_revoked_is_lost_for_good(clock: FakeClock, lease: Lease) -> None:
    lease.renew(clock.ms)
    lease.revoke()
    assert not lease.is_held
    lease.renew(clock.ms)
    with pytest.raises(OwnershipLost):
        lease.check()

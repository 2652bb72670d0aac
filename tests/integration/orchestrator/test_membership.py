"""A node's heartbeat renews what it has, never what it lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost
from integration.store.factories import EXECUTOR, execute, value
from integration.symbol_manager.harness import eventually
from orchestrator.membership import Membership
from store.nodes import Nodes
from symbol_manager.lease import Lease

LEASE_MS = 5_000


@dataclass
class HandClock:
    """Stands until it is moved."""

    at_ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms

    def boot_ms(self) -> int:
        return self.at_ms


@dataclass
class Member:
    engine: AsyncEngine
    clock: HandClock
    lease: Lease
    membership: Membership
    keeping: asyncio.Task[None]

    async def beat(self) -> None:
        """Wait for a heartbeat that was asked for after now."""
        await execute(self.engine, "UPDATE nodes SET heartbeat_at = 'epoch'")

        async def renewed() -> bool:
            return bool(await value(self.engine, "SELECT heartbeat_at > 'epoch' FROM nodes"))

        await eventually(renewed)


@pytest.fixture
async def member(clean_engine: AsyncEngine) -> AsyncIterator[Member]:
    clock = HandClock()
    lease = Lease(clock, LEASE_MS)
    membership = Membership(Nodes(clean_engine), EXECUTOR, clock, lease)
    await membership.join("node-1", capacity=10)
    keeping = asyncio.create_task(membership.keep(0.01, lambda: True))
    yield Member(clean_engine, clock, lease, membership, keeping)
    keeping.cancel()
    with suppress(asyncio.CancelledError, OwnershipLost):
        await keeping


async def test_membership_is_steady_while_heartbeats_are_in_time(member: Member) -> None:
    assert not member.membership.was_steady_for(8.0)
    for _ in range(3):
        member.clock.at_ms += 3_000
        await member.beat()
    assert member.membership.was_steady_for(8.0)


async def test_membership_after_a_gap_must_be_steady_anew(member: Member) -> None:
    member.clock.at_ms += 60_000
    assert not member.membership.was_steady_for(8.0)

    async def is_held() -> bool:
        return member.lease.is_held

    await eventually(is_held)
    assert not member.membership.was_steady_for(8.0)


async def test_membership_whose_row_is_gone_ends_and_holds_no_lease(member: Member) -> None:
    await execute(member.engine, "DELETE FROM nodes")
    with pytest.raises(OwnershipLost):
        await member.keeping
    assert not member.lease.is_held


async def test_membership_says_when_the_exchange_was_reached(member: Member) -> None:
    async def is_noted() -> bool:
        return bool(await value(member.engine, "SELECT exchange_at IS NOT NULL FROM nodes"))

    await eventually(is_noted)

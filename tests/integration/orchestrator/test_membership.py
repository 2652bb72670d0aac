"""A node's heartbeat renews what it has, never what it lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost
from integration.store.factories import EXECUTOR, execute, join_node, value
from integration.symbol_manager.harness import eventually
from orchestrator.membership import Membership
from store.nodes import ExecutorId, Nodes
from support.fake_exchange import FakeExchange, FakeRate
from symbol_manager.lease import Lease

OTHER = ExecutorId("node-2:start-1")
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
    rate: FakeRate
    membership: Membership
    keeping: asyncio.Task[None]

    async def beat(self) -> None:
        """Wait for a heartbeat that was asked for after now."""
        await execute(
            self.engine,
            "UPDATE nodes SET heartbeat_at = 'epoch' WHERE executor_id = :me",
            me=EXECUTOR,
        )

        async def renewed() -> bool:
            return bool(
                await value(
                    self.engine,
                    "SELECT heartbeat_at > 'epoch' FROM nodes WHERE executor_id = :me",
                    me=EXECUTOR,
                )
            )

        await eventually(renewed)


@pytest.fixture
async def member(clean_engine: AsyncEngine) -> AsyncIterator[Member]:
    clock = HandClock()
    lease = Lease(clock, LEASE_MS)
    exchange = FakeExchange()
    membership = Membership(Nodes(clean_engine), EXECUTOR, clock, lease, exchange)
    await membership.join("node-1", capacity=10)
    keeping = asyncio.create_task(membership.keep(0.01, lambda: True))
    yield Member(clean_engine, clock, lease, exchange.rate, membership, keeping)
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


async def test_membership_alone_has_all_of_the_limits_until_its_lease_ends(member: Member) -> None:
    assert member.rate.shares[0] == (1, member.clock.at_ms + LEASE_MS)
    member.clock.at_ms += 1_000
    await member.beat()
    assert member.rate.shares[-1] == (1, member.clock.at_ms + LEASE_MS)


async def test_membership_shrinks_its_part_at_the_next_heartbeat_after_another_joined(
    member: Member,
) -> None:
    await join_node(member.engine, OTHER, host="elsewhere")
    await member.beat()
    assert member.rate.shares[-1][0] == 2
    await execute(member.engine, "DELETE FROM nodes WHERE executor_id = :other", other=OTHER)
    await member.beat()
    assert member.rate.shares[-1][0] == 1


async def test_membership_beside_others_has_no_part_before_they_must_have_shrunk_theirs(
    clean_engine: AsyncEngine,
) -> None:
    await join_node(clean_engine, host="elsewhere")
    clock, exchange = HandClock(), FakeExchange()
    membership = Membership(Nodes(clean_engine), OTHER, clock, Lease(clock, LEASE_MS), exchange)
    await membership.join("node-2", capacity=10)
    assert [nodes for nodes, _ in exchange.rate.shares] == [0]
    for passed_ms, nodes in ((LEASE_MS - 1, 0), (1, 2)):
        clock.at_ms += passed_ms
        keeping = asyncio.create_task(membership.keep(60.0, lambda: True))
        seen = len(exchange.rate.shares)

        async def has_beaten(seen: int = seen) -> bool:
            return len(exchange.rate.shares) > seen

        await eventually(has_beaten)
        keeping.cancel()
        assert exchange.rate.shares[-1] == (nodes, clock.at_ms + LEASE_MS)
    await membership.leave()
    assert exchange.rate.shares[-1][0] == 0


async def test_membership_counts_no_process_of_its_host_that_has_ended(member: Member) -> None:
    me = member.membership.process
    await join_node(
        member.engine, OTHER, host=me.host, boot_id=me.boot_id, pid=me.pid, pid_started=1
    )
    await member.beat()
    assert member.rate.shares[-1][0] == 1


async def test_membership_counts_a_machine_of_the_same_name(member: Member) -> None:
    await join_node(member.engine, OTHER, host=member.membership.process.host)
    member.clock.at_ms += LEASE_MS
    await member.beat()
    assert member.rate.shares[-1][0] == 2


@pytest.mark.parametrize("set_by", ["1 hour", "-1 hour"])
async def test_silence_is_counted_by_boot_time_whatever_postgres_is_set_to(
    member: Member, set_by: str
) -> None:
    async def silent_s() -> float:
        (other,) = [
            each for each in await Nodes(member.engine).members() if each.executor_id == OTHER
        ]
        return member.membership.silent_s(other)

    await join_node(member.engine, OTHER)
    assert await silent_s() == 0.0
    await member.beat()
    member.clock.at_ms += 3_000
    await member.beat()
    member.clock.at_ms += 6_000
    assert await silent_s() == 9.0

    await execute(
        member.engine,
        "UPDATE nodes SET heartbeat_at = heartbeat_at + CAST(:by AS interval)"
        " WHERE executor_id = :other",
        by=set_by,
        other=OTHER,
    )
    assert await silent_s() == 0.0
    await member.beat()
    member.clock.at_ms += 1_000
    assert await silent_s() == 1.0


async def test_silence_of_the_next_to_be_taken_for_dead_is_told_ahead(member: Member) -> None:
    assert member.membership.until_silent_s(8) == math.inf
    await join_node(member.engine, OTHER)
    await member.beat()
    member.clock.at_ms += 3_000
    await member.beat()
    assert member.membership.until_silent_s(8) == 5.0
    member.clock.at_ms += 5_000
    await member.beat()
    assert member.membership.until_silent_s(8) == math.inf


async def test_membership_whose_row_is_gone_has_no_part(member: Member) -> None:
    await execute(member.engine, "DELETE FROM nodes")
    with pytest.raises(OwnershipLost):
        await member.keeping
    assert member.rate.shares[-1][0] == 0


async def test_pause_of_one_node_reaches_the_others_at_their_next_heartbeat(
    member: Member,
) -> None:
    """The node that was told does not wait for its own heartbeat to say so."""
    clock, told = HandClock(), FakeExchange()
    other = Membership(Nodes(member.engine), OTHER, clock, Lease(clock, LEASE_MS), told)
    await other.join("node-2", capacity=10)
    keeping = asyncio.create_task(other.keep(60.0, lambda: True))
    await member.beat()
    assert member.rate.paused_s == 0
    told.rate.told_pause_s = 30.0
    told.rate.told.set()

    async def is_paused() -> bool:
        return member.rate.paused_s > 25

    await eventually(is_paused)
    assert member.rate.paused_s <= 30
    keeping.cancel()


async def test_shorter_pause_told_later_does_not_end_a_longer_one(
    clean_engine: AsyncEngine,
) -> None:
    await join_node(clean_engine)
    nodes = Nodes(clean_engine)
    paused = [
        await nodes.beat(EXECUTOR, reaches_exchange=True, account="sim", told_pause_s=told_s)
        for told_s in (30.0, 5.0, 0.0)
    ]
    assert all(beat is not None and 25 < beat.paused_for_s <= 30 for beat in paused)
    elsewhere = await nodes.beat(EXECUTOR, reaches_exchange=True, account="b", told_pause_s=0.0)
    assert elsewhere is not None
    assert elsewhere.paused_for_s == 0


async def test_pause_told_before_postgres_was_set_back_counts_until_then_only(
    clean_engine: AsyncEngine,
) -> None:
    await join_node(clean_engine)
    nodes = Nodes(clean_engine)

    async def paused_s(told_s: float) -> float:
        beat = await nodes.beat(EXECUTOR, reaches_exchange=True, account="sim", told_pause_s=told_s)
        assert beat is not None
        return beat.paused_for_s

    assert await paused_s(30.0) > 25
    await execute(
        clean_engine,
        "UPDATE rate_pauses SET told_at = told_at + interval '1 hour',"
        " paused_until = paused_until + interval '1 hour'",
    )
    assert await paused_s(0.0) == 0
    assert 4 < await paused_s(5.0) <= 5
    assert 4 < await paused_s(0.0) <= 5

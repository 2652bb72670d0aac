"""Cancels that cannot be written down: after some patience, once each, only while wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from domain.errors import OwnershipLost
from domain.ids import ClientOrderId
from domain.orders import Intended, Open, Order, OrderState, Sent, Unknown
from orchestrator.last_resort import AGAIN_MS, PATIENCE_MS, LastResort
from ports.exchange import (
    Accepted,
    ExchangePort,
    NotSent,
    Outcome,
    Refused,
    SendGuard,
    Undetermined,
)
from symbol_manager.lease import Lease
from symbol_manager.shard import Shard
from unit.symbol_manager.factories import FakeClock, make_intent, make_report, venue_id

INTENTS = (make_intent(-1), make_intent(-2))
ORDERS = tuple(intent.client_order_id for intent in INTENTS)
LEASE_MS = 2 * PATIENCE_MS
GONE = Refused("not_found", "")


@dataclass
class Venue:
    """Answers every cancel alike, and keeps what it was asked."""

    outcome: Outcome = GONE
    cancelled: list[str] = field(default_factory=list)

    async def cancel(
        self, symbol: str, client_order_ids: Sequence[ClientOrderId], guard: SendGuard
    ) -> tuple[Outcome, ...]:
        try:
            guard()
        except OwnershipLost as error:
            return tuple(NotSent(str(error)) for _ in client_order_ids)
        self.cancelled += client_order_ids
        return tuple(self.outcome for _ in client_order_ids)

    def take(self) -> list[str]:
        taken, self.cancelled = self.cancelled, []
        return taken


@dataclass
class StuckShard:
    shard: int = 1
    symbol: str = "BTC/USDT"
    wants_no_orders: bool = True
    resting: tuple[Order, ...] = tuple(
        Order(intent=intent, state=Open(venue_id(intent))) for intent in INTENTS
    )


@dataclass
class Bench:
    clock: FakeClock = field(default_factory=FakeClock)
    venue: Venue = field(default_factory=Venue)
    stuck: StuckShard = field(default_factory=StuckShard)

    def __post_init__(self) -> None:
        self.lease = Lease(self.clock, LEASE_MS)
        self.last_resort = LastResort(
            cast(ExchangePort, self.venue),
            self.clock,
            self.lease,
            lambda: [cast(Shard, self.stuck)],
        )

    async def look_after(self, wait_ms: int, *, holds_lease: bool = True) -> list[str]:
        """What is cancelled so much later."""
        self.clock.ms += wait_ms
        if holds_lease:
            self.lease.renew(self.clock.ms)
        await self.last_resort.look()
        return self.venue.take()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_shard_has_its_time_to_cancel_by_itself(bench: Bench) -> None:
    assert await bench.look_after(0) == []
    assert await bench.look_after(PATIENCE_MS - 1) == []
    assert await bench.look_after(1) == [*ORDERS]


async def test_shard_that_wants_orders_keeps_them(bench: Bench) -> None:
    bench.stuck.wants_no_orders = False
    await bench.look_after(0)
    assert await bench.look_after(PATIENCE_MS) == []


async def test_patience_begins_anew_with_the_next_wish(bench: Bench) -> None:
    await bench.look_after(0)
    bench.stuck.wants_no_orders = False
    await bench.look_after(PATIENCE_MS)
    bench.stuck.wants_no_orders = True
    assert await bench.look_after(0) == []
    assert await bench.look_after(PATIENCE_MS) == [*ORDERS]


async def test_order_that_is_gone_is_cancelled_once(bench: Bench) -> None:
    await bench.look_after(0)
    assert await bench.look_after(PATIENCE_MS) == [*ORDERS]
    assert await bench.look_after(10 * AGAIN_MS) == []


@pytest.mark.parametrize(
    "outcome", [Undetermined("lost"), NotSent("no budget"), Refused("busy", "")]
)
async def test_cancel_without_success_is_sent_again_after_a_while(
    bench: Bench, outcome: Outcome
) -> None:
    bench.venue.outcome = outcome
    await bench.look_after(0)
    assert await bench.look_after(PATIENCE_MS) == [*ORDERS]
    assert await bench.look_after(AGAIN_MS - 1) == []
    assert await bench.look_after(1) == [*ORDERS]


@pytest.mark.parametrize("state", [Intended(), Sent(), Unknown("no reply")])
async def test_order_that_may_be_on_its_way_is_cancelled_until_it_is_gone(
    bench: Bench, state: OrderState
) -> None:
    """The venue knows nothing of it, and then it arrives."""
    first, second = bench.stuck.resting
    bench.stuck.resting = (replace(first, state=state), second)
    await bench.look_after(0)
    assert await bench.look_after(PATIENCE_MS) == [*ORDERS]
    assert await bench.look_after(AGAIN_MS - 1) == []
    bench.venue.outcome = Accepted(make_report(INTENTS[0]))
    assert await bench.look_after(1) == [ORDERS[0]]
    assert await bench.look_after(10 * AGAIN_MS) == []


async def test_node_whose_lease_ran_out_cancels_nothing(bench: Bench) -> None:
    await bench.look_after(0)
    assert await bench.look_after(LEASE_MS, holds_lease=False) == []
    assert await bench.look_after(AGAIN_MS) == [*ORDERS]


async def test_wish_that_ends_while_a_cancel_is_signed_keeps_it_back(bench: Bench) -> None:
    await bench.look_after(0)
    bench.clock.ms += PATIENCE_MS
    guard = bench.last_resort._guard(cast(Shard, bench.stuck))
    bench.lease.renew(bench.clock.ms)
    guard()
    bench.stuck.wants_no_orders = False
    with pytest.raises(OwnershipLost):
        guard()

"""A shard goes on tenure after tenure, and keeps its distance while nothing can be compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from domain.errors import StoreUnavailable
from domain.instrument import Instrument
from ports.store import Changes, Claim, Desired, Ownership
from support.fake_exchange import FakeExchange
from symbol_manager import shard as shard_module
from symbol_manager.execute import PlanExecutor, PlanRecord, decision_id_of
from symbol_manager.lease import Lease
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardPorts, ShardSettings
from unit.symbol_manager.factories import (
    CAPABILITIES,
    SHARD,
    FakeClock,
    PassedFailpoints,
    RecordingStore,
)

FIRST_S, LONGEST_S = 0.02, 0.16


@dataclass
class TimedStore(RecordingStore):
    """Notes when it was claimed, and may be gone after a comparison."""

    claimed_s: list[float] = field(default_factory=list)
    is_gone: bool = False

    async def claim(self, shard: int, workflow_id: str) -> Claim:
        self.claimed_s.append(time.monotonic())
        return await super().claim(shard, workflow_id)

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        await super().record(ownership, instrument, changes)
        if self.is_gone and not changes.is_reconciled:
            raise StoreUnavailable("gone")


@dataclass
class Office:
    store: TimedStore = field(default_factory=TimedStore)
    exchange: FakeExchange = field(default_factory=lambda: FakeExchange(capabilities=CAPABILITIES))
    clock: FakeClock = field(default_factory=FakeClock)

    def shard(self) -> Shard:
        lease = Lease(self.clock, 3_600_000)
        lease.renew(self.clock.ms)
        executor = PlanExecutor(self.exchange, self.store, lease, PassedFailpoints())

        async def run_plan(record: PlanRecord) -> object:
            return await executor.submit(decision_id_of(record))

        return Shard(
            shard=SHARD,
            symbol="BTC/USDT",
            workflow_id="run_shard:sim-BTC-USDT:3",
            mailbox=Mailbox(Wishes(Desired.RUNNING, is_killed=False)),
            ports=ShardPorts(
                store=self.store,
                exchange=self.exchange,
                executor=executor,
                run_plan=run_plan,
                clock=self.clock,
                failpoints=PassedFailpoints(),
            ),
            settings=ShardSettings(),
        )

    async def run_until(self, is_so: Callable[[], bool]) -> None:
        running = asyncio.create_task(self.shard().run())
        try:
            async with asyncio.timeout(10):
                while True:
                    if is_so():
                        return
                    await asyncio.sleep(0.005)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    @property
    def waits_s(self) -> list[float]:
        return [after - before for before, after in pairwise(self.store.claimed_s)]


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(shard_module, "RETRY_FIRST_S", FIRST_S)
    monkeypatch.setattr(shard_module, "RETRY_LONGEST_S", LONGEST_S)
    return Office()


async def test_shard_that_cannot_compare_waits_twice_as_long_each_time_up_to_a_bound(
    office: Office,
) -> None:
    office.exchange.failing = {"fetch_open_orders"}
    await office.run_until(lambda: len(office.store.claimed_s) == 6)
    for waited_s, least_s in zip(office.waits_s, (0.02, 0.04, 0.08, 0.16, 0.16), strict=True):
        assert waited_s >= least_s


async def test_shard_that_has_compared_begins_with_the_first_wait_again(office: Office) -> None:
    """Each tenure compares, places its entries and loses Postgres."""
    office.exchange.set_price("99.49", "99.51", office.clock.ms)
    office.store.is_gone = True

    def has_ended_often() -> bool:
        # As if the venue had cancelled them all, so that the next tenure places them again.
        if len(office.exchange.orders) == 3:
            office.exchange.orders.clear()
        return len(office.store.claimed_s) == 8

    await office.run_until(has_ended_often)
    assert sum(office.waits_s) < 7 * LONGEST_S

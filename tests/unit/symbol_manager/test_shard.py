"""A shard goes on tenure after tenure, and keeps its distance while nothing can be compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from domain.errors import StoreUnavailable
from domain.instrument import Instrument
from domain.plans import CommittedPlan
from ports.store import Changes, Claim, Decision, Desired, Ownership
from symbol_manager import shard as shard_module
from symbol_manager.mailbox import Wishes
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardSettings
from unit.symbol_manager.bench import Bench
from unit.symbol_manager.factories import PATIENCE_S, SHARD, RecordingStore


@dataclass
class TimedStore(RecordingStore):
    """Notes when it was claimed, and may be gone after a comparison."""

    claimed_s: list[float] = field(default_factory=list)
    is_gone: bool = False
    spec_version: int = 1
    #: What was decided on, decision by decision.
    causes: list[tuple[str, ...]] = field(default_factory=list)

    async def claim(self, shard: int, workflow_id: str) -> Claim:
        self.claimed_s.append(time.monotonic())
        return replace(await super().claim(shard, workflow_id), spec_version=self.spec_version)

    async def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        self.causes.append(decision.causes)
        return await super().commit_decision(decision, instrument)

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        await super().record(ownership, instrument, changes)
        if self.is_gone and not changes.is_reconciled:
            raise StoreUnavailable("gone")

    @property
    def waits_s(self) -> list[float]:
        return [after - before for before, after in pairwise(self.claimed_s)]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> TimedStore:
    monkeypatch.setattr(shard_module, "RETRY_FIRST_S", 0.02)
    return TimedStore()


async def run_until(bench: Bench, is_so: Callable[[], bool]) -> None:
    shard = Shard(
        shard=SHARD,
        symbol="BTC/USDT",
        workflow_id="run_shard:sim-BTC-USDT:3",
        mailbox=bench.mailbox,
        ports=bench.ports(),
        settings=ShardSettings(orders_per_minute=bench.orders_per_minute),
    )
    running = asyncio.create_task(shard.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if is_so():
                    return
                await asyncio.sleep(0.005)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_shard_that_cannot_compare_waits_twice_as_long_each_time_up_to_a_bound(
    store: TimedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_module, "RETRY_LONGEST_S", 0.16)
    bench = Bench(store=store)
    bench.exchange.failing = {"fetch_open_orders"}
    await run_until(bench, lambda: len(store.claimed_s) == 6)
    for waited_s, least_s in zip(store.waits_s, (0.02, 0.04, 0.08, 0.16, 0.16), strict=True):
        assert waited_s >= least_s


async def test_shard_that_has_compared_begins_with_the_first_wait_again(store: TimedStore) -> None:
    """Each tenure compares, places its entries and loses Postgres; doubled waits took 2.5 s."""
    bench = Bench(store=store)
    store.is_gone = True

    def has_ended_often() -> bool:
        # As if the venue had ended them all, so that the next tenure places them again.
        if len(bench.exchange.orders) == 3:
            bench.exchange.orders.clear()
        return len(store.claimed_s) == 8

    await run_until(bench, has_ended_often)
    assert sum(store.waits_s) < 1.5


async def test_shard_send_rate_outlives_its_tenures(store: TimedStore) -> None:
    """The first tenure uses the minute's orders up and loses Postgres."""
    bench = Bench(store=store, orders_per_minute=3)
    store.is_gone = True

    def has_later_decided() -> bool:
        if store.is_gone and len(store.claimed_s) >= 2:
            assert len(bench.exchange.orders) == 3
            bench.exchange.orders.clear()
            store.is_gone = False
        # A tenure says what it does only after it has decided.
        return bool(store.statuses)

    await run_until(bench, has_later_decided)
    assert len(store.claimed_s) >= 2
    assert bench.exchange.orders == {}


async def test_shard_with_a_newer_spec_takes_office_anew_at_once_and_says_why(
    store: TimedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim after the wish has the version that was wished for, and stays."""
    monkeypatch.setattr(shard_module, "RETRY_FIRST_S", 60.0)
    bench = Bench(store=store)

    def has_second_decided() -> bool:
        if len(bench.exchange.orders) == 3 and len(store.claimed_s) == 1:
            bench.exchange.orders.clear()
            store.spec_version = 2
            bench.mailbox.put_wishes(Wishes(Desired.RUNNING, is_killed=False, spec_version=2))
        return len(store.claimed_s) == 2 and len(bench.exchange.orders) == 3

    await run_until(bench, has_second_decided)
    assert [causes[0] for causes in store.causes] == ["start", "spec 2"]

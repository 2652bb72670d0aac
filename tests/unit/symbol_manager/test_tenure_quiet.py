"""Quotes that change nothing wake no shard, and yet every decision sees the newest one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from domain.instrument import Instrument
from domain.market import BookTop
from domain.orders import Open, Order
from domain.plans import CommittedPlan
from ports.store import Decision, Desired, Status
from support.fake_exchange import BTC
from symbol_manager import tenure as tenure_module
from symbol_manager.tenure import ShardSettings
from unit.symbol_manager.bench import Bench
from unit.symbol_manager.factories import (
    RecordingStore,
    make_intent,
    make_slot,
    make_state,
    until,
    venue_id,
)

ENTRIES = {-1, -2, -3}
INTENTS = [make_intent(slot) for slot in sorted(ENTRIES)]
STALE_AFTER_MS = ShardSettings().stale_after_ms
COARSER = replace(BTC, tick_size=Decimal("0.25"))


@dataclass
class DecisionKeepingStore(RecordingStore):
    decided: list[Decision] = field(default_factory=list)

    async def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        self.decided.append(decision)
        return await super().commit_decision(decision, instrument)


@pytest.fixture
def store() -> DecisionKeepingStore:
    return DecisionKeepingStore()


@pytest.fixture
def bench(store: DecisionKeepingStore, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Three entries rest at 99.5 and nothing is to be done between 99 and 100."""
    monkeypatch.setattr(tenure_module, "IDLE_WAIT_S", 0.02)
    orders = [Order(intent=intent, state=Open(venue_id(intent))) for intent in INTENTS]
    bench = Bench(make_state(slots=map(make_slot, ENTRIES), orders=orders), store=store)
    bench.rest(*INTENTS)
    return bench


async def until_rounds(bench: Bench, count: int) -> None:
    await bench.until_round(len(bench.views) + count)


async def test_tenure_is_not_woken_by_a_quiet_quote(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenure_module, "IDLE_WAIT_S", 60)
    async with bench.serving():
        rounds = len(bench.views)
        assert bench.tick_quietly("99.6")
        assert bench.tick_quietly("99.7")
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(bench.views) == rounds
        bench.mailbox.wake()
        await bench.until_round(rounds + 1)
        assert bench.views[-1].book == BookTop(9_969, 9_971, bench.clock.ms)


async def test_tenure_stays_fresh_by_quiet_quotes_alone_and_halts_without_them(
    bench: Bench,
) -> None:
    async with bench.serving():
        for step in range(4):
            bench.clock.ms += STALE_AFTER_MS // 2
            assert bench.tick_quietly(f"99.{step + 3}")
            await until_rounds(bench, 2)
        assert {view.status for view in bench.views} == {Status.RUNNING}
        assert bench.entries() == ENTRIES

        bench.clock.ms += STALE_AFTER_MS + 1
        await until(lambda: bench.status[0] is Status.HALTED)
        assert bench.entries() == set()


async def test_tenure_without_a_fresh_price_is_woken_by_the_next_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.serving():
        bench.clock.ms += STALE_AFTER_MS + 1
        await until(lambda: bench.status[0] is Status.HALTED)
        await until_rounds(bench, 2)
        monkeypatch.setattr(tenure_module, "IDLE_WAIT_S", 60)
        await until_rounds(bench, 1)
        assert not bench.tick_quietly("99.5")
        await bench.round()
        assert bench.status[0] is Status.RUNNING
        assert bench.entries() == ENTRIES


async def test_tenure_decides_by_the_quote_that_left_the_quiet_band(
    bench: Bench, store: DecisionKeepingStore
) -> None:
    async with bench.serving():
        assert bench.tick_quietly("99.6")
        assert not bench.tick_quietly("101.5")
        await bench.round()
        assert store.decided[-1].book == BookTop(10_149, 10_151, bench.clock.ms)
        assert bench.entries() != ENTRIES


async def test_tenure_woken_by_anything_else_decides_by_the_quiet_quote_kept_last(
    bench: Bench, store: DecisionKeepingStore
) -> None:
    async with bench.serving():
        bench.clock.ms += 1
        assert bench.tick_quietly("99.6")
        assert bench.tick_quietly("99.7")
        bench.wish(Desired.PAUSED)
        await until(lambda: bool(store.decided))
        assert store.decided[-1].book == BookTop(9_969, 9_971, bench.clock.ms)


async def test_tenure_under_new_trading_rules_counts_in_their_ticks_at_once(bench: Bench) -> None:
    async with bench.serving():
        assert bench.tick_quietly("99.61")
        bench.mailbox.put_instrument(COARSER)
        assert await bench.until_ended() is False
        assert not bench.tick_quietly("99.61"), "nobody reads"
    bench.exchange.orders.clear()
    bench.state = make_state(instrument=COARSER)
    async with bench.serving():
        await until(lambda: bench.tick_quietly("99.5"))
        await until_rounds(bench, 1)
        assert bench.views[-1].book == BookTop(397, 399, bench.clock.ms)
        await until(lambda: bench.tick_quietly("99.5"))
        assert not bench.tick_quietly("99.61"), "it is between two ticks now"

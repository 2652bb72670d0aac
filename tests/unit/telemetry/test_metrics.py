from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.market import BookTop
from domain.orders import LIVE_STATUSES, OrderStatus
from orchestrator.dead_man import Armed
from ports.store import Status
from store.engine import create_engine
from symbol_manager.view import ShardView
from telemetry.metrics import Metrics


@dataclass
class FixedClock:
    now: int = 1_000_000
    boot: int = 5_000

    def now_ms(self) -> int:
        return self.now

    def boot_ms(self) -> int:
        return self.boot


@pytest.fixture
async def nowhere() -> AsyncIterator[AsyncEngine]:
    """An engine whose Postgres refuses connections."""
    engine = create_engine("postgresql://gridkeeper@127.0.0.1:1/gridkeeper")
    yield engine
    await engine.dispose()


def _view(symbol: str, book: BookTop | None) -> ShardView:
    return ShardView(
        symbol=symbol,
        epoch=3,
        status=Status.HALTED,
        reason="stale prices",
        book=book,
        live_orders={OrderStatus.OPEN: 9, OrderStatus.UNKNOWN: 1},
        parked_trades=2,
    )


def _samples(exposition: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
    }


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


async def test_metrics_of_a_shard_say_what_its_view_says(nowhere: AsyncEngine) -> None:
    clock = FixedClock()
    view = _view("BTC/USDT", BookTop(100, 101, exchange_ms=clock.now - 1_500))
    samples = _samples(await Metrics(lambda: {1: view}, nowhere, clock).scrape())
    btc = _labels(symbol="BTC/USDT")
    assert samples["gridkeeper_mid_price_age_seconds", btc] == 1.5
    assert samples["gridkeeper_parked_trades", btc] == 2
    assert samples["gridkeeper_shard_epoch", btc] == 3
    for status in Status:
        labels = _labels(symbol="BTC/USDT", status=status.value)
        assert samples["gridkeeper_symbol_status", labels] == (status is Status.HALTED)
    for live in LIVE_STATUSES:
        labels = _labels(symbol="BTC/USDT", status=live.value)
        assert samples["gridkeeper_live_orders", labels] == view.live_orders.get(live, 0)


async def test_metrics_say_what_is_armed_and_how_old_that_is(nowhere: AsyncEngine) -> None:
    clock = FixedClock()
    switches = {"BTC/USDT:USDT": Armed(clock.boot - 2_500, 250)}
    metrics = Metrics(dict, nowhere, clock, switches=lambda: switches)
    samples = _samples(await metrics.scrape())
    btc = _labels(symbol="BTC/USDT:USDT")
    assert samples["gridkeeper_dead_man_switch_seconds", btc] == 250
    assert samples["gridkeeper_dead_man_switch_age_seconds", btc] == 2.5


async def test_metrics_without_a_price_have_no_age(nowhere: AsyncEngine) -> None:
    metrics = Metrics(lambda: {1: _view("BTC/USDT", None)}, nowhere, FixedClock())
    names = {name for name, _ in _samples(await metrics.scrape())}
    assert "gridkeeper_mid_price_age_seconds" not in names
    assert "gridkeeper_shard_epoch" in names


async def test_metrics_without_postgres_still_tell_of_shards_and_process(
    nowhere: AsyncEngine,
) -> None:
    samples = _samples(await Metrics(dict, nowhere, FixedClock()).scrape())
    assert samples["process_resident_memory_bytes", frozenset()] > 0
    assert not any(name == "gridkeeper_totals_age_seconds" for name, _ in samples)


async def test_metrics_of_two_nodes_in_one_process_are_apart(nowhere: AsyncEngine) -> None:
    first = Metrics(lambda: {1: _view("BTC/USDT", None)}, nowhere, FixedClock())
    second = Metrics(lambda: {2: _view("ETH/USDT", None)}, nowhere, FixedClock())
    assert b"ETH/USDT" not in await first.scrape()
    assert b"BTC/USDT" not in await second.scrape()

"""When a node asks for the venue's trading rules, and whom it tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from domain.errors import TransientVenueError
from domain.instrument import Instrument
from orchestrator import trading_rules
from orchestrator.trading_rules import TradingRules
from support.fake_exchange import BTC, FakeExchange
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardSettings
from unit.symbol_manager.bench import Bench
from unit.symbol_manager.factories import SHARD, until

CHANGED = replace(BTC, tick_size=Decimal("0.1"))
HOUR_S = 3_600.0


@dataclass
class ChangingExchange(FakeExchange):
    loads: int = 0
    is_away: bool = False

    async def load_instruments(self) -> Mapping[str, Instrument]:
        self.loads += 1
        if self.is_away:
            raise TransientVenueError("no answer")
        return await super().load_instruments()


def shard_of(symbol: str) -> Shard:
    bench = Bench()
    return Shard(
        shard=SHARD,
        symbol=symbol,
        workflow_id="run_shard:sim-BTC-USDT:3",
        mailbox=bench.mailbox,
        ports=bench.ports(),
        settings=ShardSettings(),
    )


@asynccontextmanager
async def kept(rules: TradingRules) -> AsyncIterator[None]:
    keeping = asyncio.create_task(rules.keep())
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trading_rules, "LEAST_EVERY_S", 0.01)


async def test_rules_are_told_to_the_shards_of_their_symbols() -> None:
    exchange = ChangingExchange(instrument=CHANGED)
    ours, unlisted = shard_of("BTC/USDT"), shard_of("GONE/USDT")
    async with kept(TradingRules(exchange, HOUR_S, lambda: [unlisted, ours])):
        await until(lambda: ours.mailbox.latest_instrument == CHANGED)
    assert ours.mailbox.take().instrument == CHANGED
    assert ours.mailbox.take().instrument is None
    assert unlisted.mailbox.latest_instrument is None


def loaded(exchange: ChangingExchange, times: int) -> Callable[[], bool]:
    return lambda: exchange.loads == times


async def test_rules_are_asked_for_again_after_a_while() -> None:
    exchange = ChangingExchange()
    async with kept(TradingRules(exchange, 0.02, list)):
        await until(loaded(exchange, 3))


async def test_rules_are_asked_for_soon_after_a_doubt_and_not_twice() -> None:
    exchange = ChangingExchange()
    rules = TradingRules(exchange, HOUR_S, list)
    async with kept(rules):
        await until(loaded(exchange, 1))
        rules.doubt()
        rules.doubt()
        await until(loaded(exchange, 2))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await until(loaded(exchange, 3))


async def test_rules_are_asked_for_again_when_the_exchange_did_not_answer() -> None:
    exchange = ChangingExchange(instrument=CHANGED, is_away=True)
    shard = shard_of("BTC/USDT")
    async with kept(TradingRules(exchange, HOUR_S, lambda: [shard])):
        await until(loaded(exchange, 1))
        exchange.is_away = False
        await until(lambda: shard.mailbox.latest_instrument == CHANGED)

"""Whether a node reaches the exchange: by the account's stream, and by prices that are fresh."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

import pytest

from domain.market import Quote
from orchestrator.reach import Reach
from ports.exchange import StreamLost, StreamRestored
from ports.store import Desired
from symbol_manager.freshness import Freshness
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.shard import Shard
from unit.symbol_manager.factories import FakeClock

STALE_AFTER_MS = 5_000
FORGOTTEN_S = 60.0


@dataclass
class Runner:
    clock: FakeClock
    mailbox: Mailbox = field(default_factory=lambda: Mailbox(Wishes(Desired.RUNNING, False)))

    def __post_init__(self) -> None:
        self.freshness = Freshness(
            self.mailbox, self.clock, stale_after_ms=STALE_AFTER_MS, clock_skew_ms=0
        )


@dataclass
class Bench:
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.runners = [Runner(self.clock), Runner(self.clock)]
        self.reach = Reach(
            self.clock, FORGOTTEN_S, lambda: [cast(Shard, runner) for runner in self.runners]
        )

    def quote(self, number: int) -> None:
        price = Decimal(100)
        quote = Quote(symbol="BTC/USDT", bid=price, ask=price, exchange_ms=self.clock.ms)
        self.runners[number].mailbox.put_quote(quote)

    def is_given(self, wait_ms: int = 0) -> bool:
        self.clock.ms += wait_ms
        return self.reach.is_given()


@pytest.fixture
def bench() -> Bench:
    """Its account's stream is up, and each of its two symbols has just got a price."""
    bench = Bench()
    bench.reach.note(StreamRestored())
    bench.quote(0)
    bench.quote(1)
    return bench


def test_reach_before_the_stream_is_up_is_not_given() -> None:
    assert not Bench().is_given()


def test_reach_follows_the_stream(bench: Bench) -> None:
    assert bench.is_given()
    bench.reach.note(StreamLost("cut"))
    assert not bench.is_given()
    bench.reach.note(StreamRestored())
    assert bench.is_given()


def test_reach_is_given_while_the_price_of_any_symbol_is_fresh(bench: Bench) -> None:
    assert bench.is_given(STALE_AFTER_MS)
    bench.quote(1)
    assert bench.is_given(STALE_AFTER_MS)
    assert not bench.is_given(1)


def test_reach_without_symbols_forgets_that_their_prices_were_stale(bench: Bench) -> None:
    """Else the node would get none for ever, and could never hear of fresh ones."""
    assert not bench.is_given(STALE_AFTER_MS + 1)
    bench.runners.clear()
    assert not bench.is_given(int(FORGOTTEN_S * 1000))
    assert bench.is_given(1)

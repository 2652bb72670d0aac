"""A dead-man switch is fed after heartbeats that Postgres took, and while the lease holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import pytest
from structlog.testing import capture_logs

from domain.errors import OrderRejected, OutcomeUnknown, TransientVenueError, VenueError
from domain.instrument import MarketKind
from exchanges.venues import VENUES
from orchestrator.dead_man import Armed, Feeder
from orchestrator.membership import Membership
from orchestrator.settings import AccountSettings, Settings
from ports.exchange import SendGuard
from support.system import eventually
from symbol_manager.lease import Lease
from unit.symbol_manager.factories import FakeClock

LEASE_MS = 5_000
WANTED_S = 60
BTC, ETH, SOL = "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"


@dataclass
class Switch:
    """A venue's switch; keeps what it was set to, unless the venue is away."""

    countdown_of_many_s: int = 0
    #: What each symbol is answered instead.
    failures: dict[str, VenueError] = field(default_factory=dict)
    is_away: bool = False
    is_silent: bool = False
    sets: list[tuple[str, int]] = field(default_factory=list)

    def countdown_s(self, wanted_s: int, symbols: int) -> int:
        return max(wanted_s, self.countdown_of_many_s)

    async def set_dead_man_switch(self, symbol: str, countdown_s: int, guard: SendGuard) -> None:
        if self.is_away:
            raise TransientVenueError("away")
        if symbol in self.failures:
            raise self.failures[symbol]
        if self.is_silent:
            await asyncio.Event().wait()
        guard()
        self.sets.append((symbol, countdown_s))

    def take(self) -> list[tuple[str, int]]:
        taken, self.sets = self.sets, []
        return taken


class Heart:
    """Stands in for `Membership`: beats when it is told to."""

    def __init__(self) -> None:
        self.beats: asyncio.Queue[None] = asyncio.Queue()

    async def next_beat(self) -> None:
        await self.beats.get()


@dataclass
class Node:
    clock: FakeClock
    lease: Lease
    switch: Switch
    heart: Heart
    feeder: Feeder
    symbols: list[str] = field(default_factory=lambda: [BTC, ETH])

    async def feed(self) -> list[tuple[str, int]]:
        """What a heartbeat leads to."""
        await self.feeder.feed(lambda: self.symbols)
        return self.switch.take()

    def wait(self, seconds: float) -> None:
        self.clock.ms += int(seconds * 1_000)
        self.lease.renew(self.clock.ms)


async def always() -> bool:
    return True


def node_that_wants(wanted_s: int) -> Node:
    clock, switch, heart = FakeClock(), Switch(), Heart()
    lease = Lease(clock, LEASE_MS)
    lease.renew(clock.ms)
    feeder = Feeder(switch, cast(Membership, heart), clock, lease, wanted_s)
    return Node(clock, lease, switch, heart, feeder)


@pytest.fixture
def node() -> Node:
    return node_that_wants(WANTED_S)


@pytest.fixture
async def keeping(node: Node) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(node.feeder.keep(lambda: node.symbols))
    yield task
    task.cancel()


async def test_feeder_without_heartbeat_feeds_nothing(
    node: Node, keeping: asyncio.Task[None]
) -> None:
    async def feeds_both() -> bool:
        return len(node.switch.sets) == 2

    node.wait(3_600)
    await asyncio.sleep(0)
    assert not keeping.done()
    assert node.switch.sets == []
    node.heart.beats.put_nowait(None)
    await eventually(feeds_both, "both are fed", 5)


async def test_feeder_that_is_switched_off_ends_and_feeds_nothing() -> None:
    node = node_that_wants(0)
    node.heart.beats.put_nowait(None)
    await node.feeder.keep(lambda: node.symbols)
    assert node.switch.sets == []


async def test_symbol_is_fed_again_after_half_of_its_countdown(node: Node) -> None:
    assert await node.feed() == [(BTC, 60), (ETH, 60)]
    node.wait(29.9)
    assert await node.feed() == []
    node.wait(0.1)
    assert await node.feed() == [(BTC, 60), (ETH, 60)]
    now_ms = node.clock.boot_ms()
    assert node.feeder.armed == {BTC: Armed(now_ms, 60), ETH: Armed(now_ms, 60)}


async def test_symbols_are_fed_more_seldom_where_they_are_many(node: Node) -> None:
    node.switch.countdown_of_many_s = 500
    assert await node.feed() == [(BTC, 500), (ETH, 500)]
    node.wait(249)
    assert await node.feed() == []


async def test_switches_armed_for_few_are_fed_in_time_where_many_join(node: Node) -> None:
    await node.feed()
    node.symbols.append(SOL)
    node.switch.countdown_of_many_s = 250
    assert await node.feed() == [(SOL, 250)]
    node.wait(30)
    assert await node.feed() == [(BTC, 250), (ETH, 250)]
    node.wait(95)
    assert await node.feed() == [(SOL, 250)]


async def test_symbol_whose_arming_is_refused_starves_no_other(node: Node) -> None:
    node.switch.failures[BTC] = OrderRejected("no such symbol", reason="other")
    assert await node.feed() == [(ETH, 60)]
    node.wait(30)
    assert await node.feed() == [(ETH, 60)]
    assert set(node.feeder.armed) == {ETH}


async def test_symbol_that_is_refused_is_tried_at_its_own_pace_and_logged_once_a_change(
    node: Node,
) -> None:
    node.switch.failures[BTC] = OrderRejected("no such symbol", reason="other")
    with capture_logs() as logs:
        for _ in range(3):
            await node.feed()
            node.wait(15)
        node.switch.failures.clear()
        node.wait(-0.1)
        assert (BTC, 60) not in await node.feed()
        node.wait(0.1)
        assert (BTC, 60) in await node.feed()
    told = [log["event"] for log in logs if log["symbol"] == BTC]
    assert told == ["dead_man_switch_refused", "dead_man_switch_armed"]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(TransientVenueError("busy"), id="transient"),
        pytest.param(OutcomeUnknown("no answer"), id="no answer"),
    ],
)
async def test_symbol_that_fails_as_if_the_venue_were_away_goes_behind_the_others(
    node: Node, failure: VenueError
) -> None:
    node.switch.failures[BTC] = failure
    assert await node.feed() == []
    node.wait(1)
    assert await node.feed() == [(ETH, 60)]
    node.wait(1)
    node.switch.failures.clear()
    assert await node.feed() == [(BTC, 60)]


async def test_feeder_whose_lease_ran_out_sends_nothing(node: Node) -> None:
    node.clock.ms += LEASE_MS
    assert await node.feed() == []
    assert node.feeder.armed == {}
    node.wait(0)
    assert sorted(await node.feed()) == [(BTC, 60), (ETH, 60)]


async def test_feed_that_failed_is_tried_again_after_the_next_heartbeat(node: Node) -> None:
    node.switch.is_away = True
    assert await node.feed() == []
    node.switch.is_away = False
    assert sorted(await node.feed()) == [(BTC, 60), (ETH, 60)]


async def test_symbol_that_was_removed_is_disarmed_once(node: Node) -> None:
    await node.feed()
    node.symbols.remove(BTC)
    await node.feeder.disarm(BTC, always)
    await node.feeder.disarm(BTC, always)
    assert node.switch.take() == [(BTC, 0)]


async def test_symbol_that_went_to_another_node_is_neither_fed_nor_disarmed(node: Node) -> None:
    await node.feed()
    node.symbols.remove(BTC)
    node.wait(30)
    assert await node.feed() == [(ETH, 60)]
    await node.feeder.disarm(BTC, always)
    assert node.switch.take() == []


async def test_switch_that_is_another_owners_by_its_turn_is_left_alone(node: Node) -> None:
    async def never() -> bool:
        return False

    await node.feed()
    await node.feeder.disarm(BTC, never)
    assert node.switch.take() == []


async def test_node_whose_lease_ran_out_disarms_nothing(node: Node) -> None:
    await node.feed()
    node.clock.ms += LEASE_MS
    await node.feeder.disarm(BTC, always)
    assert node.switch.take() == []


async def test_feeder_that_is_closed_disarms_and_feeds_no_more(node: Node) -> None:
    await node.feed()
    node.feeder.close()
    await node.feeder.disarm(BTC, always)
    assert node.switch.take() == [(BTC, 0)]
    node.wait(60)
    assert await node.feed() == []


async def test_disarming_does_not_wait_for_a_venue_that_is_silent(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.feed()
    node.switch.is_silent = True
    monkeypatch.setattr("orchestrator.dead_man.DISARM_WAIT_S", 0.01)
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            await node.feeder.disarm(BTC, always)
    assert [(log["event"], log["symbol"]) for log in logs] == [("dead_man_switch_left_armed", BTC)]


@pytest.mark.parametrize(
    ("name", "symbols", "countdown_s"),
    [
        pytest.param("binance-linear", 1, 60, id="as-wanted"),
        pytest.param("binance-linear", 12, 60, id="a-dozen"),
        pytest.param("binance-linear", 100, 500, id="stretched"),
        pytest.param("binance-linear", 100_000, 86_400, id="as-long-as-the-venue-takes"),
        pytest.param("binance", 1, 0, id="no-switch"),
        pytest.param("okx", 1, 0, id="one-for-the-whole-account"),
    ],
)
def test_countdown_is_longer_for_many_symbols(name: str, symbols: int, countdown_s: int) -> None:
    assert VENUES[name].countdown_s(WANTED_S, symbols) == countdown_s
    assert VENUES[name].countdown_s(0, symbols) == 0


def test_countdown_shown_knows_what_the_account_may_use() -> None:
    account = AccountSettings(market=MarketKind.LINEAR, limits_percent=50)
    settings = Settings(account=account)
    assert settings.countdown_s(symbols=50) == 500
    assert Settings(account=AccountSettings()).countdown_s(symbols=50) == 0

"""A change survives a database or an exchange that is away for a while, and is done once."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import RequestGivenUp, StoreUnavailable, TransientVenueError
from domain.market import Quote
from integration.store.factories import add_symbol, ask, execute, new_symbol, rows_of, select, value
from orchestrator import changes as changes_module
from orchestrator.changes import Changes, Verb
from orchestrator.workflows import Document
from store import engine as engine_module
from store import kill_switch as kill_switch_module
from store import registry as registry_module
from store.engine import transaction
from store.kill_switch import KillSwitch
from store.registry import Registry
from support.fake_exchange import FakeExchange
from unit.symbol_manager.factories import PassedFailpoints, make_spec

SYMBOL = "BTC/USDT"
TARGET: Document = {"account": "sim", "symbol": SYMBOL, "reason": "test"}
ADD: Document = TARGET | {"verb": Verb.ADD.value, "spec": make_spec().model_dump(mode="json")}


@dataclass
class FlakyExchange(FakeExchange):
    """Has a price; does not tell its balances so many times, and may trade without a pause."""

    refusals: int = 0
    is_busy: bool = False

    def __post_init__(self) -> None:
        self.set_price("99.49", "99.51", 0)
        self._last = itertools.count()

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        if self.refusals:
            self.refusals -= 1
            raise TransientVenueError("too many requests")
        return await super().fetch_balances()

    async def fetch_quote(self, symbol: str) -> Quote:
        self._ask("fetch_quote")
        return await super().fetch_quote(symbol)

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        return str(next(self._last)) if self.is_busy else await super().fetch_last_trade_id(symbol)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_RETRY_S", 0.0)
    monkeypatch.setattr(changes_module, "POLL_S", 0.0)
    monkeypatch.setattr(changes_module, "VENUE_RETRY_S", 0.0)


@pytest.fixture
def exchange() -> FlakyExchange:
    return FlakyExchange()


@pytest.fixture
def changes(clean_engine: AsyncEngine, exchange: FlakyExchange) -> Changes:
    return Changes(Registry(clean_engine), KillSwitch(clean_engine), exchange, PassedFailpoints())


@dataclass
class Outages:
    """While they last every other transaction of the registry fails."""

    is_after_commit: bool
    last: bool = False
    seen: int = 0
    _turns: Iterator[bool] = field(default_factory=lambda: itertools.cycle([True, False]))

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        fails = self.last and next(self._turns)
        self.seen += fails
        if fails and not self.is_after_commit:
            raise StoreUnavailable("before the commit")
        async with transaction(engine) as connection:
            yield connection
        if fails:
            raise StoreUnavailable("after the commit")


@pytest.fixture(params=[False, True], ids=["before the commit", "after the commit"])
def outages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Outages:
    outages = Outages(request.param)
    for module in (registry_module, kill_switch_module):
        monkeypatch.setattr(module, "transaction", outages.transaction)
    return outages


async def run(changes: Changes, change: Document, workflow_id: str) -> Document:
    """As the workflow does it."""
    prepared = await changes.prepare(change)
    assert prepared["outcome"] == "prepared", prepared
    recorded = await changes.record(change, prepared, workflow_id)
    assert recorded["outcome"] == "recorded", recorded
    return await changes.converge(change, recorded)


@pytest.mark.parametrize("closes", [False, True])
async def test_removal_that_its_process_did_not_outlive_is_done_though_the_symbol_is_gone(
    clean_engine: AsyncEngine, changes: Changes, *, closes: bool
) -> None:
    """Another removal is refused: what it asks for was asked for before, and is so."""
    await add_symbol(clean_engine)
    change = TARGET | {"verb": Verb.REMOVE.value, "close": closes}
    first, second = [await ask(clean_engine, f"remove:{n}", ago_ms=-n) for n in (0, 5)]
    recorded = await changes.record(change, {"outcome": "prepared"}, first)
    await execute(clean_engine, "UPDATE shards SET status = 'removed'")

    assert await changes.record(change, {"outcome": "prepared"}, first) == recorded
    assert (await changes.converge(change, recorded))["outcome"] == "done"
    refused = await changes.record(change, {"outcome": "prepared"}, second)
    assert refused["outcome"] == "refused"
    assert "is not on account" in refused["reason"]


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        pytest.param(Verb.PAUSE, "paused", id="pause"),
        pytest.param(Verb.PAUSE, "closing", id="pause while a stop closes it"),
        pytest.param(Verb.RESUME, "running", id="resume"),
        pytest.param(Verb.REMOVE, "removed", id="remove"),
        pytest.param(Verb.KILL, "stopped", id="kill"),
        pytest.param(Verb.REARM, "running", id="rearm"),
    ],
)
async def test_change_is_done_though_every_other_transaction_fails(
    clean_engine: AsyncEngine, changes: Changes, outages: Outages, verb: Verb, status: str
) -> None:
    await add_symbol(clean_engine)
    workflow_id = await ask(clean_engine, f"{verb}:1")
    change = TARGET | {"verb": verb.value}
    outages.last = True
    recorded = await changes.record(change, {"outcome": "prepared"}, workflow_id)
    # What the shard does meanwhile.
    await execute(clean_engine, "UPDATE shards SET status = :status", status=status)
    assert (await changes.converge(change, recorded))["outcome"] == "done"
    assert outages.seen


async def test_add_is_done_once_though_every_other_transaction_fails(
    clean_engine: AsyncEngine, changes: Changes, outages: Outages
) -> None:
    add = await ask(clean_engine, "add:1")
    outages.last = True
    prepared = await changes.prepare(ADD)
    recorded = await changes.record(ADD, prepared, add)
    assert await changes.record(ADD, prepared, add) == recorded
    await execute(clean_engine, "UPDATE shards SET status = 'running'")
    assert (await changes.converge(ADD, recorded))["outcome"] == "done"
    assert await rows_of(clean_engine, "shards", "instruments") == {"shards": 1, "instruments": 1}
    assert outages.seen


@pytest.mark.parametrize(
    ("trigger", "stage", "above"),
    [
        pytest.param(None, "running", False, id="at once"),
        pytest.param("101", "waiting", True, id="rises to its trigger"),
        pytest.param("98", "waiting", False, id="falls to its trigger"),
    ],
)
async def test_add_records_where_the_grid_starts_and_its_first_ladder(
    clean_engine: AsyncEngine, changes: Changes, trigger: str | None, stage: str, above: bool
) -> None:
    """The window has no anchor of its own: level 0 is where the grid starts."""
    start = Decimal(trigger or "99.49")
    window = {"kind": "window", "buy_window": 3, "sell_window": 3}
    spec = make_spec(range=window, trigger_price=trigger).model_dump(mode="json")
    add = ADD | {"spec": spec}
    workflow_id = await ask(clean_engine, "add:1")
    prepared = await changes.prepare(add)
    recorded = await changes.record(add, prepared, workflow_id)
    assert "anchor" not in recorded

    (row,) = await select(clean_engine, "SELECT start_price, phase, ladder_version FROM shards")
    assert (row.start_price, row.ladder_version) == (start, 0)
    assert row.phase == {"stage": stage, "reason": "", "trigger_above": above, "shift": 0}
    (ladder,) = await select(clean_engine, "SELECT * FROM ladders")
    assert (ladder.version, ladder.anchor) == (0, start)
    assert ladder.spacing == {"kind": "arithmetic", "step": "1"}

    await execute(clean_engine, "UPDATE shards SET status = :status", status=stage)
    assert (await changes.converge(add, recorded))["outcome"] == "done"


async def test_add_of_what_is_there_already_is_refused_before_the_exchange_is_asked(
    clean_engine: AsyncEngine, changes: Changes, exchange: FlakyExchange
) -> None:
    await add_symbol(clean_engine)
    refused = await changes.prepare(ADD)
    assert refused["outcome"] == "refused"
    assert "already: remove it first" in refused["reason"]
    assert exchange.asked == []


async def test_add_of_what_the_exchange_does_not_list_is_refused(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    refused = await changes.prepare(ADD | {"symbol": "NOPE/USDT"})
    assert refused["outcome"] == "refused"
    assert "NOPE/USDT" in refused["reason"]
    assert await select(clean_engine, "SELECT FROM shards") == []


async def test_add_waits_for_an_exchange_that_answers_in_the_end(
    changes: Changes, exchange: FlakyExchange
) -> None:
    exchange.refusals = 3
    assert (await changes.prepare(ADD))["outcome"] == "prepared"
    assert exchange.refusals == 0


async def test_add_is_refused_when_the_exchange_exhausts_its_patience(
    changes: Changes, exchange: FlakyExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "VENUE_PATIENCE_S", 0.05)
    exchange.failing = {"fetch_quote"}
    assert await changes.prepare(ADD) == {
        "outcome": "refused",
        "reason": "fetch_quote: no answer",
    }
    assert exchange.asked.count("fetch_quote") > 1


async def test_add_is_refused_when_the_account_never_stands_still(
    changes: Changes, exchange: FlakyExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "VENUE_PATIENCE_S", 0.0)
    exchange.is_busy = True
    refused = await changes.prepare(ADD)
    assert refused["outcome"] == "refused"
    assert "trades without a pause" in refused["reason"]


async def test_rearm_overtaken_by_a_kill_is_refused(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    switch = KillSwitch(clean_engine)
    await switch.engage(reason="test", request_id="kill:1")
    rearm = await ask(clean_engine, "rearm:1", ago_ms=1_000)
    await switch.engage(reason="again", request_id="kill:2")
    result = await run(changes, TARGET | {"verb": Verb.REARM.value}, rearm)
    assert result["outcome"] == "refused"
    assert "thrown again" in result["reason"]
    assert await switch.is_engaged()


async def test_rearm_newer_than_the_kill_is_done(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    switch = KillSwitch(clean_engine)
    await switch.engage(reason="test", request_id="kill:1")
    rearm = await ask(clean_engine, "rearm:1")
    result = await run(changes, TARGET | {"verb": Verb.REARM.value}, rearm)
    assert result["outcome"] == "done"
    assert not await switch.is_engaged()


async def test_kill_recorded_again_does_not_undo_a_later_rearm(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    switch = KillSwitch(clean_engine)
    await switch.engage(reason="test", request_id="kill:1")
    await switch.rearm(reason="over", workflow_id=await ask(clean_engine, "rearm:1"))
    kill = await ask(clean_engine, "kill:1")
    assert (await run(changes, TARGET | {"verb": Verb.KILL.value}, kill))["outcome"] == "done"
    assert not await switch.is_engaged()


async def test_pause_of_a_symbol_that_is_not_there_is_refused(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    change = TARGET | {"verb": Verb.PAUSE.value}
    pause = await ask(clean_engine, "pause:1")
    refused = await changes.record(change, {"outcome": "prepared"}, pause)
    assert refused["outcome"] == "refused"
    assert SYMBOL in refused["reason"]
    assert await value(clean_engine, "SELECT count(*) FROM shards") == 0


@pytest.mark.parametrize(
    ("verb", "is_recorded", "standing"),
    [
        pytest.param(
            Verb.PAUSE,
            False,
            "nothing of it was written down: BTC/USDT is starting, wanted running",
            id="pause not recorded",
        ),
        pytest.param(
            Verb.PAUSE,
            True,
            "it was written down and stands: BTC/USDT is starting, wanted paused",
            id="pause recorded",
        ),
        pytest.param(
            Verb.REMOVE,
            True,
            "it was written down and stands: BTC/USDT is starting, wanted removed",
            id="remove recorded",
        ),
        pytest.param(Verb.RECONCILE, True, "BTC/USDT is starting, wanted running", id="reconcile"),
    ],
)
async def test_request_given_up_tells_how_it_left_its_symbol(
    clean_engine: AsyncEngine, changes: Changes, verb: Verb, is_recorded: bool, standing: str
) -> None:
    add = new_symbol()
    await ask(clean_engine, add.requested_by, ago_ms=1_000)
    await add_symbol(clean_engine, add)
    change = TARGET | {"verb": verb.value}
    workflow_id = await ask(clean_engine, f"{verb}:1")
    if is_recorded:
        await changes.record(change, {"outcome": "prepared"}, workflow_id)
    with pytest.raises(RequestGivenUp) as given_up:
        await changes.give_up(change, workflow_id, 5)
    assert str(given_up.value).startswith(
        f"given up after 5 starts, each of which ended with its process: {standing}, with version 1"
    )


async def test_add_given_up_tells_whether_it_added_its_symbol(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    add = await ask(clean_engine, "add:1")
    with pytest.raises(RequestGivenUp, match="and BTC/USDT was never added"):
        await changes.give_up(ADD, add, 5)
    await changes.record(ADD, await changes.prepare(ADD), add)
    with pytest.raises(RequestGivenUp, match="it was written down and stands: BTC/USDT is"):
        await changes.give_up(ADD, add, 5)


async def test_rearm_given_up_tells_whether_trading_is_still_forbidden(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    await KillSwitch(clean_engine).engage(reason="test", request_id="kill:1")
    with pytest.raises(RequestGivenUp, match="the kill switch is engaged"):
        await changes.give_up({"verb": Verb.REARM.value, "reason": "test"}, "rearm:1", 5)


async def test_change_left_after_it_was_recorded_goes_on_by_itself(changes: Changes) -> None:
    left = await changes.leave({"outcome": "recorded", "shard": 1}, 5)
    assert (left["outcome"], left["shard"]) == ("pending", 1)
    assert "after 5 starts" in left["reason"]

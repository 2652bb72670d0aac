"""A perpetual that is added takes over the whole position of its symbol, or there is none."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.contracts import Income, IncomeKind, Position
from domain.errors import TransientVenueError
from domain.instrument import MarketKind
from integration.store.factories import ask, execute, select, value
from orchestrator import opening
from orchestrator.changes import Changes, Verb
from orchestrator.opening import read_opening
from orchestrator.workflows import Document
from ports.store import Held
from store.kill_switch import KillSwitch
from store.registry import Registry
from store.repository import Repository
from support.fake_exchange import FakeExchange
from unit.symbol_manager.factories import BTC, PassedFailpoints, make_spec

SYMBOL = "BTC/USDT:USDT"
LINEAR = replace(BTC, symbol=SYMBOL, kind=MarketKind.LINEAR)


@pytest.fixture
def exchange() -> FakeExchange:
    exchange = FakeExchange(instrument=LINEAR)
    exchange.set_price("99.49", "99.51", 0)
    return exchange


@pytest.fixture
def changes(clean_engine: AsyncEngine, exchange: FakeExchange) -> Changes:
    return Changes(Registry(clean_engine), KillSwitch(clean_engine), exchange, PassedFailpoints())


def hold(exchange: FakeExchange, quantity: str) -> None:
    exchange.position = Position(quantity=Decimal(quantity))


async def add(
    engine: AsyncEngine, changes: Changes, request: str, mode: str = "neutral", **asked: object
) -> Document:
    spec = make_spec(mode=mode).model_dump(mode="json")
    change: Document = {
        "verb": Verb.ADD.value,
        "account": "sim",
        "symbol": SYMBOL,
        "spec": spec,
    } | asked
    workflow_id = await ask(engine, request)
    prepared = await changes.prepare(change)
    if prepared["outcome"] == "refused":
        return prepared
    return await changes.record(change, prepared, workflow_id)


@pytest.mark.parametrize(
    ("position", "slots"),
    [
        pytest.param("0.25", {0: "0.1", 1: "0.1", 2: "0.05"}, id="long, above the price"),
        pytest.param("-0.16", {-2: "-0.1", -3: "-0.06"}, id="short, below the price"),
    ],
)
async def test_position_becomes_slots_of_its_sign(
    clean_engine: AsyncEngine,
    changes: Changes,
    exchange: FakeExchange,
    position: str,
    slots: dict[int, str],
) -> None:
    hold(exchange, position)
    mode = "long" if Decimal(position) > 0 else "short"
    added = await add(clean_engine, changes, "add:1", mode, adopt={"quantity": None})
    assert added["outcome"] == "recorded", added
    rows = await select(clean_engine, "SELECT slot, inventory FROM slots")
    assert {row.slot: row.inventory for row in rows} == {
        slot: Decimal(inventory) for slot, inventory in slots.items()
    }
    held = await Repository(clean_engine, "any").held_position("sim", SYMBOL)
    assert held == Held(slots=Decimal(position), others=Decimal(0))


@pytest.mark.parametrize(
    ("position", "asked", "said"),
    [
        pytest.param("0.1", {}, "must have no position", id="not to be adopted"),
        pytest.param("0.1", {"adopt": {"quantity": "0.05"}}, "the whole position", id="a part"),
        pytest.param("0", {"adopt": {"quantity": None}}, "the whole position", id="none there"),
        pytest.param("0.1005", {"adopt": {"quantity": None}}, "they take 0.1", id="no room"),
        pytest.param("-0.1", {"adopt": {"quantity": None}}, "short slot below", id="other sign"),
    ],
)
async def test_position_that_cannot_be_taken_over_whole_is_refused(
    clean_engine: AsyncEngine,
    changes: Changes,
    exchange: FakeExchange,
    position: str,
    asked: dict[str, object],
    said: str,
) -> None:
    hold(exchange, position)
    refused = await add(clean_engine, changes, "add:1", "long", **asked)
    assert refused["outcome"] == "refused"
    assert said in refused["reason"]
    assert "prepare_symbol" not in exchange.asked
    assert await value(clean_engine, "SELECT count(*) FROM shards") == 0


async def test_position_that_a_removed_grid_left_is_adopted_by_the_next(
    clean_engine: AsyncEngine, changes: Changes, exchange: FakeExchange
) -> None:
    store = Repository(clean_engine, "any")
    hold(exchange, "0.1")
    await add(clean_engine, changes, "add:1", "long", adopt={"quantity": None})
    await execute(clean_engine, "UPDATE shards SET status = 'removed', desired = 'removed'")
    assert await store.held_position("sim", SYMBOL) == Held(Decimal(0), Decimal("0.1"))

    await add(clean_engine, changes, "add:2", "long", adopt={"quantity": None})
    assert await store.held_position("sim", SYMBOL) == Held(Decimal("0.1"), Decimal(0))
    found = await select(clean_engine, "SELECT found_position FROM shards ORDER BY shard")
    assert [row.found_position for row in found] == [Decimal("0.1"), 0]


async def test_leverage_multiplies_what_the_wallet_covers(
    clean_engine: AsyncEngine, changes: Changes, exchange: FakeExchange
) -> None:
    exchange.balances["USDT"] = make_spec().budget_quote / 2
    refused = await add(clean_engine, changes, "add:1")
    assert "budget_quote" in refused["reason"]

    exchange.leverage = 2
    recorded = await add(clean_engine, changes, "add:2")
    assert recorded["outcome"] == "recorded"
    assert await value(clean_engine, "SELECT leverage FROM shards") == 2


async def test_wallet_that_is_just_moving_is_looked_at_later(exchange: FakeExchange) -> None:
    now_ms = 1_000_000
    exchange.set_price("99.49", "99.51", now_ms)
    exchange.income = [
        Income(
            kind=IncomeKind.FUNDING,
            transaction_id="1",
            symbol=SYMBOL,
            asset="USDT",
            amount=Decimal(1),
            booked_ms=now_ms - opening.QUIET_MS,
        )
    ]
    with pytest.raises(TransientVenueError, match="just moving"):
        await read_opening(exchange, LINEAR)
    exchange.set_price("99.49", "99.51", now_ms + 1)
    assert (await read_opening(exchange, LINEAR)).income_ms == now_ms + 1

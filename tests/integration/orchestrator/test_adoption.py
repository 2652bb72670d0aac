"""A symbol that is added takes over base that the account holds, and sells it up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import Side, VenueOrderId
from domain.orders import Trade
from integration.store.factories import ask, execute, select, value
from orchestrator.changes import Changes, Verb
from orchestrator.workflows import Document
from store.kill_switch import KillSwitch
from store.registry import Registry
from store.repository import Repository
from support.fake_exchange import FakeExchange
from unit.symbol_manager.factories import PassedFailpoints, make_spec

#: Its exits are at 101, 102 and 103; each slot holds 0.1 BTC.
SPEC = make_spec().model_dump(mode="json")
ADD: Document = {"verb": Verb.ADD.value, "account": "sim", "symbol": "BTC/USDT", "spec": SPEC}


@pytest.fixture
def exchange() -> FakeExchange:
    exchange = FakeExchange()
    exchange.set_price("99.49", "99.51", 0)
    exchange.balances["BTC"] = Decimal("0.25")
    exchange.trades = [bought("1", "90", "0.1"), bought("2", "95", "0.1")]
    return exchange


@pytest.fixture
def changes(clean_engine: AsyncEngine, exchange: FakeExchange) -> Changes:
    return Changes(Registry(clean_engine), KillSwitch(clean_engine), exchange, PassedFailpoints())


def bought(trade_id: str, price: str, quantity: str) -> Trade:
    return Trade(
        symbol="BTC/USDT",
        trade_id=trade_id,
        venue_order_id=VenueOrderId(f"v{trade_id}"),
        side=Side.BUY,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(0),
        fee_asset="USDT",
        is_maker=False,
        traded_ms=0,
    )


async def add(engine: AsyncEngine, changes: Changes, request: str, **asked: object) -> Document:
    workflow_id = await ask(engine, request)
    change = ADD | asked
    prepared = await changes.prepare(change)
    if prepared["outcome"] == "refused":
        return prepared
    recorded = await changes.record(change, prepared, workflow_id)
    assert await changes.record(change, prepared, workflow_id) == recorded
    return recorded


async def test_add_records_slots_and_adoptions_in_one_transaction(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    """0.2 of it cost what its trades say; 0.05 counts at the price now."""
    recorded = await add(clean_engine, changes, "add:1", adopt={"quantity": None})
    adoption = recorded["adoption"]
    assert Decimal(adoption["quantity"]) == Decimal("0.25")
    assert Decimal(adoption["cost"]) == Decimal("9.5") + 9 + Decimal("4.9745")
    assert adoption["cost_from"] == "own trades and the price now"
    assert Decimal(adoption["left_over"]) == 0

    slots = await select(clean_engine, "SELECT slot, inventory, cost FROM slots ORDER BY slot")
    assert [(row.slot, row.inventory) for row in slots] == [
        (0, Decimal("0.1")),
        (1, Decimal("0.1")),
        (2, Decimal("0.05")),
    ]
    assert sum(row.cost for row in slots) == Decimal(adoption["cost"])
    adopted = await select(clean_engine, "SELECT slot, quantity, cost FROM adoptions ORDER BY slot")
    assert [tuple(row) for row in adopted] == [tuple(row) for row in slots]
    held = await Repository(clean_engine, "any").held_inventory("sim", "BTC")
    assert held == Decimal("0.25")


async def test_add_adopts_only_what_was_asked_for(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    recorded = await add(clean_engine, changes, "add:1", adopt={"quantity": "0.1"})
    assert recorded["adoption"]["cost_from"] == "own trades"
    assert await value(clean_engine, "SELECT sum(inventory) FROM slots") == Decimal("0.1")


@pytest.mark.parametrize(
    ("quantity", "balance"),
    [
        pytest.param("0.26", "0.25", id="more than there is"),
        pytest.param(None, "0", id="nothing there"),
        pytest.param("0.00001", "0.25", id="less than the venue takes"),
    ],
)
async def test_add_that_cannot_adopt_is_refused_whole(
    clean_engine: AsyncEngine,
    changes: Changes,
    exchange: FakeExchange,
    quantity: str | None,
    balance: str,
) -> None:
    exchange.balances["BTC"] = Decimal(balance)
    refused = await add(clean_engine, changes, "add:1", adopt={"quantity": quantity})
    assert refused["outcome"] == "refused"
    assert "adopt" in refused["reason"]
    assert await value(clean_engine, "SELECT count(*) FROM shards") == 0


async def test_inventory_kept_by_a_removal_is_adopted_and_that_of_others_is_not(
    clean_engine: AsyncEngine, changes: Changes
) -> None:
    await add(clean_engine, changes, "add:1", adopt={"quantity": "0.2"})
    await execute(clean_engine, "UPDATE shards SET status = 'removed', desired = 'removed'")
    again = await add(clean_engine, changes, "add:2", adopt={"quantity": None})
    assert Decimal(again["adoption"]["quantity"]) == Decimal("0.25")

    await execute(clean_engine, "UPDATE shards SET symbol = 'BTC/EUR' WHERE status <> 'removed'")
    refused = await add(clean_engine, changes, "add:3", adopt={"quantity": None})
    assert "adopt.quantity" in refused["reason"]

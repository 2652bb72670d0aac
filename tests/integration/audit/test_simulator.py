"""The auditor reads what the simulated exchange really writes."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import SimulatorAccess, audit
from audit.database import Fill, Opening, Shard
from audit.exchange import LedgerFold
from integration.audit.stored import store
from integration.simulator.harness import Simulator, eventually, running
from simulator.config import SimulatorConfig
from unit.audit.dataset import World

pytestmark = pytest.mark.timeout(60)
ASSETS = ("USDT", "BTC", "ETH")


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with running(SimulatorConfig(data_dir=tmp_path, seed=5)) as simulator:
        yield simulator


async def buy_by_hand(simulator: Simulator) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.5"}
    await simulator.control("POST", "order", order)


async def test_fold_of_the_real_ledger_equals_the_exchanges_state(
    simulator: Simulator, tmp_path: Path
) -> None:
    await simulator.freeze()
    await buy_by_hand(simulator)
    for price in ("50000.00", "49000.00"):
        order = {"side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": price}
        await simulator.control("POST", "order", {"symbol": "BTCUSDT", **order})
    await simulator.control("POST", "price", {"symbol": "BTCUSDT", "price": "49500.00"})
    deposit = {"account": "main", "asset": "ETH", "amount": "1.25"}
    await simulator.control("POST", "deposit", deposit)

    records, _ = SimulatorAccess(tmp_path).read()
    fold = LedgerFold()
    fold.add(records)
    exchange = fold.snapshot()
    account = (await simulator.control("GET", "state"))["accounts"]["main"]

    for asset in ASSETS:
        balance = account["balances"][asset]
        assert exchange.balance(asset) == Decimal(balance["free"]) + Decimal(balance["locked"])
    assert [order.order_id for order in exchange.orders if order.is_open] == [
        str(order["orderId"]) for order in account["open_orders"]
    ]
    assert len(exchange.trades) >= 2


async def test_frozen_markets_move_again_unless_they_stood_still_before(
    simulator: Simulator, tmp_path: Path
) -> None:
    await simulator.control("POST", "freeze", {"symbol": "ETHUSDT", "frozen": True})

    async with SimulatorAccess(tmp_path).frozen():
        state = await simulator.control("GET", "state")
        assert set(state["frozen"]) == set(state["last_trade_ids"])
    assert (await simulator.control("GET", "state"))["frozen"] == ["ETHUSDT"]


async def test_audit_of_orders_at_the_real_exchange_finds_what_is_missing(
    simulator: Simulator, dsn: str, tmp_path: Path
) -> None:
    await simulator.freeze()
    world = await trade_at(simulator)
    with psycopg.connect(dsn) as connection:
        store(connection, world.database())

    report = await audit(dsn, SimulatorAccess(tmp_path), settle_s=0.5, freeze=True)
    assert report.ok, report.to_text()
    checked = {result.name: dict(result.checked) for result in report.results}
    assert checked["I1"] == {"orders": 2}
    assert checked["I3"]["trades"] >= 2

    with psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM fills WHERE origin = 'own'")
        connection.execute("DELETE FROM orders WHERE status = 'open'")
    report = await audit(dsn, SimulatorAccess(tmp_path), settle_s=0.1)
    assert {violation.invariant for violation in report.violations} == {"I2", "I3"}


async def trade_at(simulator: Simulator) -> World:
    """Two own entries, the nearer one filled, and a person; Postgres as it should then be."""
    world = World(random.Random(1))
    initial = (await simulator.control("GET", "state"))["accounts"]["main"]["initial"]
    world.openings = [
        Opening(asset=asset, amount=Decimal(initial.get(asset, "0")), recorded_ms=now_ms())
        for asset in ("USDT", "BTC")
    ]
    shard = replace(world.add_shard(1, "BTCUSDT"), created_ms=now_ms())
    world.shards[1] = shard
    await next_millisecond()
    near = await place(simulator, world, shard, slot=20)
    await place(simulator, world, shard, slot=10)
    await buy_by_hand(simulator)
    price = str(world.intents[near].price - 100)
    await simulator.control("POST", "price", {"symbol": "BTCUSDT", "price": price})
    for trade in await simulator.ledger("order_filled"):
        record(world, shard, trade)
    return world


async def place(simulator: Simulator, world: World, shard: Shard, slot: int) -> str:
    intent = world.intend(shard, slot, "entry", Decimal("0.0100"), 1)
    intent = replace(intent, committed_ms=now_ms(), status="open")
    name = intent.client_order_id
    world.intents[name] = intent
    order = {
        "symbol": shard.symbol,
        "side": "BUY",
        "type": "LIMIT",
        "quantity": str(intent.quantity),
        "price": str(intent.price),
        "newClientOrderId": name,
    }
    await simulator.control("POST", "order", order)
    return name


def record(world: World, shard: Shard, trade: Mapping[str, Any]) -> None:
    """A trade as the simulator wrote it, into the rows of the installation."""
    intent = world.intents.get(trade["client_order_id"])
    fill = Fill(
        symbol=shard.symbol,
        trade_id=str(trade["trade_id"]),
        shard=shard.shard,
        venue_order_id=str(trade["order_id"]),
        client_order_id=intent.client_order_id if intent else None,
        origin="own" if intent else "external",
        side="buy",
        price=Decimal(trade["price"]),
        quantity=Decimal(trade["quantity"]),
        fee=Decimal(trade["fee"]),
        fee_asset="BTC",
    )
    world.fills.append(fill)
    world.book("BTC", fill.quantity)
    world.book("USDT", -fill.quantity * fill.price)
    world.book("BTC", -fill.fee)
    if intent is not None:
        filled = intent.filled + fill.quantity
        status = "filled" if filled == intent.quantity else "partially_filled"
        world.intents[intent.client_order_id] = replace(intent, filled=filled, status=status)
        world.settle(shard, intent, fill)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def next_millisecond() -> None:
    """What happens in the millisecond in which a symbol was added may belong to either side."""
    started_ms = now_ms()

    async def is_over() -> bool:
        return now_ms() > started_ms

    await eventually(is_over)

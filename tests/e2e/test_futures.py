"""Perpetuals with real processes: both sides of a neutral grid, a crash, funding, short margin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest_asyncio

from cli.local_system import Market, add_symbols
from orchestrator.bootstrap import new_request_id
from orchestrator.requests import AdoptRequest
from store import history
from support.system import RunningSystem, eventually, running_system

SYMBOL = "BTC/USDT:USDT"
#: 5 bp from level to level, 3 lots an order.
SPEC: dict[str, object] = {
    "mode": "neutral",
    "spacing": {"kind": "geometric", "ratio": "1.0005"},
    "range": {"kind": "window", "buy_window": 8, "sell_window": 8},
    "order_size": {"kind": "quote", "amount": "200"},
    "budget_quote": "5000",
}
#: By side: what a round trip begins and ends with.
FILLED = """
    SELECT 1 FROM orders WHERE purpose = :purpose AND side = :side AND filled > 0
"""
RESTING = """
    SELECT 1 FROM orders WHERE purpose = :purpose AND side = :side AND status = 'open'
"""


@pytest_asyncio.fixture
async def trading() -> AsyncIterator[RunningSystem]:
    async with running_system(
        market=Market(symbols=(SYMBOL,)),
        GRIDKEEPER_ACCOUNT__MARKET="linear",
        GRIDKEEPER_ACCOUNT__LEVERAGE="2",
        GRIDKEEPER_RECONCILE_EVERY_S="5",
    ) as running:
        yield running


async def add(trading: RunningSystem, **changes: object) -> None:
    """Add the grid, and hold the market still once its orders rest."""
    spec = {**SPEC, **changes}
    trading.acknowledged += await add_symbols(trading.database, (SYMBOL,), spec)
    await trading.until_rows("SELECT 1 FROM orders WHERE status = 'open' HAVING count(*) >= 3")
    await control(trading, "freeze", symbol="BTCUSDT", frozen=True)


async def control(trading: RunningSystem, call: str, **body: object) -> Any:
    return await trading.system.control(f"/control/{call}", {"market": "futures", **body})


async def account(trading: RunningSystem) -> Any:
    state: Any = await trading.system.control("/control/state")
    return state["futures"]["accounts"]["main"]


async def result_of(trading: RunningSystem, workflow_id: str) -> Any:
    progress = await trading.database.requests.wait(workflow_id, 60)
    assert progress.result is not None, progress
    return progress.result


async def move(trading: RunningSystem, start: Decimal, percent: str) -> None:
    """Bring the price to so much above a start; the market itself stands still."""
    price = (start * (1 + Decimal(percent) / 100)).quantize(Decimal("0.1"))
    await control(trading, "price", symbol="BTCUSDT", price=str(price))


async def test_neutral_grid_fills_both_ways_survives_kill_9_and_books_its_funding(
    trading: RunningSystem,
) -> None:
    await add(trading)
    anchor = await trading.value("SELECT anchor FROM ladders")
    await move(trading, anchor, "-0.22")
    await trading.until_rows(RESTING, purpose="exit", side="sell")
    # What it misses while it is dead is all in the history.
    await trading.system.kill_node()
    await move(trading, anchor, "0.12")
    await trading.system.start_node()
    await trading.until_rows(FILLED, purpose="exit", side="sell")
    await trading.until_rows(RESTING, purpose="entry", side="sell")
    await move(trading, anchor, "0.4")
    await trading.until_rows(FILLED, purpose="entry", side="sell")
    await trading.until_trading()

    await control(trading, "funding", symbol="BTCUSDT", rate="0.001")
    booked = await trading.until_rows("SELECT amount FROM ledger WHERE kind = 'funding'")

    await trading.assert_sound()
    # A short position is paid by a positive rate.
    assert booked[0].amount > 0
    (profit,) = await history.profits(trading.database.engine, SYMBOL)
    assert profit.funding == booked[0].amount
    position = (await account(trading))["positions"][0]
    assert position["leverage"] == "2"
    compared = await trading.until_rows(
        "SELECT * FROM positions WHERE quantity = CAST(:quantity AS numeric)",
        quantity=position["positionAmt"],
    )
    assert compared[0].liquidation_price > compared[0].mark_price > 0
    (held,) = await history.positions(trading.database.engine, SYMBOL)
    assert held.inventory == held.venue_quantity < 0
    reduce_only = await trading.rows("SELECT DISTINCT purpose FROM orders WHERE reduce_only")
    assert [row.purpose for row in reduce_only] == ["exit"]


async def test_position_that_a_removed_grid_left_is_taken_over_by_the_next(
    trading: RunningSystem,
) -> None:
    await add(trading, mode="long")
    anchor = await trading.value("SELECT anchor FROM ladders")
    await move(trading, anchor, "-0.22")
    await trading.until_rows(RESTING, purpose="exit", side="sell")
    requests, spec = trading.database.requests, {**SPEC, "mode": "long"}
    removed = await requests.remove(SYMBOL, new_request_id())
    assert (await result_of(trading, removed))["outcome"] == "done"
    (left,) = (await account(trading))["positions"]

    refused = await requests.add(SYMBOL, spec, new_request_id())
    assert "--adopt-position" in (await result_of(trading, refused))["reason"]
    adopted = await requests.add(SYMBOL, spec, new_request_id(), adopt=AdoptRequest(None))
    assert (await result_of(trading, adopted))["outcome"] == "done"
    trading.acknowledged += [removed, adopted]
    await trading.until_rows(
        "SELECT 1 FROM orders WHERE shard = 2 AND purpose = 'exit' AND status = 'open'"
    )
    held = await trading.value("SELECT sum(inventory) FROM slots WHERE shard = 2")
    assert held == Decimal(left["positionAmt"])
    await move(trading, anchor, "0.3")
    await trading.until_rows("SELECT 1 FROM pairs WHERE shard = 2")
    await trading.assert_sound()


async def test_margin_refused_stops_entries_and_keeps_exits(trading: RunningSystem) -> None:
    few = {"kind": "window", "buy_window": 3, "sell_window": 8}
    await add(trading, mode="long", range=few)
    state: Any = await trading.system.control("/control/state")
    mark = Decimal(state["futures"]["mark_prices"]["BTCUSDT"])
    await move(trading, mark, "-0.08")
    await trading.until_rows(FILLED, purpose="entry", side="buy")
    # A level ties up half of its 185 USDT: leave less than that beside what is tied up now.
    now = await account(trading)
    used = abs(Decimal(now["positions"][0]["notional"])) + sum(
        Decimal(order["price"]) * Decimal(order["origQty"])
        for order in now["open_orders"]
        if order["side"] == "BUY"
    )
    left = round(used / 2) + 50 - Decimal(now["wallets"]["USDT"])
    await control(trading, "deposit", account="main", asset="USDT", amount=str(left))
    await move(trading, mark, "-0.3")
    await trading.until_rows(
        "SELECT 1 FROM orders WHERE purpose = 'entry' AND status = 'rejected'"
        " AND status_reason LIKE 'insufficient_funds%'"
    )

    async def only_exits_rest() -> bool:
        resting = (await account(trading))["open_orders"]
        return bool(resting) and all(order["reduceOnly"] for order in resting)

    await eventually(only_exits_rest, "only exits rest at the exchange")
    await trading.until_rows(
        "SELECT 1 FROM shards WHERE status_reason = 'entries wait: funds are short'"
    )
    report = await trading.audit()
    assert report.ok, "\n".join(map(str, report.violations))

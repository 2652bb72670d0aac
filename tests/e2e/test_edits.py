"""Grids that change while they trade and processes die, and one that begins with a position."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from cli.local_system import demo_spec
from orchestrator.bootstrap import new_request_id
from orchestrator.requests import AdoptRequest
from ports.failpoints import Failpoint
from support.system import PATIENCE_S, RunningSystem, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

KILLED = -9
SYMBOL = "BTC/USDT"
WIDE = {"range": {"kind": "window", "buy_window": 4, "sell_window": 4}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trading() -> AsyncIterator[RunningSystem]:
    async with running_system() as running:
        await running.add(SYMBOL)
        yield running


async def update(trading: RunningSystem, spec: dict[str, object]) -> str:
    asked = await trading.database.requests.update(SYMBOL, spec, new_request_id())
    trading.acknowledged.append(asked)
    return asked


async def assert_done(trading: RunningSystem, workflow_id: str) -> None:
    progress = await trading.database.requests.wait(workflow_id, PATIENCE_S)
    assert progress.result is not None, progress
    assert progress.result["outcome"] == "done", progress.result


async def version(trading: RunningSystem) -> tuple[int, int]:
    """Of the grid that is wanted, and of the one that is traded."""
    ((wanted, taken),) = await trading.rows("SELECT spec_version, taken_version FROM shards")
    return wanted, taken


async def test_update_outlives_kills_at_every_step_and_is_reverted(trading: RunningSystem) -> None:
    """Another ladder each time: what the former ones hold is sold where it was to be sold."""
    system = trading.system
    ratios = {
        Failpoint.CHANGE_BEFORE_RECORD: "1.0007",
        Failpoint.CHANGE_AFTER_RECORD: "1.0009",
        Failpoint.CHANGE_BEFORE_RESULT: "1.0011",
    }
    for made, (point, ratio) in enumerate(ratios.items(), start=1):
        await trading.exchange_has_traded(2 * made)
        await system.kill_node()
        asked = await update(trading, demo_spec(ratio) | WIDE)
        await system.start_node(failpoint=point)
        assert await system.wait_node() == KILLED, system.log_tail("node")
        await system.start_node()
        await assert_done(trading, asked)
        assert await version(trading) == (made + 1, made + 1)

    reverted = await trading.database.requests.revert(SYMBOL, 1, new_request_id())
    trading.acknowledged.append(reverted)
    await system.kill_node()
    await system.start_node()
    await assert_done(trading, reverted)

    assert await version(trading) == (5, 5)
    specs = await trading.rows("SELECT spec FROM specs ORDER BY version")
    assert specs[4].spec == specs[0].spec
    ladders = await trading.rows("SELECT version FROM ladders ORDER BY version")
    assert [row.version for row in ladders] == [0, 1, 2, 3, 4]
    await trading.until_rows("SELECT 1 FROM orders WHERE ladder_version = 4 AND status = 'open'")
    await trading.assert_sound()


async def test_adopted_position_is_sold_up(trading: RunningSystem) -> None:
    """The auditor finds no trade of ours behind it, and the adoption that says why."""
    trading.acknowledged.append(await trading.database.requests.remove(SYMBOL, new_request_id()))
    await trading.until_rows("SELECT 1 FROM shards WHERE status = 'removed'")
    bought = Decimal("0.00200")
    await trading.system.control(
        "/control/order",
        {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": str(bought)},
    )
    added = await trading.database.requests.add(
        SYMBOL, demo_spec(), new_request_id(), adopt=AdoptRequest(Decimal("0.0019"))
    )
    trading.acknowledged.append(added)
    await assert_done(trading, added)
    adopted = await trading.rows("SELECT shard, slot, quantity, cost FROM adoptions ORDER BY slot")
    assert sum(row.quantity for row in adopted) == Decimal("0.0019")
    assert len(adopted) == 3  # each at most what 50 quote buy
    first = adopted[0]

    exits = await trading.until_rows(
        "SELECT price FROM orders WHERE shard = :shard AND slot = :slot AND purpose = 'exit'",
        shard=first.shard,
        slot=first.slot,
    )
    assert exits[0].price > first.cost / first.quantity * Decimal("0.99")
    above = (exits[0].price + 10).quantize(Decimal("0.01"))
    await trading.system.control("/control/price", {"symbol": "BTCUSDT", "price": str(above)})

    sold = await trading.until_rows(
        "SELECT cost, proceeds FROM pairs WHERE shard = :shard AND slot = :slot",
        shard=first.shard,
        slot=first.slot,
    )
    assert sold[0].cost <= first.cost
    assert sold[0].proceeds > 0
    await trading.assert_sound()

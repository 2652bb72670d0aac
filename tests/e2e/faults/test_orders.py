"""Rows of the fault matrix that are about single orders: ids, slices of fills, races with a cancel.

The market stands still between two levels, so that nothing fills but what the test trades by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest
import pytest_asyncio

from cli.local_system import Market, demo_spec
from orchestrator.bootstrap import new_request_id
from support.system import RunningSystem, eventually, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

SYMBOL = "BTC/USDT"
RATIO = Decimal("1.01")
GRID = demo_spec(str(RATIO)) | {
    "order_size": {"kind": "quote", "amount": "200"},
    "budget_quote": "5000",
}
LOT, TICK = Decimal("0.00001"), Decimal("0.01")
#: Two orders, one after the other, are proven absent.
PROVEN_TWICE_S = 90.0
CANCEL = {"method": "DELETE", "path": "/api/v3/order"}

NEAREST_ENTRY = """
    SELECT client_order_id, slot, price, quantity, quantity - filled AS rest FROM orders
     WHERE side = 'buy' AND status IN ('open', 'partially_filled') AND NOT cancel_requested
     ORDER BY price DESC LIMIT 1
"""
ASKED = "SELECT cancel_requested FROM orders WHERE client_order_id = :id"
SLICE = """
    SELECT entry.status, entry.filled, inventory, exit.client_order_id AS exit_id,
           exit.price, coalesce(exit.quantity - exit.filled, 0) AS offered
      FROM orders AS entry JOIN slots USING (shard, ladder_version, slot)
      LEFT JOIN orders AS exit ON exit.shard = entry.shard AND exit.slot = entry.slot
            AND exit.side = 'sell' AND exit.status IN ('open', 'partially_filled')
     WHERE entry.client_order_id = :id
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trading() -> AsyncIterator[RunningSystem]:
    async with running_system(
        market=Market(symbols=(SYMBOL,)),
        GRIDKEEPER_ACCOUNT__REQUEST_TIMEOUT_MS="8000",
        GRIDKEEPER_ACCOUNT__RECV_WINDOW_MS="6000",
        GRIDKEEPER_RECONCILE_EVERY_S="3",
    ) as running:
        await running.add_grid(SYMBOL, GRID)
        await running.system.control("/control/freeze", {"symbol": "BTCUSDT", "frozen": True})
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def no_fault_left(trading: RunningSystem) -> AsyncIterator[None]:
    yield
    await trading.system.control("/control/faults", method="DELETE")


async def nearest_entry(trading: RunningSystem) -> Any:
    """The highest entry that rests, with the market right between it and the level above it."""
    (entry,) = await trading.until_rows(NEAREST_ENTRY)
    between = (entry.price * (1 + RATIO) / 2).quantize(TICK, ROUND_DOWN)
    await trading.system.control("/control/price", {"symbol": "BTCUSDT", "price": f"{between:f}"})
    return entry


async def sell_into(trading: RunningSystem, order: Any, quantity: Decimal) -> None:
    """Somebody sells so much at the order's price."""
    await trade(trading, "SELL", order.price, quantity)


async def trade(trading: RunningSystem, side: str, price: Decimal, quantity: Decimal) -> None:
    done = {"side": side, "price": f"{price:f}", "quantity": f"{quantity:f}"}
    await trading.system.control("/control/trade", {"symbol": "BTCUSDT"} | done)


async def accepted_ids(trading: RunningSystem) -> list[str]:
    """Client ids of our orders that the exchange has ever accepted, one for each time."""
    ledger: Any = await trading.system.control("/control/ledger")
    records = [each for each in ledger["records"] if each["kind"] == "order_accepted"]
    return [record["client_order_id"] for record in records]


async def test_row_12_slices_of_an_entry_are_offered_as_they_come(trading: RunningSystem) -> None:
    entry = await nearest_entry(trading)
    bought = Decimal(0)
    found: Any = None
    for part in ("0.37", "0.11", "0.23"):
        piece = (entry.quantity * Decimal(part)).quantize(LOT)
        await sell_into(trading, entry, piece)
        bought += piece

        async def is_offered(expected: Decimal = bought) -> bool:
            nonlocal found
            (found,) = await trading.rows(SLICE, id=entry.client_order_id)
            assert found.offered <= found.inventory <= found.filled <= expected
            kept_back = found.inventory - found.offered
            return found.filled == expected and found.offered > 0 and kept_back < LOT

        await eventually(is_offered, f"{bought} of {entry.quantity} bought and offered")
        assert found.status == "partially_filled"
        assert piece - LOT <= found.offered <= piece
        await trade(trading, "BUY", found.price, found.offered)
        sold = "SELECT 1 FROM orders WHERE client_order_id = :id AND status = 'filled'"
        await trading.until_rows(sold, id=found.exit_id)
    await trading.assert_sound()


async def test_row_13_fill_that_overtakes_its_cancel_is_booked(trading: RunningSystem) -> None:
    requests = trading.database.requests
    entry = await nearest_entry(trading)
    late = {"kind": "request_delayed", "delay_s": 4, "count": 10} | CANCEL
    await trading.system.control("/control/faults", [late])
    pausing = await requests.pause(SYMBOL, new_request_id())

    async def is_on_its_way() -> bool:
        ((is_asked,),) = await trading.rows(ASKED, id=entry.client_order_id)
        armed: Any = await trading.system.control("/control/faults")
        return bool(is_asked) and armed[0]["fired"] > 0

    await eventually(is_on_its_way, "the cancel is on its way")

    await sell_into(trading, entry, entry.rest)

    filled = "SELECT 1 FROM orders WHERE client_order_id = :id AND status = 'filled'"
    await trading.until_rows(filled, id=entry.client_order_id)
    bought = "SELECT sum(quantity) FROM fills WHERE client_order_id = :id"
    assert await trading.value(bought, id=entry.client_order_id) == entry.quantity
    await requests.wait(pausing, 45.0)
    await trading.system.control("/control/faults", method="DELETE")
    await requests.wait(await requests.resume(SYMBOL, new_request_id()), 45.0)
    await trading.assert_sound()


async def test_row_06_no_client_id_is_ever_sent_a_second_time(trading: RunningSystem) -> None:
    """Whatever the venue makes of one, be it refused, accepted anew or answered with the old."""
    lost = {"kind": "timeout_lost", "delay_s": 2, "count": 2, "method": "POST"}
    for _ in range(3):
        entry = await nearest_entry(trading)
        await trading.system.control("/control/faults", [lost | {"path": "/api/v3/order"}])
        await sell_into(trading, entry, entry.rest)
        await trading.restart_node()

        async def is_offered(bought: str = entry.client_order_id) -> bool:
            (found,) = await trading.rows(SLICE, id=bought)
            return found.offered > 0

        await eventually(is_offered, "what was bought is offered after the restart", PROVEN_TWICE_S)
    ids = await accepted_ids(trading)
    assert len(ids) == len(set(ids))
    await trading.assert_sound()

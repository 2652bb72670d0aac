"""Rows of the fault matrix that are about single orders: ids, slices of fills, races with a cancel.

The levels lie so far apart that nothing fills but what the test trades by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from cli.local_system import Market, demo_spec
from orchestrator.bootstrap import new_request_id
from support.system import RunningSystem, eventually, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

SYMBOL = "BTC/USDT"
GRID = demo_spec("1.01") | {"order_size": {"kind": "quote", "amount": "200"}}
LOT = Decimal("0.00001")
CANCEL = {"method": "DELETE", "path": "/api/v3/order"}

NEAREST_ENTRY = """
    SELECT client_order_id, slot, price, quantity, quantity - filled AS rest FROM orders
     WHERE side = 'buy' AND status IN ('open', 'partially_filled') AND NOT cancel_requested
     ORDER BY price DESC LIMIT 1
"""
ORDER = "SELECT status, filled FROM orders WHERE client_order_id = :id"
SLOT = """
    SELECT inventory,
           (SELECT coalesce(sum(quantity - filled), 0) FROM orders
             WHERE orders.shard = slots.shard AND orders.slot = slots.slot AND side = 'sell'
               AND status IN ('open', 'partially_filled')) AS offered
      FROM slots WHERE slot = :slot
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trading() -> AsyncIterator[RunningSystem]:
    async with running_system(
        market=Market(symbols=(SYMBOL,)),
        GRIDKEEPER_ACCOUNT__REQUEST_TIMEOUT_MS="1000",
        GRIDKEEPER_RECONCILE_EVERY_S="3",
    ) as running:
        await running.add_grid(SYMBOL, GRID)
        yield running


async def sell_into(trading: RunningSystem, order: Any, quantity: Decimal) -> None:
    """Somebody sells so much at the order's price."""
    trade = {"side": "SELL", "price": f"{order.price:f}", "quantity": f"{quantity:f}"}
    await trading.system.control("/control/trade", {"symbol": "BTCUSDT"} | trade)


async def accepted_ids(trading: RunningSystem) -> list[str]:
    """Client ids of our orders that the exchange has ever accepted, one for each time."""
    ledger: Any = await trading.system.control("/control/ledger")
    records = [each for each in ledger["records"] if each["kind"] == "order_accepted"]
    return [record["client_order_id"] for record in records]


async def test_row_12_slices_of_an_entry_are_offered_as_they_come(trading: RunningSystem) -> None:
    (entry,) = await trading.until_rows(NEAREST_ENTRY)
    bought = Decimal(0)
    for part in ("0.37", "0.11", "0.23"):
        piece = (entry.quantity * Decimal(part)).quantize(LOT)
        await sell_into(trading, entry, piece)
        bought += piece

        async def is_offered(expected: Decimal = bought) -> bool:
            order = (await trading.rows(ORDER, id=entry.client_order_id))[0]
            slot = (await trading.rows(SLOT, slot=entry.slot))[0]
            assert slot.offered <= slot.inventory <= order.filled
            kept_back = slot.inventory - slot.offered
            return (order.status, order.filled) == ("partially_filled", expected) and (
                kept_back < LOT
            )

        await eventually(is_offered, f"{bought} of {entry.quantity} bought and offered")
    await trading.assert_sound()


async def test_row_13_fill_that_overtakes_its_cancel_is_booked(trading: RunningSystem) -> None:
    requests = trading.database.requests
    (entry,) = await trading.until_rows(NEAREST_ENTRY)
    late = {"kind": "request_delayed", "delay_s": 0.7, "count": 10} | CANCEL
    await trading.system.control("/control/faults", [late])
    pausing = await requests.pause(SYMBOL, new_request_id())
    asked = "SELECT 1 FROM orders WHERE client_order_id = :id AND cancel_requested"
    await trading.until_rows(asked, id=entry.client_order_id)

    await sell_into(trading, entry, entry.rest)

    filled = "SELECT 1 FROM orders WHERE client_order_id = :id AND status = 'filled'"
    await trading.until_rows(filled, id=entry.client_order_id)
    bought = "SELECT sum(quantity) FROM fills WHERE client_order_id = :id"
    assert await trading.value(bought, id=entry.client_order_id) == entry.quantity
    await requests.wait(pausing, 45.0)
    await requests.wait(await requests.resume(SYMBOL, new_request_id()), 45.0)
    await trading.assert_sound()


async def test_row_06_no_client_id_is_ever_sent_a_second_time(trading: RunningSystem) -> None:
    """Whatever the venue makes of one, be it refused, accepted anew or answered with the old."""
    lost = {"kind": "timeout_lost", "delay_s": 2, "count": 2, "method": "POST"}
    for _ in range(3):
        orders: Any = await trading.until_rows(NEAREST_ENTRY)
        known = len(await accepted_ids(trading))
        await trading.system.control("/control/faults", [lost | {"path": "/api/v3/order"}])
        await sell_into(trading, orders[0], orders[0].rest)
        await trading.restart_node()

        async def places_again(before: int = known) -> bool:
            return len(await accepted_ids(trading)) > before

        await eventually(places_again, "orders are placed after the restart")
    ids = await accepted_ids(trading)
    assert len(ids) == len(set(ids))
    await trading.assert_sound()

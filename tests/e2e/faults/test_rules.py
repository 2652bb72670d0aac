"""Ticks, lots and minimums that the exchange changes while symbols trade."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from support.system import RunningSystem, eventually, running_system

#: Orders of 50 are below the one and above the other.
HIGH_MINIMUM, LOW_MINIMUM = "60", "5"
WINDOW = 3
TICK, UP, NEAR = Decimal("0.01"), Decimal("1.01"), Decimal("0.999")
VERSION = "SELECT instrument_version FROM shards WHERE symbol = 'BTC/USDT' AND status <> 'removed'"
IDLE = """
    SELECT status_reason FROM shards WHERE symbol = 'BTC/USDT' AND status = 'running'
       AND status_reason LIKE 'no entries: `order_size.amount` must reach the minimum notional of %'
"""
REFUSED = "SELECT count(*) FROM orders WHERE status_reason LIKE '%NOTIONAL%'"
INTENDED = """
    SELECT count(*) FROM orders JOIN shards USING (shard)
     WHERE symbol = 'BTC/USDT' AND orders.instrument_version = :version
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trading() -> AsyncIterator[RunningSystem]:
    async with running_system(
        GRIDKEEPER_RULES_EVERY_S="2", GRIDKEEPER_RECONCILE_EVERY_S="3"
    ) as running:
        await running.add("BTC/USDT", "ETH/USDT")
        yield running


async def change(trading: RunningSystem, *, tick_size: str, step_size: str) -> int:
    """Have the exchange change its filters, wait for a fill under them; their version."""
    version = int(await trading.value(VERSION)) + 1
    await trading.system.control(
        "/control/filters",
        {"symbol": "BTCUSDT", "filters": {"tick_size": tick_size, "step_size": step_size}},
    )
    await trading.until_rows(
        """
        SELECT 1 FROM fills
          JOIN orders USING (client_order_id)
          JOIN shards ON shards.shard = orders.shard
         WHERE shards.symbol = 'BTC/USDT' AND orders.instrument_version = :version
        """,
        version=version,
    )
    (rules,) = await trading.rows(
        "SELECT tick_size, lot_size FROM instruments"
        " WHERE symbol = 'BTC/USDT' AND version = :version",
        version=version,
    )
    assert tuple(rules) == (Decimal(tick_size), Decimal(step_size))
    return version


async def resting(trading: RunningSystem, side: str) -> dict[str, Decimal]:
    """Prices of the symbol's orders that rest at the exchange, by client id."""
    state: Any = await trading.system.control("/control/state")
    return {
        order["clientOrderId"]: Decimal(order["price"])
        for order in state["accounts"]["main"]["open_orders"]
        if (order["symbol"], order["side"]) == ("BTCUSDT", side)
    }


async def last_price(trading: RunningSystem) -> Decimal:
    state: Any = await trading.system.control("/control/state")
    return Decimal(state["last_prices"]["BTCUSDT"])


async def fills(trading: RunningSystem) -> list[str]:
    """Of which orders the exchange filled something."""
    ledger: Any = await trading.system.control("/control/ledger")
    records = [record for record in ledger["records"] if record["kind"] == "order_filled"]
    return [record["client_order_id"] for record in records]


async def test_coarser_tick_and_lot_are_traded_by_with_what_is_held(
    trading: RunningSystem,
) -> None:
    await trading.until_rows("SELECT 1 FROM slots WHERE inventory > 0")

    version = await change(trading, tick_size="0.50", step_size="0.00003")

    placed = await trading.rows(
        "SELECT price, quantity FROM orders JOIN shards USING (shard) WHERE symbol = 'BTC/USDT'"
        " AND orders.instrument_version = :version",
        version=version,
    )
    assert all(row.price % Decimal("0.5") == 0 for row in placed)
    assert all(row.quantity % Decimal("0.00003") == 0 for row in placed)
    await trading.assert_sound()


async def test_finer_tick_and_lot_are_traded_by(trading: RunningSystem) -> None:
    await change(trading, tick_size="0.01", step_size="0.00001")
    await trading.assert_sound()


async def test_tick_coarser_than_the_step_halts_until_it_is_finer_again(
    trading: RunningSystem,
) -> None:
    await trading.system.control(
        "/control/filters", {"symbol": "BTCUSDT", "filters": {"tick_size": "1000.00"}}
    )

    (halted,) = await trading.until_rows(
        "SELECT status_reason FROM shards WHERE symbol = 'BTC/USDT' AND status = 'halted'"
        " AND status_reason LIKE '%tick_size 0.01 → 1000: %'"
        " AND NOT EXISTS (SELECT FROM orders WHERE orders.shard = shards.shard AND"
        " orders.status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled'))"
    )

    assert "`spacing.ratio` must make steps of at least one tick" in halted.status_reason
    await trading.system.control(
        "/control/filters", {"symbol": "BTCUSDT", "filters": {"tick_size": "0.01"}}
    )
    await trading.assert_sound()


async def test_row_14_minimum_above_the_order_size_stops_what_is_too_small_until_it_is_lower(
    trading: RunningSystem,
) -> None:
    """What rests already may still fill."""

    async def control(call: str, **body: object) -> None:
        await trading.system.control(f"/control/{call}", {"symbol": "BTCUSDT", **body})

    async def entries_rest() -> bool:
        """Near the price it was moved to, and not where they were before."""
        return max((await resting(trading, "BUY")).values(), default=Decimal(0)) > price * NEAR

    async def is_whole() -> bool:
        entries, exits = await resting(trading, "BUY"), await resting(trading, "SELL")
        return bool(entries) and len(entries | exits) >= WINDOW

    async def exits_rest() -> bool:
        return bool(await resting(trading, "SELL"))

    async def no_entries_rest() -> bool:
        return not await resting(trading, "BUY")

    async def exits_fill() -> bool:
        return exits.keys() <= set(await fills(trading))

    await control("freeze", frozen=True)
    # Far above all that is held, so that the window below the price is free.
    price = (await last_price(trading) * UP).quantize(TICK)
    await control("price", price=str(price))
    await eventually(entries_rest, "a frozen market has its entries")
    await control("price", price=str(max((await resting(trading, "BUY")).values()) - 5))
    await eventually(exits_rest, "what filled is offered")
    version = int(await trading.value(VERSION)) + 1

    await control("filters", filters={"min_notional": HIGH_MINIMUM})
    await trading.until_rows(VERSION + " AND instrument_version = :version", version=version)
    await eventually(no_entries_rest, "entries that would be too small are gone")
    ((why,),) = await trading.until_rows(IDLE)
    assert f"minimum notional of {HIGH_MINIMUM} USDT" in why
    exits = await resting(trading, "SELL")
    assert exits
    refused = await trading.value(REFUSED)
    await control("price", price=str(max(exits.values()) + 5))
    await eventually(exits_fill, "exits that rest are filled")
    await control("freeze", frozen=False)
    await trading.exchange_has_traded(len(await fills(trading)) + 6)

    # Each place was tried once at most before the minimum was known, and none after.
    assert refused <= 2 * WINDOW
    assert await trading.value(REFUSED) == refused
    assert await trading.value(INTENDED, version=version) == 0

    await control("filters", filters={"min_notional": LOW_MINIMUM})
    await eventually(is_whole, "the grid is whole")
    assert await trading.rows(IDLE) == []
    await trading.assert_sound()

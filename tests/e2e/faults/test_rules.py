"""Ticks, lots and minimums that the exchange changes while symbols trade."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from support.system import RunningSystem, running_system

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
    before = await trading.value(
        "SELECT instrument_version FROM shards WHERE symbol = 'BTC/USDT' AND status <> 'removed'"
    )
    await trading.system.control(
        "/control/filters",
        {"symbol": "BTCUSDT", "filters": {"tick_size": tick_size, "step_size": step_size}},
    )
    version = int(before) + 1
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

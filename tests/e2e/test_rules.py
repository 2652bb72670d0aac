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


async def version_of_rules(trading: RunningSystem) -> int:
    version = await trading.value(
        "SELECT instrument_version FROM shards WHERE symbol = 'BTC/USDT' AND status <> 'removed'"
    )
    return int(version)


async def until_trades_under(trading: RunningSystem, *, tick_size: str, lot_size: str) -> None:
    """Wait for a fill of an order that was made under a version with these rules."""
    await trading.until_rows(
        """
        SELECT 1 FROM fills
          JOIN orders USING (client_order_id)
          JOIN shards ON shards.shard = orders.shard
          JOIN instruments
            ON (instruments.account, instruments.symbol, instruments.version)
             = (shards.account, shards.symbol, orders.instrument_version)
         WHERE shards.symbol = 'BTC/USDT' AND tick_size = :tick AND lot_size = :lot
        """,
        tick=Decimal(tick_size),
        lot=Decimal(lot_size),
    )


async def test_coarser_tick_and_lot_are_traded_by_with_what_is_held(
    trading: RunningSystem,
) -> None:
    await trading.until_rows("SELECT 1 FROM slots WHERE inventory > 0")
    before = await version_of_rules(trading)

    await trading.system.control(
        "/control/filters",
        {"symbol": "BTCUSDT", "filters": {"tick_size": "0.50", "step_size": "0.00003"}},
    )

    await until_trades_under(trading, tick_size="0.5", lot_size="0.00003")
    assert await version_of_rules(trading) == before + 1
    live = await trading.rows(
        "SELECT price, quantity FROM orders JOIN shards USING (shard) WHERE symbol = 'BTC/USDT'"
        " AND orders.instrument_version = :version",
        version=before + 1,
    )
    assert all(row.price % Decimal("0.5") == 0 for row in live)
    assert all(row.quantity % Decimal("0.00003") == 0 for row in live)
    await trading.assert_sound()


async def test_finer_tick_and_lot_are_traded_by(trading: RunningSystem) -> None:
    await trading.system.control(
        "/control/filters",
        {"symbol": "BTCUSDT", "filters": {"tick_size": "0.01", "step_size": "0.00001"}},
    )

    await until_trades_under(trading, tick_size="0.01", lot_size="0.00001")
    await trading.assert_sound()


async def test_tick_coarser_than_the_step_halts_until_it_is_finer_again(
    trading: RunningSystem,
) -> None:
    await trading.system.control(
        "/control/filters", {"symbol": "BTCUSDT", "filters": {"tick_size": "1000.00"}}
    )

    (halted,) = await trading.until_rows(
        "SELECT status_reason FROM shards WHERE symbol = 'BTC/USDT' AND status = 'halted'"
        " AND status_reason LIKE '%tick_size%'"
        " AND NOT EXISTS (SELECT FROM orders WHERE orders.shard = shards.shard AND"
        " orders.status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled'))"
    )

    assert "`spacing.ratio` must make steps of at least one tick" in halted.status_reason
    await trading.system.control(
        "/control/filters", {"symbol": "BTCUSDT", "filters": {"tick_size": "0.01"}}
    )
    await trading.assert_sound()

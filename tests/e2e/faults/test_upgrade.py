"""A database that an earlier version left in the middle of its work is migrated and finished."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from cli.local_system import LocalSystem, Market, temporary_data_dir
from orchestrator.bootstrap import open_database
from store.embedded_postgres import EmbeddedPostgres
from store.migrate import newest_revision
from support.system import RunningSystem

#: One of each version that was released.
HISTORIES = sorted((Path(__file__).parents[2] / "support").glob("pending_history*.sql"))
CHANGE, LATER_CHANGE = "add:sim-BTC-USDT:half-way", "add:sim-ETH-USDT:not-begun"
STATUSES = "SELECT workflow_uuid, status FROM dbos.workflow_status WHERE name = :name"


def in_flight(dsn: str) -> dict[str, set[str]]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT name, status FROM dbos.workflow_status ORDER BY created_at"
        ).fetchall()
    found: dict[str, set[str]] = {}
    for name, status in rows:
        found.setdefault(name, set()).add(status)
    return found


@pytest.fixture(params=HISTORIES, ids=lambda path: path.stem)
async def upgraded(request: pytest.FixtureRequest) -> AsyncIterator[RunningSystem]:
    """The stored database under a new exchange that never saw its orders, and a new node."""
    with temporary_data_dir() as data_dir:
        server = EmbeddedPostgres(data_dir)
        dsn = server.start()
        with psycopg.connect(dsn) as connection:
            connection.execute(request.param.read_bytes())
        assert in_flight(dsn) == {
            "run_shard": {"PENDING"},
            "execute_plan": {"PENDING"},
            "apply_change": {"PENDING", "ENQUEUED"},
        }
        system = LocalSystem(data_dir=data_dir, market=Market(symbols=("BTC/USDT", "ETH/USDT")))
        try:
            await system.start_simulator()
            async with open_database(system.settings) as database:
                running = RunningSystem(system, database, [CHANGE, LATER_CHANGE])
                # This exchange paid its money in just now, the one of the history long before.
                await running.execute("UPDATE opening_balances SET recorded_at = clock_timestamp()")
                await system.start_node()
                yield running
                await system.stop_node()
        finally:
            await system.close()
            server.stop()


async def test_work_of_an_earlier_version_is_finished_by_this_one(upgraded: RunningSystem) -> None:
    old_plans = {row.workflow_uuid for row in await upgraded.rows(STATUSES, name="execute_plan")}
    old_orders = {row[0] for row in await upgraded.rows("SELECT client_order_id FROM orders")}

    await upgraded.until_trading()
    await upgraded.exchange_has_traded(2)
    await upgraded.assert_sound()

    changes = dict(await upgraded.rows(STATUSES, name="apply_change"))
    assert changes == {CHANGE: "SUCCESS", LATER_CHANGE: "SUCCESS"}
    plans = dict(await upgraded.rows(STATUSES, name="execute_plan"))
    assert {plans[plan] for plan in old_plans} == {"CANCELLED"}
    shards = await upgraded.rows("SELECT symbol, status, epoch FROM shards ORDER BY shard")
    assert [(row.symbol, row.status) for row in shards] == [
        ("BTC/USDT", "running"),
        ("ETH/USDT", "running"),
    ]
    assert shards[0].epoch > 1
    assert old_orders
    fates = await upgraded.rows(
        "SELECT DISTINCT status FROM orders WHERE client_order_id = ANY(:old)", old=list(old_orders)
    )
    assert [row.status for row in fates] == ["absent"]
    assert await upgraded.value("SELECT version_num FROM alembic_version") == newest_revision()

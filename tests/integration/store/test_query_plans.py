"""Hot queries stay quick when the history is long: their plans, on tables with many rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.store.factories import Owner, execute, make_owner
from store import statements as sql
from store.engine import transaction
from store.nodes import STRANDED

LONG_HISTORY = 20_000
#: Tables that grow for ever.
LONG_TABLES = {"orders", "fills", "decisions", "ledger", "pairs", "workflow_status"}

_DECISION = "INSERT INTO decisions SELECT 'd' || n, :shard, 1, n, 1, 1, 1, '[]', '[]', '[]', '[]'"
_ORDERS = """
    INSERT INTO orders (client_order_id, decision_id, shard, ladder_version, slot, purpose, side,
                        generation, instrument_version, price, quantity, post_only, reason, status,
                        venue_order_id, filled, is_settled, ended_at)
    SELECT 'c' || n, 'd' || n, :shard, 0, n % 100, 'entry', 'buy', n, 1, 1, 1, true, '',
           CASE WHEN n > :many - 100 THEN 'open' ELSE 'filled' END, 'v' || n,
           CASE WHEN n > :many - 100 THEN 0 ELSE 1 END, n <= :many - 100, clock_timestamp()
      FROM generate_series(1, :many) AS n
"""
_FILLS = """
    INSERT INTO fills (account, symbol, trade_id, shard, venue_order_id, client_order_id, origin,
                       side, price, quantity, fee, fee_asset, is_maker, traded_at)
    SELECT 'sim', 'BTC/USDT', n::text, :shard, 'v' || n, 'c' || n, 'own', 'buy', 1, 1, 0, 'BNB',
           true, clock_timestamp()
      FROM generate_series(1, :many - 100) AS n
"""
_WORKFLOWS = """
    INSERT INTO dbos.workflow_status (workflow_uuid, name, status, queue_name, created_at,
                                      updated_at, priority)
    SELECT 'w' || n, 'execute_plan', 'SUCCESS', 'any', n, n, 0
      FROM generate_series(1, :many) AS n
"""


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    """The owner of a shard with a long history."""
    owner = await make_owner(clean_engine)
    many = {"shard": owner.claim.ownership.shard, "many": LONG_HISTORY}
    await execute(clean_engine, f"{_DECISION} FROM generate_series(1, :many) AS n", **many)
    await execute(clean_engine, _ORDERS, **many)
    await execute(clean_engine, _FILLS, **many)
    await execute(clean_engine, _WORKFLOWS, many=LONG_HISTORY)
    async with clean_engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for name in (
            "decisions",
            "orders",
            "fills",
            "shards",
            "slots",
            "dbos.workflow_status",
        ):
            await autocommit.execute(text(f"ANALYZE {name}"))
    return owner


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def scanned(owner: Owner, statement: TextClause, **values: object) -> set[str]:
    """Long tables that a statement reads whole, or of which it reads more than one row in ten."""
    async with transaction(owner.engine) as connection:
        await connection.execute(text("SAVEPOINT before"))
        explained = await connection.execute(
            text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}"), values
        )
        found = explained.scalar_one()
        await connection.execute(text("ROLLBACK TO before"))
    (plan,) = json.loads(found) if isinstance(found, str) else found
    whole = set()
    for node in nodes(plan["Plan"]):
        read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        is_long = read * node["Actual Loops"] > LONG_HISTORY / 10
        if node.get("Relation Name") in LONG_TABLES and (
            node["Node Type"] == "Seq Scan" or is_long
        ):
            whole.add(node["Relation Name"])
    return whole


async def test_statements_of_every_batch_read_few_rows_however_long_the_history(
    owner: Owner,
) -> None:
    shard = owner.claim.ownership.shard
    update = {
        "status": "filled",
        "status_reason": "",
        "venue_order_id": "v1",
        "filled": 1,
        "cancel_requested": False,
        "is_ended": True,
        "client_order_id": "c100",
    }
    for order_id in ("c100", "v100"):
        assert await scanned(owner, sql.ONE_ORDER, shard=shard, order_id=order_id) == set()
    assert await scanned(owner, sql.UPDATE_ORDER, **update) == set()
    ours = {"shard": shard, "epoch": owner.claim.ownership.epoch}
    ended = ours | update
    outcomes = [ended, ended | {"client_order_id": "c101", "is_ended": False}]
    told = {"owners": json.dumps([ours]), "outcomes": json.dumps(outcomes)}
    assert await scanned(owner, sql.RECORD_OUTCOMES, **told) == set()
    assert await scanned(owner, sql.OWN_TRADE_IDS, client_order_id="c100") == set()
    owned = {"shard": shard, "epoch": 1, "spec_version": None}
    assert await scanned(owner, sql.LOCK_OWNED, **owned) == set()
    assert await scanned(owner, sql.HELD_INVENTORY, account="sim", base="BTC") == set()


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        pytest.param(sql.UNFINISHED_ORDERS, {}, id="unfinished orders"),
        pytest.param(sql.PARKED_FILLS, {}, id="parked fills"),
    ],
)
async def test_statements_of_a_claim_read_few_rows_however_long_the_history(
    owner: Owner, statement: TextClause, values: dict[str, object]
) -> None:
    shard = owner.claim.ownership.shard
    assert await scanned(owner, statement, shard=shard, **values) == set()


async def test_newest_trade_ids_are_read_without_sorting_all(owner: Owner) -> None:
    at_most = LONG_HISTORY // 100
    found = await scanned(
        owner, sql.NEWEST_TRADE_IDS, account="sim", symbol="BTC/USDT", at_most=at_most
    )
    assert found == set()


@pytest.mark.parametrize("of", [None, "node-1:start-1"])
async def test_watchdog_reads_few_workflows_however_many_have_ended(
    owner: Owner, of: str | None
) -> None:
    names = ["execute_plan", "apply_change", "run_shard"]
    assert await scanned(owner, STRANDED, names=names, of=of) == set()

"""Old history goes, what explains the ledger stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import Side
from domain.orders import Cancelled, Filled, Intent, Order, OrderState, Rejected
from integration.store.factories import (
    Owner,
    enqueue,
    execute,
    make_owner,
    new_symbol,
    select,
    start_workflow,
    value,
)
from orchestrator.workflows import run_shard_id
from ports.store import Changes, Fill, Origin
from store import retention
from store.retention import purge_history
from unit.symbol_manager.factories import ENTRY_LOTS, make_trade, venue_id

KEEP_DAYS = 30.0
OLD_DAYS, RECENT_DAYS = 31, 29


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    return await make_owner(clean_engine)


async def end(owner: Owner, intent: Intent, state: OrderState, filled_lots: int = 0) -> None:
    changes = Changes(orders={intent.client_order_id: Order(intent=intent, state=state)})
    if filled_lots:
        trade = replace(make_trade(intent, f"t{intent.tag.slot.number}", filled_lots))
        changes.fills[trade.trade_id] = Fill(
            trade=trade, origin=Origin.OWN, client_order_id=intent.client_order_id
        )
    await owner.record(changes)


async def age(owner: Owner, slot: int, days: int) -> None:
    """Make an order and its decision that old."""
    await execute(
        owner.engine,
        "UPDATE orders SET ended_at = clock_timestamp() - make_interval(days => :days)"
        " WHERE slot = :slot AND ended_at IS NOT NULL",
        days=days,
        slot=slot,
    )
    await execute(
        owner.engine,
        "UPDATE decisions SET decided_at = clock_timestamp() - make_interval(days => :days)"
        " WHERE decision_id IN (SELECT decision_id FROM orders WHERE slot = :slot)",
        days=days,
        slot=slot,
    )


async def kept_slots(owner: Owner) -> list[int]:
    rows = await select(owner.engine, "SELECT slot FROM orders ORDER BY slot DESC")
    return [row.slot for row in rows]


async def test_purge_history_keeps_orders_that_live_are_recent_or_have_fills(owner: Owner) -> None:
    live, recent, filled, partly, rejected, cancelled = (
        owner.intent(slot) for slot in range(-1, -7, -1)
    )
    for intent in (live, recent, filled, partly, rejected, cancelled):
        await owner.place(intent)
    await end(owner, recent, Rejected("filter"))
    await end(owner, filled, Filled(venue_id(filled), ENTRY_LOTS), ENTRY_LOTS)
    await end(owner, partly, Cancelled(venue_id(partly), 3), 3)
    await end(owner, rejected, Rejected("filter"))
    await end(owner, cancelled, Cancelled(venue_id(cancelled), 0))
    for slot in range(-1, -7, -1):
        await age(owner, slot, RECENT_DAYS if slot == -2 else OLD_DAYS)
    before = (
        await select(owner.engine, "SELECT * FROM fills"),
        await select(owner.engine, "SELECT * FROM ledger"),
    )

    assert await purge_history(owner.engine, KEEP_DAYS) == 4

    assert await kept_slots(owner) == [-1, -2, -3, -4]
    assert await value(owner.engine, "SELECT count(*) FROM decisions") == 4
    assert await value(owner.engine, "SELECT count(*) FROM slots") == 6
    after = (
        await select(owner.engine, "SELECT * FROM fills"),
        await select(owner.engine, "SELECT * FROM ledger"),
    )
    assert after == before
    assert await purge_history(owner.engine, KEEP_DAYS) == 0


async def test_purge_history_keeps_orders_whose_trades_are_still_missing(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await end(owner, intent, Cancelled(venue_id(intent), 3))
    await age(owner, -1, OLD_DAYS)
    await purge_history(owner.engine, KEEP_DAYS)
    assert await kept_slots(owner) == [-1]


async def test_purge_history_goes_on_batch_after_batch(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    intents = [owner.intent(slot, Side.BUY) for slot in range(-1, -6, -1)]
    await owner.place(*intents)
    for intent in intents:
        await end(owner, intent, Rejected("filter"))
        await age(owner, intent.tag.slot.number, OLD_DAYS)
    assert await purge_history(owner.engine, KEEP_DAYS) == 6
    assert await kept_slots(owner) == []


async def add_workflow(engine: AsyncEngine, name: str, workflow_id: str, status: str) -> None:
    """An old one, with a step and an output."""
    await enqueue(engine, name, workflow_id)
    await start_workflow(engine, workflow_id, status=status)
    await execute(
        engine,
        "INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name)"
        " VALUES (:id, 0, 'submit')",
        id=workflow_id,
    )
    await execute(
        engine, "INSERT INTO dbos.workflow_output (workflow_uuid) VALUES (:id)", id=workflow_id
    )


async def test_purge_history_deletes_ended_plans_with_all_that_hangs_on_them(owner: Owner) -> None:
    engine = owner.engine
    run_id = run_shard_id(owner.claim.key, owner.claim.ownership.shard)
    await add_workflow(engine, "execute_plan", "plan:ended", "SUCCESS")
    await add_workflow(engine, "execute_plan", "plan:cancelled", "CANCELLED")
    await add_workflow(engine, "execute_plan", "plan:recent", "SUCCESS")
    await add_workflow(engine, "execute_plan", "plan:running", "PENDING")
    await add_workflow(engine, "apply_change", "pause:1", "SUCCESS")
    await execute(
        engine,
        "UPDATE dbos.workflow_status SET created_at = created_at - :ms"
        " WHERE workflow_uuid <> 'plan:recent'",
        ms=OLD_DAYS * 86_400_000,
    )

    assert await purge_history(engine, KEEP_DAYS) == 2

    kept = {"plan:recent", "plan:running", "pause:1"}
    requested = {run_id, new_symbol().requested_by}
    for query, more in (
        ("SELECT workflow_uuid FROM dbos.workflow_status", requested),
        ("SELECT workflow_uuid FROM dbos.workflow_input", requested),
        ("SELECT workflow_uuid FROM dbos.operation_outputs", set()),
        ("SELECT workflow_uuid FROM dbos.workflow_output", set()),
    ):
        assert {row.workflow_uuid for row in await select(engine, query)} == kept | more

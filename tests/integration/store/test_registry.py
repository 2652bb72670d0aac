"""Requests are idempotent by their id, and what they say is kept until it is done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import RequestRefused
from domain.ids import MAX_NONCE
from integration.store.factories import (
    EXECUTOR,
    RUN,
    add_symbol,
    ask,
    enqueue,
    execute,
    join_node,
    make_owner,
    new_symbol,
    select,
    start_workflow,
    value,
)
from orchestrator.workflows import run_shard_again, run_shard_id
from ports.store import Changes, Desired, Status
from store.registry import Enqueued, Registry
from support.fake_exchange import BTC


@pytest.fixture
def registry(clean_engine: AsyncEngine) -> Registry:
    return Registry(clean_engine)


async def test_installation_nonce_is_drawn_once(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    nonces = await asyncio.gather(*(registry.installation_nonce() for _ in range(4)))
    assert len(set(nonces)) == 1
    assert 1 <= nonces[0] <= MAX_NONCE
    assert await Registry(clean_engine).installation_nonce() == nonces[0]


async def test_add_symbol_by_the_same_request_is_one_shard_and_one_workflow(
    clean_engine: AsyncEngine,
) -> None:
    shard = await add_symbol(clean_engine)
    assert await add_symbol(clean_engine) == shard
    workflows = await select(
        clean_engine,
        "SELECT workflow_uuid, name, status, queue_name FROM dbos.workflow_status"
        " WHERE name = 'run_shard'",
    )
    assert [tuple(row) for row in workflows] == [
        (run_shard_id(new_symbol().key, shard), "run_shard", "ENQUEUED", "shards")
    ]
    assert await value(clean_engine, "SELECT count(*) FROM instruments") == 1


async def test_add_symbol_by_another_request_is_refused_without_effect(
    clean_engine: AsyncEngine,
) -> None:
    await add_symbol(clean_engine)
    with pytest.raises(RequestRefused, match="remove it first"):
        await add_symbol(clean_engine, new_symbol("add:2", balances={"DOGE": Decimal(1)}))
    assert await value(clean_engine, "SELECT count(*) FROM shards") == 1
    assert await value(clean_engine, "SELECT count(*) FROM instruments") == 1
    assert await value(clean_engine, "SELECT count(*) FROM opening_balances") == 2


async def test_add_symbol_requests_at_once_let_one_through(clean_engine: AsyncEngine) -> None:
    answers = await asyncio.gather(
        *(add_symbol(clean_engine, new_symbol(f"add:{number}")) for number in range(5)),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, RequestRefused)]
    assert len(refused) == 4
    assert await value(clean_engine, "SELECT count(*) FROM shards") == 1


async def test_add_symbol_after_its_removal_goes_on_where_it_was(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    owner = await make_owner(clean_engine)
    await owner.record(Changes(is_reconciled=True, reconciled_trade_id="37"))
    await owner.claim_again()
    await owner.claim_again()
    await execute(clean_engine, "UPDATE shards SET status = 'removed', desired = 'removed'")

    changed = replace(BTC, min_notional=Decimal(10))
    again = await make_owner(
        clean_engine,
        new_symbol(
            "add:2",
            changed,
            last_trade_id="41",
            balances={"BTC": Decimal(7), "USDT": Decimal(70_000)},
        ),
    )
    assert again.claim.ownership.shard != owner.claim.ownership.shard
    assert again.claim.ownership.epoch == 4
    assert again.claim.instrument == replace(changed, version=2)
    assert again.claim.reconciled_trade_id == "37"
    opening = await select(clean_engine, "SELECT asset, amount FROM opening_balances ORDER BY 1")
    assert [tuple(row) for row in opening] == [("BTC", 0), ("USDT", 1_000_000)]
    assert [found.shard for found in await registry.active_symbols()] == [
        again.claim.ownership.shard
    ]


async def test_enqueue_the_same_id_again_changes_nothing(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    workflow = Enqueued(
        name="apply_change",
        queue="changes",
        workflow_id="pause:sim-BTC-USDT:1",
        argument={"verb": "pause"},
        app_version=RUN["app_version"],
        app_name=RUN["app_name"],
    )
    await registry.enqueue(workflow)
    await registry.enqueue(replace(workflow, argument={"verb": "resume"}))
    (row,) = await select(clean_engine, "SELECT inputs FROM dbos.workflow_input")
    assert '"pause"' in row.inputs


async def test_desire_is_kept_and_removal_is_final(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    shard = await add_symbol(clean_engine)
    pause, remove, resume = [
        await ask(clean_engine, workflow_id) for workflow_id in ("pause:1", "remove:1", "resume:1")
    ]
    paused = await registry.desire("sim", "BTC/USDT", Desired.PAUSED, pause)
    assert paused is not None
    assert (paused.shard, paused.desired, paused.status) == (
        shard,
        Desired.PAUSED,
        Status.STARTING,
    )
    assert await registry.desire("sim", "BTC/USDT", Desired.REMOVED, remove)
    assert await registry.desire("sim", "BTC/USDT", Desired.RUNNING, resume) is None
    assert (await registry.symbol(shard)).desired is Desired.REMOVED


async def test_desire_of_a_symbol_that_is_not_there_is_none(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    pause = await ask(clean_engine, "pause:1")
    assert await registry.desire("sim", "BTC/USDT", Desired.PAUSED, pause) is None


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        pytest.param(Desired.PAUSED, Desired.RUNNING, id="pause, then resume"),
        pytest.param(Desired.RUNNING, Desired.PAUSED, id="resume, then pause"),
    ],
)
async def test_desire_applied_again_or_late_does_not_undo_a_newer_one(
    clean_engine: AsyncEngine, registry: Registry, older: Desired, newer: Desired
) -> None:
    await ask(clean_engine, new_symbol().requested_by, ago_ms=3_000)
    shard = await add_symbol(clean_engine)
    first = await ask(clean_engine, "change:1", ago_ms=2_000)
    second = await ask(clean_engine, "change:2", ago_ms=1_000)
    for workflow_id, desired in ((first, older), (second, newer), (first, older)):
        assert await registry.desire("sim", "BTC/USDT", desired, workflow_id)
    seen = await registry.symbol(shard)
    assert seen.desired is newer
    assert await value(clean_engine, "SELECT desired_ms FROM shards") == await value(
        clean_engine, "SELECT created_at FROM dbos.workflow_status WHERE workflow_uuid = 'change:2'"
    )


async def run_ids(engine: AsyncEngine) -> list[str]:
    rows = await select(
        engine,
        "SELECT workflow_uuid FROM dbos.workflow_status WHERE name = 'run_shard' ORDER BY 1",
    )
    return [row.workflow_uuid for row in rows]


@pytest.mark.parametrize(
    ("status", "is_orphan"),
    [
        pytest.param("PENDING", False, id="running"),
        pytest.param("ENQUEUED", False, id="about to run"),
        pytest.param("ERROR", True, id="failed"),
        pytest.param("CANCELLED", True, id="cancelled"),
        pytest.param("SUCCESS", True, id="returned"),
    ],
)
async def test_orphans_are_symbols_that_no_run_serves_or_will_serve(
    clean_engine: AsyncEngine, registry: Registry, status: str, is_orphan: bool
) -> None:
    shard = await add_symbol(clean_engine)
    await start_workflow(clean_engine, run_shard_id(new_symbol().key, shard), status=status)
    assert [orphan.shard for orphan in await registry.orphans()] == ([shard] if is_orphan else [])


async def test_orphans_run_again_has_the_next_id_and_is_no_orphan_while_it_runs(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    shard = await add_symbol(clean_engine)
    first = run_shard_id(new_symbol().key, shard)
    ids = [first]
    for number in (2, 3):
        await start_workflow(clean_engine, ids[-1], status="ERROR")
        (orphan,) = await registry.orphans()
        await registry.enqueue(run_shard_again(orphan))
        ids.append(f"{first}:{number}")
        assert await registry.orphans() == []
        assert await run_ids(clean_engine) == ids
        await start_workflow(clean_engine, ids[-1])
        assert await registry.orphans() == []


async def test_orphans_tells_shards_apart_whose_numbers_begin_alike(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    first = await add_symbol(clean_engine)
    alike = run_shard_id(new_symbol().key, int(f"{first}0"))
    await execute(
        clean_engine,
        "UPDATE dbos.workflow_status SET status = 'ERROR' WHERE name = 'run_shard'",
    )
    await enqueue(clean_engine, "run_shard", alike)
    assert [orphan.shard for orphan in await registry.orphans()] == [first]


async def test_orphans_leaves_removed_symbols_in_peace(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    shard = await add_symbol(clean_engine)
    await start_workflow(clean_engine, run_shard_id(new_symbol().key, shard), status="SUCCESS")
    await execute(clean_engine, "UPDATE shards SET status = 'removed'")
    assert await registry.orphans() == []


async def test_idle_symbols_are_those_the_process_does_not_run(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    pid = 77
    owner = await make_owner(clean_engine)
    await execute(clean_engine, "UPDATE nodes SET pid = :pid", pid=pid)
    assert await registry.idle_symbols(pid) == ["BTC/USDT"]
    await owner.repository.set_status(owner.claim.ownership, Status.RUNNING, "")
    assert await registry.idle_symbols(pid) == []
    assert await registry.idle_symbols(pid + 1) == ["BTC/USDT"]
    await execute(clean_engine, "DELETE FROM nodes")
    await join_node(clean_engine, EXECUTOR, pid=pid)
    await execute(
        clean_engine, "UPDATE nodes SET heartbeat_at = clock_timestamp() - interval '1 minute'"
    )
    assert await registry.idle_symbols(pid) == ["BTC/USDT"]

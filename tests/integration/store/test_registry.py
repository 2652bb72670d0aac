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
    execute,
    join_node,
    make_owner,
    new_symbol,
    select,
    value,
)
from orchestrator.workflows import run_shard_id
from ports.store import Desired, Status
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
        clean_engine, "SELECT workflow_uuid, name, status, queue_name FROM dbos.workflow_status"
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
            balances={"BTC": Decimal(7), "USDT": Decimal(7)},
        ),
    )
    assert again.claim.ownership.shard != owner.claim.ownership.shard
    assert again.claim.ownership.epoch == 4
    assert again.claim.instrument == replace(changed, version=2)
    assert again.claim.reconciled_trade_id == "41"
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
    paused = await registry.desire("sim", "BTC/USDT", Desired.PAUSED)
    assert paused is not None
    assert (paused.shard, paused.desired, paused.status) == (
        shard,
        Desired.PAUSED,
        Status.STARTING,
    )
    assert await registry.desire("sim", "BTC/USDT", Desired.REMOVED)
    assert await registry.desire("sim", "BTC/USDT", Desired.RUNNING) is None
    assert (await registry.symbol(shard)).desired is Desired.REMOVED


async def test_desire_of_a_symbol_that_is_not_there_is_none(registry: Registry) -> None:
    assert await registry.desire("sim", "BTC/USDT", Desired.PAUSED) is None


async def test_kill_switch_request_told_again_does_not_engage_again(registry: Registry) -> None:
    assert not await registry.is_killed()
    await registry.throw_kill_switch(engaged=True, reason="test", request_id="1")
    assert await registry.is_killed()
    await registry.throw_kill_switch(engaged=False, reason="over", request_id="2")
    await registry.throw_kill_switch(engaged=False, reason="over", request_id="2")
    assert not await registry.is_killed()
    await registry.throw_kill_switch(engaged=True, reason="again", request_id="3")
    assert await registry.is_killed()


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
    await join_node(clean_engine, EXECUTOR, pid=pid, silent_s=60.0)
    assert await registry.idle_symbols(pid) == ["BTC/USDT"]


async def test_live_order_count_counts_what_may_rest(
    clean_engine: AsyncEngine, registry: Registry
) -> None:
    owner = await make_owner(clean_engine)
    await owner.place(owner.intent(-1), owner.intent(-2))
    await execute(clean_engine, "UPDATE orders SET status = 'cancelled' WHERE slot = -2")
    assert await registry.live_order_count() == 1

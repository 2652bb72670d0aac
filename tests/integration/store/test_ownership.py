"""Only the current epoch's owner changes a shard, and only one node can become it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost
from grid.phase import Stage
from integration.store.factories import (
    EXECUTOR,
    Owner,
    execute,
    join_node,
    make_owner,
    own_fill,
    rows_of,
    select,
    start_workflow,
    value,
)
from orchestrator.workflows import run_shard_id
from ports.store import Changes, Ownership, Status
from store.repository import Repository
from unit.symbol_manager.factories import cancelling, make_phase

OTHER_EXECUTOR = "node-2:start-1"


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    return await make_owner(clean_engine)


async def test_claim_by_the_same_executor_raises_the_epoch(owner: Owner) -> None:
    again = await owner.claim_again()
    assert again.claim.ownership == Ownership(owner.claim.ownership.shard, 2)
    assert replace(again.claim, ownership=owner.claim.ownership) == owner.claim


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(Status.RUNNING, Status.STARTING, id="running"),
        pytest.param(Status.HALTED, Status.STARTING, id="halted"),
        pytest.param(Status.REMOVING, Status.REMOVING, id="removing"),
    ],
)
async def test_claim_shows_that_the_symbol_starts_unless_it_is_being_removed(
    owner: Owner, before: Status, after: Status
) -> None:
    await owner.repository.set_status(owner.claim.ownership, before, "")
    await owner.claim_again()
    assert await value(owner.engine, "SELECT status FROM shards") == after.value


async def claim_without_node(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await execute(engine, "DELETE FROM nodes")


async def claim_cancelled(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await start_workflow(engine, workflow_id, status="CANCELLED")


async def claim_resumed_elsewhere(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await start_workflow(engine, workflow_id, OTHER_EXECUTOR)


async def claim_removed(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await execute(engine, "UPDATE shards SET status = 'removed'")


async def claim_owned(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await join_node(engine, OTHER_EXECUTOR)
    await execute(engine, "UPDATE shards SET owner = :owner", owner=OTHER_EXECUTOR)


@pytest.mark.parametrize(
    "obstacle",
    [
        pytest.param(claim_without_node, id="own node declared dead"),
        pytest.param(claim_cancelled, id="workflow cancelled"),
        pytest.param(claim_resumed_elsewhere, id="workflow resumed by another"),
        pytest.param(claim_removed, id="symbol removed"),
        pytest.param(claim_owned, id="owned by a live node"),
    ],
)
async def test_claim_of_what_is_not_ours_is_refused_and_changes_nothing(
    owner: Owner, obstacle: Callable[[AsyncEngine, int, str], Awaitable[None]]
) -> None:
    shard = owner.claim.ownership.shard
    workflow_id = run_shard_id(owner.claim.key, shard)
    await obstacle(owner.engine, shard, workflow_id)
    with pytest.raises(OwnershipLost):
        await owner.repository.claim(shard, workflow_id)
    assert await value(owner.engine, "SELECT epoch FROM shards") == 1


async def test_claim_after_the_owners_node_is_gone_succeeds(owner: Owner) -> None:
    engine, shard = owner.engine, owner.claim.ownership.shard
    workflow_id = run_shard_id(owner.claim.key, shard)
    await join_node(engine, OTHER_EXECUTOR)
    await start_workflow(engine, workflow_id, OTHER_EXECUTOR)
    await execute(engine, "DELETE FROM nodes WHERE executor_id = :id", id=EXECUTOR)
    claim = await Repository(engine, OTHER_EXECUTOR).claim(shard, workflow_id)
    assert claim.ownership.epoch == 2
    with pytest.raises(OwnershipLost):
        await owner.record(Changes(is_reconciled=True))


async def test_stale_epoch_can_change_nothing(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.claim_again()
    before = (
        await select(owner.engine, "SELECT * FROM orders"),
        await select(owner.engine, "SELECT * FROM shards"),
    )

    with pytest.raises(OwnershipLost):
        await owner.place(owner.intent(-2))
    with pytest.raises(OwnershipLost):
        await owner.commit(cancelling(intent))
    with pytest.raises(OwnershipLost):
        await owner.record(own_fill(intent, "1", 5))
    with pytest.raises(OwnershipLost):
        await owner.repository.set_status(owner.claim.ownership, Status.HALTED, "stale")
    with pytest.raises(OwnershipLost):
        await owner.record(Changes(phase=make_phase(Stage.ENDED)))

    after = (
        await select(owner.engine, "SELECT * FROM orders"),
        await select(owner.engine, "SELECT * FROM shards"),
    )
    assert after == before
    rows = await rows_of(owner.engine, "decisions", "fills", "ledger", "instruments")
    assert rows == {"decisions": 1, "fills": 0, "ledger": 0, "instruments": 1}

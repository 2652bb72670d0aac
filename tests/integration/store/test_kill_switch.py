"""The kill switch obeys the newest of kills and re-arms, and remembers all of them."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.store.factories import ask, execute, make_owner, no_room_for, select, value
from store.kill_switch import KillSwitch


@pytest.fixture
def switch(clean_engine: AsyncEngine) -> KillSwitch:
    return KillSwitch(clean_engine)


async def test_kill_switch_engages_rearms_and_engages_again(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    assert not await switch.is_engaged()
    await switch.engage(reason="test", request_id="kill:1")
    await switch.engage(reason="test", request_id="kill:1")
    assert await switch.is_engaged()
    rearm = await ask(clean_engine, "rearm:1")
    await switch.rearm(reason="over", workflow_id=rearm)
    assert not await switch.is_engaged()
    await switch.engage(reason="again", request_id="kill:2")
    assert await switch.is_engaged()


async def test_rearm_older_than_the_kill_does_not_undo_it(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    rearm = await ask(clean_engine, "rearm:1", ago_ms=1_000)
    await switch.engage(reason="test", request_id="kill:1")
    await switch.rearm(reason="over", workflow_id=rearm)
    assert await switch.is_engaged()
    assert await value(clean_engine, "SELECT reason FROM kill_switch") == "test"


async def test_rearm_applied_again_does_not_undo_a_newer_kill(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    await switch.engage(reason="test", request_id="kill:1")
    rearm = await ask(clean_engine, "rearm:1")
    await switch.rearm(reason="over", workflow_id=rearm)
    await execute(clean_engine, "UPDATE dbos.workflow_status SET created_at = created_at - 1000")
    await switch.engage(reason="again", request_id="kill:2")
    await switch.rearm(reason="over", workflow_id=rearm)
    assert await switch.is_engaged()


async def test_kill_told_again_after_its_rearm_does_not_engage_again(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    """A caller who lost the answer asks with the same request id until it has one."""
    await switch.engage(reason="test", request_id="kill:1")
    await switch.rearm(reason="over", workflow_id=await ask(clean_engine, "rearm:1"))
    await switch.engage(reason="test", request_id="kill:1")
    assert not await switch.is_engaged()


async def test_live_order_count_counts_what_may_rest(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    owner = await make_owner(clean_engine)
    await owner.place(owner.intent(-1), owner.intent(-2))
    await execute(clean_engine, "UPDATE orders SET status = 'cancelled' WHERE slot = -2")
    assert await switch.live_order_count() == 1


async def test_log_keeps_every_kill_and_rearm_that_took_effect(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    late = await ask(clean_engine, "rearm:0", ago_ms=1_000)
    for request, reason in (
        ("kill:1", "drawdown"),
        ("kill:2", "to be sure"),
        ("kill:1", "drawdown"),
    ):
        await switch.engage(reason=reason, request_id=request)
    await switch.rearm(reason="too early", workflow_id=late)
    rearm = await ask(clean_engine, "rearm:1")
    await switch.rearm(reason="looked at", workflow_id=rearm)
    await switch.rearm(reason="looked at", workflow_id=rearm)
    await switch.engage(reason="to be sure", request_id="kill:2")
    assert not await switch.is_engaged()
    logged = await select(
        clean_engine,
        "SELECT request_id, engaged, reason FROM kill_switch_log ORDER BY changed_at",
    )
    assert [tuple(row) for row in logged] == [
        ("kill:1", True, "drawdown"),
        ("kill:2", True, "to be sure"),
        ("rearm:1", False, "looked at"),
    ]


async def test_reserved_switch_is_not_thrown_and_stays_as_it_is_once_thrown(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    await switch.reserve()
    assert not await switch.is_engaged()
    await switch.engage(reason="test", request_id="kill:1")
    await switch.reserve()
    assert await switch.is_engaged()


async def test_kill_that_cannot_be_logged_takes_effect_and_is_logged_with_its_rearm(
    clean_engine: AsyncEngine, switch: KillSwitch
) -> None:
    await switch.reserve()
    await switch.engage(reason="before", request_id="kill:1")
    await switch.rearm(reason="over", workflow_id=await ask(clean_engine, "rearm:1"))
    async with no_room_for(clean_engine, "kill_switch_log"):
        await switch.engage(reason="told again", request_id="kill:1")
        assert not await switch.is_engaged()
        await switch.engage(reason="full", request_id="kill:2")
        assert await switch.is_engaged()
    await switch.rearm(reason="room", workflow_id=await ask(clean_engine, "rearm:2"))
    logged = await select(
        clean_engine, "SELECT request_id, reason FROM kill_switch_log ORDER BY changed_at"
    )
    assert [row.request_id for row in logged] == ["kill:1", "rearm:1", "kill:2", "rearm:2"]
    assert logged[2].reason == "full"

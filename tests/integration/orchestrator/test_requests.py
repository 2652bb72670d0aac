"""What a request tells its caller when Postgres keeps only a part of it."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import StoreUnavailable
from integration.store.factories import no_room_for
from orchestrator.requests import Requests
from store.kill_switch import KillSwitch


async def test_kill_without_room_for_its_workflow_takes_effect_and_says_so(
    clean_engine: AsyncEngine,
) -> None:
    requests = Requests(clean_engine, "sim")
    async with no_room_for(clean_engine, "dbos.workflow_status"):
        with pytest.raises(StoreUnavailable, match="the kill switch is engaged, and nothing will"):
            await requests.kill("the disk is full", "first")
        assert await KillSwitch(clean_engine).is_engaged()
    told_again = await requests.kill("the disk is full", "first")
    progress = await requests.progress(told_again)
    assert progress is not None
    assert not progress.is_finished

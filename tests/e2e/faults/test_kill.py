"""kill -9 at every named step boundary, and of everything else; the auditor decides."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cli.crash_test import kill_postgres
from cli.local_system import demo_spec
from orchestrator.bootstrap import new_request_id
from ports.failpoints import Failpoint
from store.embedded_postgres import EmbeddedPostgres
from support.system import RunningSystem, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

KILLED = -9
FENCED = 75


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trading() -> AsyncIterator[RunningSystem]:
    """One system for all kills: what one leaves behind, the next ones have to live with."""
    async with running_system() as running:
        await running.add("BTC/USDT", "ETH/USDT")
        yield running


@pytest.mark.parametrize("point", list(Failpoint))
async def test_node_killed_at_failpoint_resumes_and_audits_clean(
    trading: RunningSystem, point: Failpoint
) -> None:
    system = trading.system
    await system.kill_node()
    if point.startswith("apply_change."):
        # The symbol is added anew, so that the change has something to record.
        await system.start_node()
        await trading.until_trading()
        asked = await trading.database.requests.remove("ETH/USDT", new_request_id())
        assert (await trading.database.requests.wait(asked, 30)).is_finished
        await system.kill_node()
        trading.acknowledged.append(asked)
        trading.acknowledged.append(
            await trading.database.requests.add("ETH/USDT", demo_spec(), new_request_id())
        )
    await system.start_node(failpoint=point)
    async with asyncio.timeout(60):
        assert await system.wait_node() == KILLED, system.log_tail("node")

    await system.start_node()

    await trading.assert_sound()
    assert await trading.value("SELECT count(*) FROM shards WHERE status = 'running'") == 2


async def test_postgres_killed_under_a_running_node_recovers(trading: RunningSystem) -> None:
    await trading.restart_node()
    await trading.until_trading()
    pid = trading.system.node.pid if trading.system.node else 0
    decided = await trading.value("SELECT count(*) FROM decisions")

    kill_postgres(trading.system.data_dir)

    await trading.until_rows("SELECT 1 FROM decisions HAVING count(*) > :n", n=decided)
    assert trading.system.node is not None
    assert trading.system.node.pid == pid
    assert trading.system.node.returncode is None, trading.system.log_tail("node")
    await trading.assert_sound()


async def test_postgres_hung_for_longer_than_the_lease_is_waited_out(
    trading: RunningSystem,
) -> None:
    await trading.until_trading()
    pid = trading.system.node_pid
    postmaster = EmbeddedPostgres(trading.system.data_dir).postmaster()
    assert postmaster is not None
    group = [postmaster.pid, *_children(postmaster.pid)]

    for member in group:
        os.kill(member, signal.SIGSTOP)
    await asyncio.sleep(trading.system.settings.lease_s + 2)
    for member in group:
        os.kill(member, signal.SIGCONT)

    await trading.assert_sound()
    assert trading.system.node_pid == pid
    assert trading.system.node is not None
    assert trading.system.node.returncode is None, trading.system.log_tail("node")


async def test_node_declared_dead_exits_at_once_and_its_successor_goes_on(
    trading: RunningSystem,
) -> None:
    await trading.until_trading()

    await trading.execute("DELETE FROM nodes")

    async with asyncio.timeout(15):
        assert await trading.system.wait_node() == FENCED, trading.system.log_tail("node")
    await trading.system.start_node()
    await trading.assert_sound()


async def test_postgres_and_node_killed_together_resume(trading: RunningSystem) -> None:
    kill_postgres(trading.system.data_dir)
    await trading.restart_node()

    await trading.assert_sound()


async def test_simulated_exchange_killed_and_restarted_is_reconciled(
    trading: RunningSystem,
) -> None:
    system = trading.system
    assert system.simulator is not None
    system.simulator.kill()
    await system.simulator.wait()

    await system.start_simulator()

    await trading.assert_sound()


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]

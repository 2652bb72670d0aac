"""While the disk of Postgres is full nothing can be committed; cancels leave all the same."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from chaos.disk import SmallDisk
from chaos.hands import open_orders
from cli.local_system import LocalSystem, Market, temporary_data_dir
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import new_request_id, open_database
from store.kill_switch import KillSwitch
from support.small_disk import mounted
from support.system import RunningSystem, eventually

SYMBOLS = ("BTC/USDT", "ETH/USDT")


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A file system for Postgres; what is not Postgres' has room of its own."""
    with mounted(path) as disk:
        for name in ("logs", "simulator"):
            (path.parent / name).mkdir()
            (path / name).symlink_to(path.parent / name)
        yield disk


@asynccontextmanager
async def full_disk(**environment: str) -> AsyncIterator[tuple[RunningSystem, SmallDisk]]:
    """A trading system whose Postgres could not write something down just now."""
    async with AsyncExitStack() as stack:
        data_dir = stack.enter_context(temporary_data_dir()) / "small"
        disk = stack.enter_context(small_disk(data_dir))
        system = LocalSystem(
            data_dir=data_dir, market=Market(symbols=SYMBOLS), environment=environment
        )
        stack.push_async_callback(system.close)
        await system.start_simulator()
        database = await stack.enter_async_context(open_database(system.settings))
        running = RunningSystem(system, database)
        await system.start_node()
        await running.add(*SYMBOLS)
        await running.until_rows("SELECT 1 FROM pairs")
        disk.fill()

        async def is_told() -> bool:
            return "disk_full" in system.log_tail("node", 10_000)

        await eventually(is_told, "the node says that the disk is full")
        assert await resting(system) > 0
        yield running, disk


async def resting(system: LocalSystem) -> int:
    return len(open_orders(await system.control("/control/state"), "spot"))


async def until_nothing_rests(system: LocalSystem) -> None:
    async def nothing_rests() -> bool:
        return await resting(system) == 0

    await eventually(nothing_rests, "all is cancelled")


async def test_row_20_stop_that_cancels_does_so_while_the_disk_is_full() -> None:
    async with full_disk(GRIDKEEPER_ON_SHUTDOWN="cancel") as (running, disk):
        system = running.system
        assert system.node is not None

        system.node.send_signal(signal.SIGTERM)
        await until_nothing_rests(system)

        # DBOS waits for room to end what it does, so a service manager kills the process.
        await system.kill_node()
        disk.empty()
        await system.start_node()
        await running.assert_sound()


async def test_row_20_kill_switch_cancels_while_the_disk_is_full() -> None:
    async with full_disk() as (running, disk):
        system, requests = running.system, running.database.requests

        # A page that is begun may have room for the workflow that confirms; the switch needs none.
        with suppress(StoreUnavailable):
            await requests.kill("the disk is full", new_request_id())
        await until_nothing_rests(system)

        assert await KillSwitch(running.database.engine).is_engaged()
        disk.empty()
        running.acknowledged.append(await requests.rearm("there is room", new_request_id()))
        await running.assert_sound()
        kept = await running.rows("SELECT engaged, reason FROM kill_switch_log ORDER BY changed_at")
        assert [tuple(row) for row in kept] == [
            (True, "the disk is full"),
            (False, "there is room"),
        ]

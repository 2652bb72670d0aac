"""From kill -9 of a node until each of its symbols is reconciled and runs again in the next one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from statistics import median
from unittest.mock import patch

from sqlalchemy import text

from cli import local_system
from cli.local_system import LocalSystem, Market, add_symbols, demo_spec, temporary_data_dir
from measurement import Result
from orchestrator.bootstrap import Database, open_database
from store.engine import transaction

KILLS = 5
WAIT_S = 120.0
POLL_S = 0.02

#: Base: tick, lot, first price, quantity shown. The demo plays five markets; these make it ten.
MORE_MARKETS = {
    "ADA/USDT": ("ADA", "0.0001", "0.1", "0.3400", "5000"),
    "DOT/USDT": ("DOT", "0.001", "0.01", "4.600", "500"),
    "LINK/USDT": ("LINK", "0.01", "0.01", "10.40", "200"),
    "LTC/USDT": ("LTC", "0.01", "0.001", "60.00", "50"),
    "AVAX/USDT": ("AVAX", "0.01", "0.01", "22.00", "100"),
}
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT", *MORE_MARKETS)

#: What a node loads before its own code runs.
BARE_START = "import dbos, ccxt.pro"

#: Said of no symbol while no node lives, so that `running` is the next node's own word.
_FORGET_STATUS = text("UPDATE shards SET status = 'starting'")
_RUNNING = text("SELECT count(*) FROM shards WHERE status = 'running'")


async def measure() -> Sequence[Result]:
    with (
        temporary_data_dir() as data_dir,
        patch.dict(local_system._MARKETS, MORE_MARKETS),
    ):
        system = LocalSystem(data_dir=data_dir, market=Market(symbols=SYMBOLS))
        try:
            await system.start_simulator()
            async with open_database(system.settings) as database:
                await system.start_node()
                await add_symbols(database, SYMBOLS, demo_spec("1.002"))
                return [await back_after_kills(system, database, len(SYMBOLS), KILLS)]
        finally:
            await system.close()


async def back_after_kills(
    system: LocalSystem, database: Database, count: int, kills: int, aim: float | None = None
) -> Result:
    """From SIGKILL until so many symbols run again, beside a bare start."""
    back_s, bare_s = [], []
    for _ in range(kills):
        started_s = time.perf_counter()
        await system.kill_node()
        async with transaction(database.engine) as connection:
            await connection.execute(_FORGET_STATUS)
        await system.start_node()
        await until_running(database, count)
        back_s.append(time.perf_counter() - started_s)
        bare_s.append(await _bare_start())
    return Result(
        case=f"kill -9 until {count} symbols run again",
        case_s=median(back_s),
        baseline=f"python -c '{BARE_START}'",
        baseline_s=median(bare_s),
        repetitions=kills,
        aim=aim,
    )


async def until_running(database: Database, count: int) -> None:
    """Wait until so many symbols say that they run."""
    async with asyncio.timeout(WAIT_S):
        while await _running(database) < count:  # noqa: ASYNC110  # another process's work
            await asyncio.sleep(POLL_S)


async def _running(database: Database) -> int:
    async with transaction(database.engine) as connection:
        return int((await connection.execute(_RUNNING)).scalar_one())


async def _bare_start() -> float:
    started_s = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BARE_START)
    assert await process.wait() == 0
    return time.perf_counter() - started_s

"""A hundred symbols on one node: what they cost in memory and time, and how soon they are back.

Real processes. Prices move once a second: what is measured is the shards, not the market.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from bench_cold_start import back_after_kills, until_running
from cli import local_system
from cli.local_system import LocalSystem, Market, add_symbols, demo_spec, temporary_data_dir
from measurement import Result
from orchestrator.bootstrap import Database, open_database

COUNT = 100
MARKETS = {
    f"C{number:02}/USDT": (f"C{number:02}", "0.01", "0.001", f"{100 + number}.00", "50")
    for number in range(COUNT)
}
SYMBOLS = tuple(MARKETS)
#: After the last symbol was added: what it owes the venue in questions is asked then.
SETTLE_S = 20.0
WATCHED_S = 20.0
KILLS = 3
BATCH = 10
SYMBOL_MB_MAX = 5.0
IDLE_PERCENT_MAX = 20.0
#: How many are killed and come back, and within how many times the baseline: 5 s and 10 s where
#: that takes 1.1 s.
BACK_MAX = {50: 4.5, COUNT: 9}
_MEGABYTE = 1_000_000
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


async def measure() -> Sequence[Result]:
    with (
        temporary_data_dir() as data_dir,
        patch.dict(local_system._MARKETS, MARKETS),
    ):
        market = Market(symbols=SYMBOLS, ticks_per_s=1)
        system = LocalSystem(data_dir=data_dir, market=market)
        try:
            await system.start_simulator()
            async with open_database(system.settings) as database:
                await system.start_node()
                return await _measure(system, database)
        finally:
            await system.close()


async def _measure(system: LocalSystem, database: Database) -> Sequence[Result]:
    spec = demo_spec("1.01")
    await add_symbols(database, SYMBOLS[:1], spec)
    one_bytes, one_share = await _watched(_pid(system))
    running = 1
    back: list[Result] = []
    for count, back_max in BACK_MAX.items():
        for first in range(running, count, BATCH):  # the venue's rate limit would hold up more
            await add_symbols(database, SYMBOLS[first : min(first + BATCH, count)], spec)
        running = count
        await until_running(database, count)
        await asyncio.sleep(SETTLE_S)
        if count == COUNT:
            all_bytes, all_share = await _watched(_pid(system))
        back.append(await back_after_kills(system, database, count, KILLS, back_max))
    return [
        Result(
            case=f"memory of each of {COUNT} symbols, beyond a node of one",
            case_s=(all_bytes - one_bytes) / (COUNT - 1) / _MEGABYTE,
            baseline="what each may take",
            baseline_s=SYMBOL_MB_MAX,
            repetitions=1,
            aim=1,
            unit="MB",
        ),
        Result(
            case=f"processor time of {COUNT} idle symbols, of one {one_share:.1%}",
            case_s=all_share * 100,
            baseline="what all may take",
            baseline_s=IDLE_PERCENT_MAX,
            repetitions=1,
            aim=1,
            unit="% of a core",
        ),
        *back,
    ]


def _pid(system: LocalSystem) -> int:
    assert system.node is not None
    return system.node.pid


async def _watched(pid: int) -> tuple[int, float]:
    """Resident bytes of a process, and the part of a core it uses."""
    before = _cpu_s(pid)
    await asyncio.sleep(WATCHED_S)
    return _resident_bytes(pid), (_cpu_s(pid) - before) / WATCHED_S


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

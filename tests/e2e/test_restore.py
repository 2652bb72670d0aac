"""The database is lost while symbols trade; the exchange alone brings them back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.crash_test import kill_postgres
from cli.local_system import LocalSystem, Market, demo_spec, temporary_data_dir
from orchestrator.bootstrap import open_database
from support.system import RunningSystem

SYMBOLS = ("BTC/USDT", "ETH/USDT")
#: A restoration watches for a while whether the installation that it takes for dead trades.
RESTORE_WAIT_S = 120.0

SLOTS = """
    SELECT shard, ladder_version, slot, inventory, cost, closed, closed_cost, proceeds, fee_base,
           fee_quote, trades
      FROM slots WHERE trades > 0 ORDER BY shard, ladder_version, slot
"""
#: The last id of each slot and side that an exchange order has; what was refused has none.
USED = """
    SELECT shard, ladder_version, slot, side, max(generation) FROM orders
     WHERE venue_order_id IS NOT NULL
     GROUP BY shard, ladder_version, slot, side ORDER BY shard, ladder_version, slot, side
"""
NEXT_IDS_ARE_NEW = """
    SELECT bool_and(CASE side WHEN 'buy' THEN buy_generation ELSE sell_generation END >= generation)
      FROM orders JOIN slots USING (shard, ladder_version, slot)
"""
PAIRS = """
    SELECT shard, ladder_version, slot, closing_trade_id, quantity, cost, proceeds, profit
      FROM pairs ORDER BY shard, closing_trade_id
"""
FILLS = "SELECT symbol, trade_id, client_order_id, origin, fee FROM fills ORDER BY symbol, trade_id"
LIVE = """
    SELECT client_order_id, price, quantity, filled, venue_order_id FROM orders
     WHERE status IN ('open', 'partially_filled') ORDER BY client_order_id
"""
TRADED = """
    SELECT 1 FROM pairs HAVING count(DISTINCT shard) = 2 AND count(*) >= 4
       AND (SELECT count(*) FROM slots WHERE inventory > 0) >= 2
"""


async def gridkeeper(system: LocalSystem, *arguments: str) -> tuple[int, Any]:
    """Run one command as an operator would; its exit code and its answer."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("GRIDKEEPER_")},
        "GRIDKEEPER_DATA_DIR": str(system.data_dir),
        "GRIDKEEPER_ACCOUNT__SIMULATOR_DIR": str(system.simulator_dir),
        **system.environment,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli.main", *arguments, "-o", "json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    async with asyncio.timeout(RESTORE_WAIT_S):
        out, errors = await process.communicate()
    assert process.returncode is not None
    assert out, errors.decode()
    return process.returncode, json.loads(out)


async def freeze(system: LocalSystem, *, is_frozen: bool) -> None:
    await system.control("/control/freeze", {"symbol": "all", "frozen": is_frozen})


def declare(path: Path, symbols: Sequence[str], ratio: str = "1.0005") -> str:
    path.write_text(yaml.safe_dump({"symbols": {each: demo_spec(ratio) for each in symbols}}))
    return str(path)


async def facts(running: RunningSystem) -> dict[str, list[Any]]:
    queries = {"slots": SLOTS, "used": USED, "pairs": PAIRS, "fills": FILLS, "live": LIVE}
    return {
        name: [tuple(row) for row in await running.rows(query)] for name, query in queries.items()
    }


@pytest.fixture
def data_dir() -> Any:
    with temporary_data_dir() as path:
        yield path


async def test_lost_database_is_rebuilt_from_the_exchange_and_trades_on(
    data_dir: Path, tmp_path: Path
) -> None:
    system = LocalSystem(data_dir=data_dir, market=Market(symbols=SYMBOLS))
    try:
        await system.start_simulator()
        async with open_database(system.settings) as database:
            await system.start_node()
            running = RunningSystem(system, database)
            await running.add(*SYMBOLS)
            await running.until_rows(TRADED)
            await freeze(system, is_frozen=True)
            await running.assert_sound()
            known = await facts(running)
            await system.kill_node()
            kill_postgres(data_dir)
        kill_postgres(data_dir)
        shutil.rmtree(data_dir / "postgres")

        wrong = declare(tmp_path / "wrong.yaml", SYMBOLS, ratio="1.0007")
        code, refused = await gridkeeper(system, "restore", "--file", wrong, "--yes")
        assert code == 4
        assert "spacing" in " ".join(refused["problems"])
        file = declare(tmp_path / "symbols.yaml", SYMBOLS)
        code, shown = await gridkeeper(system, "restore", "--file", file, "--preview")
        assert (code, shown["restored"], shown["problems"]) == (0, False, [])
        code, done = await gridkeeper(system, "restore", "--file", file, "--yes")
        assert (code, done["restored"]) == (0, True)

        async with open_database(system.settings) as database:
            running = RunningSystem(system, database)
            assert await facts(running) == known
            assert await running.value(NEXT_IDS_ARE_NEW)
            await system.start_node()
            await running.until_trading()
            assert (await facts(running))["slots"] == known["slots"]
            await freeze(system, is_frozen=False)
            before = len(known["fills"])
            await running.until_rows("SELECT 1 FROM fills HAVING count(*) > :n + 3", n=before)
            await running.assert_sound()
            await system.stop_node()
    finally:
        await system.close()

"""The database is lost while symbols trade; the exchange alone brings them back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.crash_test import kill_postgres
from cli.exits import Exit
from cli.local_system import (
    LocalSystem,
    Market,
    add_symbols,
    demo_spec,
    temporary_data_dir,
)
from orchestrator.bootstrap import open_database
from support.system import RunningSystem

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
    SELECT 1 FROM pairs HAVING count(DISTINCT shard) = :symbols AND count(*) >= 4
       AND (SELECT count(*) FROM slots WHERE inventory <> 0) >= 2
"""


@dataclass(frozen=True)
class Case:
    symbols: tuple[str, ...]
    #: The grid of each, and one whose levels its orders cannot have stood on.
    spec: dict[str, object]
    wrong: dict[str, object]
    #: How the simulator's markets are named.
    markets: dict[str, object]
    environment: dict[str, str]


SPOT = Case(
    symbols=("BTC/USDT", "ETH/USDT"),
    spec=demo_spec(),
    wrong=demo_spec("1.0007"),
    markets={"symbol": "all"},
    environment={},
)
NEUTRAL: dict[str, object] = {
    "mode": "neutral",
    "spacing": {"kind": "geometric", "ratio": "1.0005"},
    "range": {"kind": "window", "buy_window": 4, "sell_window": 4},
    "order_size": {"kind": "quote", "amount": "200"},
    "budget_quote": "5000",
}
LINEAR = Case(
    symbols=("BTC/USDT:USDT",),
    spec=NEUTRAL,
    wrong={**NEUTRAL, "spacing": {"kind": "geometric", "ratio": "1.0007"}},
    markets={"symbol": "BTCUSDT", "market": "futures"},
    environment={"GRIDKEEPER_ACCOUNT__MARKET": "linear", "GRIDKEEPER_ACCOUNT__LEVERAGE": "2"},
)


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


async def freeze(system: LocalSystem, case: Case, *, is_frozen: bool) -> None:
    await system.control("/control/freeze", {**case.markets, "frozen": is_frozen})


def declare(path: Path, case: Case, spec: dict[str, object]) -> str:
    path.write_text(yaml.safe_dump({"symbols": dict.fromkeys(case.symbols, spec)}))
    return str(path)


async def facts(running: RunningSystem) -> dict[str, list[Any]]:
    queries = {"slots": SLOTS, "used": USED, "pairs": PAIRS, "fills": FILLS, "live": LIVE}
    return {
        name: [tuple(row) for row in await running.rows(query)] for name, query in queries.items()
    }


async def trade_and_lose_everything(system: LocalSystem, case: Case) -> dict[str, list[Any]]:
    """Trade until slots hold and pairs are closed, then kill -9 and delete; what was known."""
    await system.start_simulator()
    async with open_database(system.settings) as database:
        await system.start_node()
        running = RunningSystem(system, database)
        running.acknowledged += await add_symbols(database, case.symbols, case.spec)
        await running.until_rows(TRADED, symbols=len(case.symbols))
        await freeze(system, case, is_frozen=True)
        await running.assert_sound()
        known = await facts(running)
        await system.kill_node()
        kill_postgres(system.data_dir)
    kill_postgres(system.data_dir)
    shutil.rmtree(system.data_dir / "postgres")
    return known


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with temporary_data_dir() as path:
        yield path


@pytest.mark.parametrize("case", [pytest.param(SPOT, id="spot"), pytest.param(LINEAR, id="linear")])
async def test_lost_database_is_rebuilt_from_the_exchange_and_trades_on(
    data_dir: Path, tmp_path: Path, case: Case
) -> None:
    system = LocalSystem(
        data_dir=data_dir, market=Market(symbols=case.symbols), environment=case.environment
    )
    try:
        known = await trade_and_lose_everything(system, case)

        wrong = declare(tmp_path / "wrong.yaml", case, case.wrong)
        code, refused = await gridkeeper(system, "restore", "--file", wrong, "--yes")
        assert code == Exit.REFUSED
        assert "`spacing` must put the prices" in " ".join(refused["problems"])
        file = declare(tmp_path / "symbols.yaml", case, case.spec)
        code, done = await gridkeeper(system, "restore", "--file", file, "--yes")
        assert (code, done["restored"]) == (Exit.OK, True), done

        async with open_database(system.settings) as database:
            running = RunningSystem(system, database)
            assert await facts(running) == known
            assert await running.value(NEXT_IDS_ARE_NEW)
            await system.start_node()
            await running.until_trading()
            await running.assert_sound()
            assert (await facts(running))["slots"] == known["slots"]
            assert await running.rows("SELECT kind, subject FROM findings") == []
            await freeze(system, case, is_frozen=False)
            before = len(known["fills"])
            await running.until_rows("SELECT 1 FROM fills HAVING count(*) > :n + 3", n=before)
            await running.assert_sound()
            await system.stop_node()
    finally:
        await system.close()

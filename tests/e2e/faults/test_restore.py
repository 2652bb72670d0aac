"""The database is lost or put back while symbols trade; the exchange alone brings them back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
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
from domain.ids import DecisionId, SlotId
from domain.instrument import Rounding
from domain.orders import Intent
from domain.plans import CommittedPlan, Place, Plan
from orchestrator.bootstrap import open_database, open_exchange
from ports.exchange import Accepted
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
#: Orders of a symbol's last epoch: ids that a copy from before it does not have.
NEW_ORDERS = """
    SELECT 1 FROM orders JOIN decisions USING (decision_id, shard) JOIN shards USING (shard)
     WHERE symbol = :symbol AND decisions.epoch = shards.epoch AND venue_order_id IS NOT NULL
"""
MORE_FILLS = "SELECT 1 FROM fills HAVING count(*) > :n + 3"
ROLLED_BACK = """
    SELECT 1 FROM shards
     WHERE status = 'halted' AND status_reason LIKE '%database is older than the exchange%restore%'
    HAVING count(*) = :symbols
"""
CANCELLED = """
    SELECT 1 FROM orders WHERE client_order_id = :client_order_id AND status = 'cancelled'
"""
CAME_AS_FAR = """
    SELECT CASE :side WHEN 'buy' THEN buy_generation ELSE sell_generation END >= :generation
      FROM slots WHERE shard = :shard AND ladder_version = :version AND slot = :slot
"""
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


async def trade_back_up_and_trade_on(system: LocalSystem, case: Case) -> dict[str, list[Any]]:
    """Trade, copy the database while nothing runs, and trade on; what was known in the end."""
    postgres, copy = system.data_dir / "postgres", system.data_dir / "copy"
    await system.start_simulator()
    async with open_database(system.settings) as database:
        await system.start_node()
        running = RunningSystem(system, database)
        running.acknowledged += await add_symbols(database, case.symbols, case.spec)
        await running.until_rows(TRADED, symbols=len(case.symbols))
        before = len(await running.rows(FILLS))
        await system.stop_node()
    copying = await asyncio.create_subprocess_exec("cp", "--archive", postgres, copy)
    assert await copying.wait() == 0
    async with open_database(system.settings) as database:
        await system.start_node()
        running = RunningSystem(system, database)
        for symbol in case.symbols:
            await running.until_rows(NEW_ORDERS, symbol=symbol)
        await running.until_rows(MORE_FILLS, n=before)
        await freeze(system, case, is_frozen=True)
        await running.assert_sound()
        known = await facts(running)
        await system.stop_node()
    shutil.rmtree(postgres)
    copy.rename(postgres)
    return known


async def accepted(system: LocalSystem) -> list[str]:
    """The client ids of all orders that the exchange ever took."""
    ledger: Any = await system.control("/control/ledger")
    kinds = [record for record in ledger["records"] if record["kind"] == "order_accepted"]
    return [record["client_order_id"] for record in kinds]


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
            await running.until_rows(MORE_FILLS, n=before)
            await running.assert_sound()
            await system.stop_node()
    finally:
        await system.close()


async def test_database_put_back_is_noticed_before_anything_is_sent_and_rebuilt(
    data_dir: Path, tmp_path: Path
) -> None:
    case = SPOT
    system = LocalSystem(data_dir=data_dir, market=Market(symbols=case.symbols))
    try:
        known = await trade_back_up_and_trade_on(system, case)
        taken = await accepted(system)
        await freeze(system, case, is_frozen=False)

        async with open_database(system.settings) as database:
            await system.start_node()
            running = RunningSystem(system, database)
            await running.until_rows(ROLLED_BACK, symbols=len(case.symbols))
            await freeze(system, case, is_frozen=True)
            assert await accepted(system) == taken
            file = declare(tmp_path / "symbols.yaml", case, case.spec)
            code, refused = await gridkeeper(system, "restore", "--file", file, "--yes")
            assert code == Exit.REFUSED
            assert "only an empty one is rebuilt" in refused["error"]["message"], refused
            await system.stop_node()
        shutil.rmtree(data_dir / "postgres")
        code, done = await gridkeeper(system, "restore", "--file", file, "--yes")
        assert (code, done["restored"]) == (Exit.OK, True), done

        async with open_database(system.settings) as database:
            running = RunningSystem(system, database)
            traded = await running.rows(FILLS)
            assert {row.trade_id for row in traded} >= {row[1] for row in known["fills"]}
            await system.start_node()
            await freeze(system, case, is_frozen=False)
            await running.until_rows(MORE_FILLS, n=len(traded))
            await running.assert_sound()
            taken = await accepted(system)
            assert len(set(taken)) == len(taken)
            await system.stop_node()
    finally:
        await system.close()


async def filled_ms(system: LocalSystem) -> list[int]:
    """When orders were filled, by the exchange's clock."""
    ledger: Any = await system.control("/control/ledger")
    return [r["time_ms"] for r in ledger["records"] if r["kind"] == "order_filled"]


async def test_restoration_since_a_moment_leaves_out_what_ended_before_and_trades_on(
    data_dir: Path, tmp_path: Path
) -> None:
    case = SPOT
    system = LocalSystem(data_dir=data_dir, market=Market(symbols=case.symbols))
    try:
        known = await trade_and_lose_everything(system, case)
        times = await filled_ms(system)
        since = datetime.fromtimestamp(times[len(times) // 2] / 1_000, tz=UTC)
        file = declare(tmp_path / "symbols.yaml", case, case.spec)
        code, done = await gridkeeper(
            system, "restore", "--file", file, "--since", since.isoformat(), "--yes"
        )
        assert (code, done["restored"]) == (Exit.OK, True), done

        async with open_database(system.settings) as database:
            running = RunningSystem(system, database)
            found = await facts(running)
            assert found["live"] == known["live"]
            assert 0 < len(found["fills"]) < len(known["fills"])
            assert set(found["fills"]) < set(known["fills"])
            names = ("shard", "version", "slot", "side", "generation")
            for row in known["used"]:  # what is left out has used its ids all the same
                assert await running.value(CAME_AS_FAR, **dict(zip(names, row, strict=True))), row
            await system.start_node()
            await running.until_trading()
            await running.assert_sound()
            await freeze(system, case, is_frozen=False)
            await running.until_rows(MORE_FILLS, n=len(found["fills"]))
            await running.assert_sound()
            taken = await accepted(system)
            assert len(set(taken)) == len(taken)
            await system.stop_node()
    finally:
        await system.close()


async def place_beside_its_level(system: LocalSystem) -> str:
    """Send an order for a far slot, a tick off its level, as no grid would; its client id."""
    exchange = open_exchange(system.settings)
    try:
        resting = await exchange.fetch_open_orders("BTC/USDT")
        report = min(resting, key=lambda report: report.price)
        tag = exchange.ids.decode(report.client_order_id)
        assert tag is not None
        instrument = (await exchange.load_instruments())["BTC/USDT"]
        number = tag.slot.number - 40
        tag = replace(tag, slot=SlotId(tag.slot.version, number), generation=1)
        intent = Intent(
            client_order_id=exchange.ids.encode(tag),
            tag=tag,
            price_ticks=instrument.price_to_ticks(report.price * Decimal("0.97"), Rounding.FLOOR),
            quantity_lots=instrument.quantity_to_lots(report.quantity * 2, Rounding.FLOOR),
        )
        plan = Plan(places=(Place(intent=intent, reason="test"),))
        committed = CommittedPlan(
            decision_id=DecisionId("test:0:0"), shard=tag.shard, epoch=0, plan=plan
        )
        outcomes = await exchange.submit(committed, instrument, lambda: None)
        assert isinstance(outcomes.places[0], Accepted), outcomes
        return intent.client_order_id
    finally:
        await exchange.close()


async def test_restoration_has_an_order_that_fits_nowhere_cancelled(
    data_dir: Path, tmp_path: Path
) -> None:
    case = SPOT
    system = LocalSystem(data_dir=data_dir, market=Market(symbols=case.symbols))
    try:
        known = await trade_and_lose_everything(system, case)
        beside = await place_beside_its_level(system)
        file = declare(tmp_path / "symbols.yaml", case, case.spec)
        code, refused = await gridkeeper(system, "restore", "--file", file, "--yes")
        assert code == Exit.REFUSED
        assert f"order {beside} fits nowhere" in " ".join(refused["problems"])
        code, done = await gridkeeper(
            system, "restore", "--file", file, "--cancel-unknown", "--yes"
        )
        assert (code, done["restored"]) == (Exit.OK, True), done

        async with open_database(system.settings) as database:
            running = RunningSystem(system, database)
            await system.start_node()
            await running.until_rows(CANCELLED, client_order_id=beside)
            await running.until_trading()
            assert (await facts(running))["live"] == known["live"]
            await freeze(system, case, is_frozen=False)
            await running.until_rows(MORE_FILLS, n=len(known["fills"]))
            await running.assert_sound()
            await system.stop_node()
    finally:
        await system.close()

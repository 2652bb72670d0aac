"""Removals: kept or closed, asked for on the command line and written down in Postgres."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import symbol_key
from grid.ladder import LadderVersion
from grid.phase import first_phase
from grid.spec import ArithmeticSpacing
from orchestrator.requests import Requests
from orchestrator.workflows import (
    APPLICATION_NAME,
    APPLICATION_VERSION,
    RUN_SHARD,
    SHARDS_QUEUE,
)
from ports.store import Desired
from store.engine import transaction
from store.registry import NewSymbol, Registry
from support.command_line import CommandLine
from support.fake_exchange import BTC

GRID = {
    "spacing": {"kind": "arithmetic", "step": "300"},
    "range": {"kind": "window", "buy_window": 2, "sell_window": 2},
    "order_size": {"kind": "base", "amount": "0.001"},
    "budget_quote": "1000",
}
RUN = {
    "name": RUN_SHARD,
    "queue": SHARDS_QUEUE,
    "app_version": APPLICATION_VERSION,
    "app_name": APPLICATION_NAME,
}


@pytest.fixture
async def traded(engine: AsyncEngine) -> AsyncEngine:
    """A database with one symbol that is traded."""
    key = symbol_key(BTC.account, BTC.symbol)
    added = await Requests(engine, BTC.account).add(BTC.symbol, GRID, "first")
    new = NewSymbol(
        key=key,
        account=BTC.account,
        symbol=BTC.symbol,
        spec=GRID,
        start_price=Decimal(60_000),
        phase=first_phase(None, Decimal(60_000)),
        ladder=LadderVersion(
            version=0, anchor=Decimal(60_000), spacing=ArithmeticSpacing(step=Decimal(300))
        ),
        instrument=BTC,
        requested_by=added,
        last_trade_id=None,
        balances={"USDT": Decimal(10_000)},
    )
    await Registry(engine).add_symbol(new, RUN, f"{RUN_SHARD}:{key}")
    return engine


async def wish(engine: AsyncEngine, desired: Desired, request_id: str) -> bool:
    """Ask for it and write it down as `apply_change` does; whether that was allowed."""
    asked = await Requests(engine, BTC.account).reconcile(BTC.symbol, request_id)
    found = await Registry(engine).desire(BTC.account, BTC.symbol, desired, asked)
    return found is not None


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        pytest.param(Desired.CLOSED, Desired.REMOVED, True, id="closing may become plain"),
        pytest.param(Desired.CLOSED, Desired.CLOSED, True, id="closing again"),
        pytest.param(Desired.CLOSED, Desired.RUNNING, False, id="closing is not undone"),
        pytest.param(Desired.CLOSED, Desired.PAUSED, False, id="closing is not paused"),
        pytest.param(Desired.REMOVED, Desired.CLOSED, False, id="plain closes nothing more"),
        pytest.param(Desired.REMOVED, Desired.RUNNING, False, id="plain is not undone"),
        pytest.param(Desired.PAUSED, Desired.CLOSED, True, id="paused may close"),
    ],
)
async def test_removal_is_not_undone_and_closing_may_become_plain(
    traded: AsyncEngine, first: Desired, second: Desired, allowed: bool
) -> None:
    assert await wish(traded, first, "r1")
    assert await wish(traded, second, "r2") is allowed
    async with transaction(traded) as connection:
        desired = (await connection.execute(text("SELECT desired FROM shards"))).scalar_one()
    assert desired == (second if allowed else first)


@pytest.mark.parametrize(
    ("options", "close"),
    [
        pytest.param([], None, id="by default"),
        pytest.param(["--keep"], None, id="keep"),
        pytest.param(["--close"], True, id="close"),
    ],
)
def test_remove_asks_for_the_inventory_to_be_kept_or_closed(
    gridkeeper: CommandLine,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    close: bool | None,
) -> None:
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", postgres_dsn)
    gridkeeper("symbol", "remove", "BTC/USDT", *options, "--request-id", "r1")
    asked = gridkeeper.json("workflow", "show", "remove:sim-BTC-USDT:r1")
    assert asked["input"]["positionalArgs"][0].get("close") is close

"""What a file declares against what Postgres has: in an order that works, and asked for once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import symbol_key
from grid.spec import GridSpec
from integration.store.factories import add_symbol, execute, new_symbol, value
from orchestrator.declared import Action, Difference, ask_for, compare
from orchestrator.requests import Requests
from risk.reservations import PortfolioLimits
from store.reservations import keep_balances
from support.fake_exchange import BTC, FakeExchange
from unit.symbol_manager.factories import make_spec

D = Decimal


@pytest.fixture
async def account(clean_engine: AsyncEngine) -> AsyncEngine:
    """BTC/USDT and ETH/USDT are traded with 400 each, of 1000."""
    for base in ("BTC", "ETH"):
        market = replace(BTC, symbol=f"{base}/USDT", base=base)
        symbol = new_symbol(
            f"add:{base}",
            market,
            key=symbol_key("sim", market.symbol),
            spec=spec("400").model_dump(mode="json"),
        )
        await add_symbol(clean_engine, symbol)
    await keep_balances(clean_engine, "sim", {"USDT": D(1000)})
    return clean_engine


def spec(budget: str, **changes: Any) -> GridSpec:
    return make_spec(budget_quote=budget, **changes)


async def differences(
    engine: AsyncEngine,
    wanted: dict[str, GridSpec],
    *,
    prunes: bool = False,
    limits: PortfolioLimits = PortfolioLimits(),  # noqa: B008  # frozen, and bounds nothing
    exchange: FakeExchange | None = None,
) -> dict[str, Difference]:
    found = await compare(engine, "sim", wanted, prunes=prunes, limits=limits, exchange=exchange)
    return {each.symbol: each for each in found}


def sol_exchange() -> FakeExchange:
    exchange = FakeExchange(instrument=replace(BTC, symbol="SOL/USDT", base="SOL"))
    exchange.set_price("100.00", "100.01", 0)
    exchange.balances = {"USDT": D(1000), "SOL": D(0)}
    return exchange


async def test_each_symbol_is_told_by_what_it_needs(account: AsyncEngine) -> None:
    found = await differences(
        account, {"BTC/USDT": spec("400.0"), "SOL/USDT": spec("200")}, exchange=sol_exchange()
    )
    assert {name: each.action for name, each in found.items()} == {
        "SOL/USDT": Action.ADD,
        "BTC/USDT": Action.UNCHANGED,
        "ETH/USDT": Action.UNDECLARED,
    }
    assert found["SOL/USDT"].check is not None
    assert [each.problem for each in found.values()] == ["", "", ""]


async def test_update_tells_the_fields_that_change(account: AsyncEngine) -> None:
    found = await differences(account, {"BTC/USDT": spec("500", max_open_orders=9)})
    assert found["BTC/USDT"].changes == {
        "budget_quote": ("400", "500"),
        "max_open_orders": (200, 9),
    }
    assert found["BTC/USDT"].version == 1


async def test_what_makes_room_comes_first(account: AsyncEngine) -> None:
    """ETH gives up 300 before BTC takes them, and SOL gets what a removal leaves."""
    swapped = {"BTC/USDT": spec("900"), "ETH/USDT": spec("100")}
    found = await differences(account, swapped)
    assert list(found) == ["ETH/USDT", "BTC/USDT"]
    assert not any(each.problem for each in found.values())

    pruned = {"BTC/USDT": spec("500"), "SOL/USDT": spec("500")}
    found = await differences(account, pruned, prunes=True, exchange=sol_exchange())
    assert [each.action for each in found.values()] == [Action.REMOVE, Action.UPDATE, Action.ADD]
    assert not any(each.problem for each in found.values())
    kept = await differences(account, pruned, exchange=sol_exchange())
    assert "use 100 or less" in kept["SOL/USDT"].problem


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        pytest.param({"BTC/USDT": spec("601")}, "use 600 or less", id="money"),
        pytest.param(
            {"SOL/USDT": spec("200", spacing={"kind": "arithmetic", "step": "0.01"})},
            "maker fees",
            id="market",
        ),
        pytest.param({"DOGE/USDT": spec("200")}, "not traded on account sim", id="no market"),
    ],
)
async def test_what_would_be_refused_says_why(
    account: AsyncEngine, wanted: dict[str, GridSpec], word: str
) -> None:
    found = await differences(account, wanted, exchange=sol_exchange())
    assert word in next(iter(found.values())).problem


async def test_limits_on_all_symbols_judge_all_changes_together(account: AsyncEngine) -> None:
    wanted = {"BTC/USDT": spec("450"), "ETH/USDT": spec("450")}
    limits = PortfolioLimits(max_total_budget_any_quote=D(850))
    problems = [
        each.problem for each in (await differences(account, wanted, limits=limits)).values()
    ]
    assert problems[0] == ""
    assert "max_total_budget_quote" in problems[1]


async def test_symbol_on_its_way_out_can_neither_change_nor_is_it_removed_again(
    account: AsyncEngine,
) -> None:
    await execute(account, "UPDATE shards SET desired = 'closed' WHERE symbol = 'BTC/USDT'")
    declared = await differences(account, {"BTC/USDT": spec("400")})
    assert "being removed" in declared["BTC/USDT"].problem
    assert list(await differences(account, {}, prunes=True)) == ["ETH/USDT"]


async def test_same_change_is_asked_for_once_and_anew_after_a_refusal(
    account: AsyncEngine,
) -> None:
    requests = Requests(account, "sim")
    wanted = {"BTC/USDT": spec("500")}

    async def ask() -> str:
        (difference,) = (
            each
            for each in (await differences(account, wanted)).values()
            if each.action is Action.UPDATE
        )
        return await ask_for(requests, "sim", difference)

    first = await ask()
    assert first == await ask()
    await end(account, first, '{"outcome": "refused", "reason": "no money"}')
    second = await ask()
    assert second != first
    assert second == await ask()
    await execute(account, "UPDATE shards SET spec_version = 2 WHERE symbol = 'BTC/USDT'")
    assert await ask() not in {first, second}
    assert (
        await value(
            account, "SELECT count(*) FROM dbos.workflow_status WHERE name = :n", n="apply_change"
        )
        == 5
    )


async def end(engine: AsyncEngine, workflow_id: str, output: str) -> None:
    await execute(
        engine,
        "UPDATE dbos.workflow_status SET status = 'SUCCESS', output = :output"
        " WHERE workflow_uuid = :id",
        id=workflow_id,
        output=output,
    )

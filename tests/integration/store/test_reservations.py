"""The account's money is reserved once, whoever asks at the same moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigurationError, RequestRefused
from domain.ids import symbol_key
from domain.instrument import Instrument
from grid.edits import edit_grid
from integration.store.factories import (
    RUN,
    add_symbol,
    ask,
    execute,
    make_owner,
    new_symbol,
    rows_of,
    value,
)
from orchestrator.workflows import RUN_SHARD
from ports.store import Changes
from risk.reservations import PortfolioLimits
from store.registry import NewSymbol, Registry
from store.reservations import Room, account_use, are_balances_old, keep_balances
from store.specs import MadeVersion, SpecRequest, Specs
from support.fake_exchange import BTC
from unit.symbol_manager.factories import make_slot, make_spec

D = Decimal


def market(base: str) -> Instrument:
    return replace(BTC, symbol=f"{base}/USDT", base=base)


def wanting(base: str, budget: str, balance: str = "1000") -> NewSymbol:
    return new_symbol(
        f"add:{base}",
        market(base),
        key=symbol_key("sim", f"{base}/USDT"),
        spec=make_spec(budget_quote=budget).model_dump(mode="json"),
        balances={base: D(0), "USDT": D(balance)},
    )


async def test_two_adds_at_once_of_money_for_one_add_exactly_one(clean_engine: AsyncEngine) -> None:
    for round_number in range(3):
        added = await asyncio.gather(
            *(
                add_symbol(clean_engine, replace(wanting(base, "600"), requested_by=f"{base}:{n}"))
                for n, base in enumerate(("ETH", "SOL"), start=10 * round_number)
            ),
            return_exceptions=True,
        )
        kinds = sorted(type(outcome).__name__ for outcome in added)
        assert kinds == ["ConfigurationError", "int"]
        (refused,) = (outcome for outcome in added if isinstance(outcome, ConfigurationError))
        assert "use 400 or less" in refused.remedy
        await execute(clean_engine, "UPDATE shards SET status = 'removed'")


async def test_refused_add_leaves_nothing_behind(clean_engine: AsyncEngine) -> None:
    with pytest.raises(ConfigurationError):
        await add_symbol(clean_engine, wanting("ETH", "1001"))
    tables = ("shards", "instruments", "opening_balances", "balances", "ladders")
    assert await rows_of(clean_engine, *tables) == dict.fromkeys(tables, 0)
    number = "SELECT last_value FROM pg_sequences WHERE sequencename = 'shards_shard_seq'"
    before = await value(clean_engine, number)
    with pytest.raises(ConfigurationError):
        await add_symbol(clean_engine, replace(wanting("ETH", "1001"), requested_by="add:again"))
    assert await value(clean_engine, number) == before


async def test_removal_releases_what_was_reserved(clean_engine: AsyncEngine) -> None:
    await add_symbol(clean_engine, wanting("ETH", "600"))
    with pytest.raises(ConfigurationError, match="ETH/USDT 600"):
        await add_symbol(clean_engine, wanting("SOL", "600"))
    await execute(clean_engine, "UPDATE shards SET status = 'removed'")
    assert await add_symbol(clean_engine, wanting("SOL", "600"))


async def test_add_by_the_same_request_again_is_not_judged_again(clean_engine: AsyncEngine) -> None:
    shard = await add_symbol(clean_engine, wanting("ETH", "600"))
    assert await add_symbol(clean_engine, wanting("ETH", "600", balance="0")) == shard


async def test_add_of_a_symbol_that_is_there_is_refused_for_that(clean_engine: AsyncEngine) -> None:
    await add_symbol(clean_engine, wanting("ETH", "600"))
    again = replace(wanting("ETH", "600"), requested_by="add:2")
    with pytest.raises(RequestRefused, match="remove it first"):
        await add_symbol(clean_engine, again)


async def test_money_in_inventory_is_counted_with_the_balance(clean_engine: AsyncEngine) -> None:
    """Of the account's 10,000 USDT a slot turned part into base, and the balance is the rest."""
    owner = await make_owner(
        clean_engine,
        replace(wanting("ETH", "6000", "10000"), key=symbol_key("sim", "ETH/USDT")),
    )
    slot = make_slot(-1, 10)
    await owner.record(Changes(slots={slot.id: slot}))
    paid = BTC.units_to_quote(slot.cost_units)
    assert paid > 0
    left = D(10_000) - paid
    too_much = wanting("SOL", str(D("4000.01")), str(left))
    with pytest.raises(ConfigurationError, match="use 4000 or less"):
        await add_symbol(clean_engine, too_much)
    await add_symbol(clean_engine, replace(wanting("SOL", "4000", str(left)), requested_by="add:2"))

    use = await account_use(clean_engine, "sim")
    by_asset = {asset.asset: asset for asset in use.assets}
    usdt = by_asset["USDT"]
    assert (usdt.balance, usdt.reserved, usdt.in_inventory, usdt.free) == (left, 10_000, paid, 0)
    assert usdt.reserved_by == {"ETH/USDT": 6000, "SOL/USDT": 4000}
    held = BTC.units_to_base(slot.inventory_units)
    assert by_asset["ETH"].reserved_by == {"ETH/USDT": held}
    assert use.read_at is not None


async def test_limits_on_all_symbols_hold_in_the_same_transaction(
    clean_engine: AsyncEngine,
) -> None:
    limits = PortfolioLimits(max_total_budget_quote={"USDT": D(1000)})

    async def add(base: str, limits: PortfolioLimits) -> object:
        new = wanting(base, "600", "1000000")
        await ask(clean_engine, new.requested_by)
        return await Registry(clean_engine).add_symbol(new, RUN, RUN_SHARD, limits)

    added = await asyncio.gather(add("ETH", limits), add("SOL", limits), return_exceptions=True)
    kinds = sorted(type(outcome).__name__ for outcome in added)
    assert kinds == ["ConfigurationError", "int"]
    with pytest.raises(ConfigurationError, match="max_symbols"):
        await add("BNB", PortfolioLimits(max_symbols=1))


async def update(engine: AsyncEngine, base: str, budget: str, request: str) -> MadeVersion:
    """Ask for another budget of a symbol of the account's 1000 USDT."""
    asked = SpecRequest(
        account="sim",
        symbol=f"{base}/USDT",
        note="",
        expected_version=None,
        workflow_id=await ask(engine, request),
    )
    spec = make_spec(budget_quote=budget)
    return await Specs(engine).update(
        asked,
        lambda now: edit_grid(now, spec, market(base), D(100)),
        Room(balances={"USDT": D(1000)}, limits=PortfolioLimits()),
    )


async def test_update_into_what_another_symbol_reserves_is_refused_and_changes_nothing(
    clean_engine: AsyncEngine,
) -> None:
    await add_symbol(clean_engine, wanting("ETH", "600"))
    await add_symbol(clean_engine, wanting("SOL", "300"))
    with pytest.raises(ConfigurationError, match=r"ETH/USDT 600.*use 400 or less"):
        await update(clean_engine, "SOL", "401", "update:1")
    grids = "SELECT string_agg(spec ->> 'budget_quote', ' ' ORDER BY shard) FROM shards"
    assert await value(clean_engine, grids) == "600 300"
    assert await rows_of(clean_engine, "specs", "ladders") == {"specs": 2, "ladders": 2}

    assert (await update(clean_engine, "SOL", "400", "update:2")).version == 2
    assert (await update(clean_engine, "SOL", "400", "update:2")).version == 2
    with pytest.raises(ConfigurationError, match="SOL/USDT 400"):
        await add_symbol(clean_engine, wanting("BNB", "100"))


async def test_two_updates_at_once_cannot_both_take_the_last_room(
    clean_engine: AsyncEngine,
) -> None:
    for base in ("ETH", "SOL"):
        await add_symbol(clean_engine, wanting(base, "300"))
    for n in range(3):
        updated = await asyncio.gather(
            *(update(clean_engine, base, "700", f"update:{base}:{n}") for base in ("ETH", "SOL")),
            return_exceptions=True,
        )
        kinds = {type(outcome).__name__ for outcome in updated}
        assert kinds == {"ConfigurationError", "MadeVersion"}
        for base in ("ETH", "SOL"):
            await update(clean_engine, base, "300", f"update:{base}:{n}:back")


async def test_balances_are_kept_as_last_told_and_known_to_grow_old(
    clean_engine: AsyncEngine,
) -> None:
    assert await are_balances_old(clean_engine, "sim", 60)
    await keep_balances(clean_engine, "sim", {"USDT": D(7), "BTC": D("0.5"), "BNB": D(0)})
    assert not await are_balances_old(clean_engine, "sim", 60)
    assert await are_balances_old(clean_engine, "another", 60)
    await execute(clean_engine, "UPDATE balances SET read_at = read_at - interval '1 minute'")
    assert await are_balances_old(clean_engine, "sim", 60)
    await keep_balances(clean_engine, "sim", {"USDT": D(8)})
    use = await account_use(clean_engine, "sim")
    assert [(asset.asset, asset.balance, asset.free) for asset in use.assets] == [("USDT", 8, 8)]

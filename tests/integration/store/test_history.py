"""The read side, and the queries of docs/history.md, on a real Postgres with a small history."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncEngine

from store import history
from support import sample_history
from support.sample_history import write_sample_history

DOCUMENT = Path(__file__).parents[3] / "docs" / "history.md"

_SECTION = re.compile(
    r"^## (?P<title>[^\n]+)\n(?:(?!^## ).)*?```sql\n(?P<sql>.*?)```", re.MULTILINE | re.DOTALL
)
QUERIES: Mapping[str, str] = {m["title"]: m["sql"] for m in _SECTION.finditer(DOCUMENT.read_text())}


@pytest.fixture
def sample(postgres_dsn: str) -> str:
    write_sample_history(postgres_dsn)
    return postgres_dsn


def select(dsn: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def test_document_every_sql_block_is_under_a_heading_of_its_own() -> None:
    assert len(QUERIES) == DOCUMENT.read_text().count("```sql") >= 8


@pytest.mark.parametrize("title", QUERIES)
def test_document_query_answers_on_the_sample(sample: str, title: str) -> None:
    rows = select(sample, QUERIES[title])
    expected = 0 if title == "Which orders went wrong?" else 1
    assert len(rows) >= expected


@pytest.mark.parametrize("title", QUERIES)
def test_document_query_runs_on_an_empty_database(postgres_dsn: str, title: str) -> None:
    assert select(postgres_dsn, QUERIES[title]) == []


def test_document_last_hour_shows_recent_decisions_only(sample: str) -> None:
    rows = select(sample, QUERIES["What did BTC/USDT decide in the last hour?"])
    assert [(row["decision_id"], row["placed"], row["cancelled"]) for row in rows] == [
        ("sim-BTC-USDT:1:3", 1, 1),
        ("sim-BTC-USDT:1:2", 1, 0),
    ]


def test_document_why_names_decision_and_causes(sample: str) -> None:
    (row,) = select(sample, QUERIES["Why does this order exist?"])
    assert row["client_order_id"] == sample_history.LIVE_EXIT
    assert row["reason"] == "exit of held inventory"
    assert row["causes"] == ["trade 102", "trade 103"]


def test_document_failed_workflows_shows_the_failed_plan(sample: str) -> None:
    (row,) = select(sample, QUERIES["Which workflows failed?"])
    assert row["workflow_id"] == sample_history.FAILED_PLAN
    assert "InvariantViolation" in row["error"]


def test_document_balances_add_up_to_the_last_unit(sample: str) -> None:
    rows = select(sample, QUERIES["What should the account hold?"])
    assert {row["asset"]: row["balance"] for row in rows} == {
        "BTC": Decimal("0.0009999"),
        "USDT": Decimal("938.337645"),
    }


async def test_symbols_hides_removed_ones_unless_asked(sample: str, engine: AsyncEngine) -> None:
    (active,) = await history.symbols(engine)
    assert active.symbol == "BTC/USDT"
    assert (active.live_orders, active.pairs, active.node) == (1, 1, None)
    assert active.bid == Decimal("61799.99")
    assert (active.stage, active.start_price) == ("running", Decimal(61800))
    assert (active.ladder_version, active.anchor) == (0, Decimal(61800))
    assert active.spacing == {"kind": "arithmetic", "step": "50"}
    everyone = await history.symbols(engine, include_removed=True)
    assert [s.symbol for s in everyone] == ["BTC/USDT", "ETH/USDT"]


async def test_symbol_shows_the_ladder_that_takes_entries_now(
    sample: str, engine: AsyncEngine
) -> None:
    with psycopg.connect(sample) as connection:
        connection.execute(
            """INSERT INTO ladders (shard, version, anchor, spacing)
               VALUES (1, 1, 61900, '{"kind": "arithmetic", "step": "75"}')"""
        )
        connection.execute("UPDATE shards SET ladder_version = 1 WHERE shard = 1")
    found = await history.symbol(engine, "BTC/USDT")
    assert found is not None
    assert (found.ladder_version, found.anchor) == (1, Decimal(61900))
    assert found.spacing["step"] == "75"
    assert len(await history.symbols(engine)) == 1


async def test_symbol_shows_the_trading_rules_in_force(sample: str, engine: AsyncEngine) -> None:
    with psycopg.connect(sample) as connection:
        connection.execute(
            """INSERT INTO instruments
               SELECT account, symbol, 2, base, quote, kind, 0.1, 0.003, 0.006, 10, 0.0002, 0.0004,
                      base_decimals, quote_decimals, loaded_at
                 FROM instruments WHERE symbol = 'BTC/USDT'"""
        )
        connection.execute("UPDATE shards SET instrument_version = 2 WHERE shard = 1")
    found = await history.symbol(engine, "BTC/USDT")
    assert found is not None
    assert found.rules_version == 2
    assert (found.tick_size, found.lot_size) == (Decimal("0.1"), Decimal("0.003"))
    assert (found.min_quantity, found.min_notional) == (Decimal("0.006"), Decimal(10))
    assert (found.maker_fee, found.taker_fee) == (Decimal("0.0002"), Decimal("0.0004"))


async def test_symbol_finds_removed_one_and_none_for_a_stranger(
    sample: str, engine: AsyncEngine
) -> None:
    removed = await history.symbol(engine, "ETH/USDT")
    assert removed is not None
    assert removed.status == "removed"
    assert await history.symbol(engine, "XRP/USDT") is None


async def test_orders_shows_live_ones_or_all(sample: str, engine: AsyncEngine) -> None:
    (live,) = await history.orders(engine, "BTC/USDT")
    assert live.client_order_id == sample_history.LIVE_EXIT
    assert len(await history.orders(engine, live_only=False)) == 5
    assert len(await history.orders(engine, live_only=False, limit=2)) == 2
    assert await history.orders(engine, "ETH/USDT", live_only=False) == ()


@pytest.mark.parametrize("order_id", [sample_history.EXIT, "9004"])
async def test_order_is_found_by_client_and_by_venue_id(
    sample: str, engine: AsyncEngine, order_id: str
) -> None:
    found = await history.order(engine, order_id)
    assert found is not None
    assert found.client_order_id == sample_history.EXIT


async def test_why_joins_decision_plan_fills_and_the_order_before(
    sample: str, engine: AsyncEngine
) -> None:
    story = await history.why(engine, sample_history.EXIT)
    assert story is not None
    assert story.decision is not None
    assert story.decision.causes == ["trade 101"]
    assert story.before is not None
    assert story.before.client_order_id == sample_history.ENTRY
    assert story.plan is not None
    assert [step.name for step in story.plan.steps] == ["submit"]
    assert [fill.trade_id for fill in story.fills] == ["102"]
    told = "\n".join(history.narrate(story))
    assert "Why: exit of held inventory." in told
    assert "trade 102: 0.001 at 61800 as maker, fee 0.00618 USDT" in told


async def test_why_of_a_cancelled_order_tells_who_cancelled_it(
    sample: str, engine: AsyncEngine
) -> None:
    story = await history.why(engine, sample_history.CANCELLED)
    assert story is not None
    assert story.plan is None
    assert [event.what for event in story.events] == [
        "intent committed",
        "cancel decided by sim-BTC-USDT:1:3, caused by trade 102, trade 103: outside the window",
        "cancelled",
    ]


async def test_why_of_an_unknown_id_is_none(sample: str, engine: AsyncEngine) -> None:
    assert await history.why(engine, "nobody") is None


async def test_fills_come_newest_first(sample: str, engine: AsyncEngine) -> None:
    assert [fill.trade_id for fill in await history.fills(engine)] == ["103", "102", "101"]


async def test_positions_split_dust_from_lots(sample: str, engine: AsyncEngine) -> None:
    (position,) = await history.positions(engine)
    assert position.inventory == Decimal("0.0009999")
    assert position.cost == Decimal("61.7")
    assert position.dust == Decimal("0.0000099")
    assert position.average_price == Decimal("61706.17061706")
    (slot,) = position.slots
    assert (slot.slot, slot.inventory) == (-2, Decimal("0.0009999"))


async def test_profits_mark_at_the_last_decisions_mid(sample: str, engine: AsyncEngine) -> None:
    (profit,) = await history.profits(engine, "BTC/USDT")
    assert profit.mark == Decimal("61800.00")
    assert profit.grid == Decimal("0.037645")
    assert profit.floating == Decimal("0.0009999") * 61800 - Decimal("61.7")
    assert profit.total == profit.grid + profit.unpaired + profit.floating
    assert profit.fees == {"BTC": Decimal("0.0000001"), "USDT": Decimal("0.012355")}


async def test_profits_use_a_given_mark(sample: str, engine: AsyncEngine) -> None:
    (profit,) = await history.profits(engine, "BTC/USDT", marks={"BTC/USDT": Decimal(60000)})
    assert profit.floating == Decimal("0.0009999") * 60000 - Decimal("61.7")
    assert profit.mark_at is None


async def test_profits_of_a_symbol_without_price_have_no_total(
    sample: str, engine: AsyncEngine
) -> None:
    (profit,) = await history.profits(engine, "ETH/USDT")
    assert (profit.mark, profit.floating, profit.total) == (None, None, None)


async def test_profits_and_ledger_agree_on_the_equity(sample: str, engine: AsyncEngine) -> None:
    (profit,) = await history.profits(engine, "BTC/USDT")
    rows = select(sample, "SELECT asset, sum(amount) AS change FROM ledger GROUP BY asset")
    change = {row["asset"]: row["change"] for row in rows}
    assert profit.mark is not None
    assert profit.total == change["USDT"] + change["BTC"] * profit.mark


async def test_workflows_filter_by_failure_and_symbol(sample: str, engine: AsyncEngine) -> None:
    (failed,) = await history.workflows(engine, failed_only=True)
    assert failed.workflow_id == sample_history.FAILED_PLAN
    of_eth = await history.workflows(engine, "ETH/USDT")
    assert [w.workflow_id for w in of_eth] == ["run_shard:sim-ETH-USDT:2"]
    assert len(await history.workflows(engine, "BTC/USDT")) == 4


async def test_workflow_shows_input_output_and_steps(sample: str, engine: AsyncEngine) -> None:
    detail = await history.workflow(engine, sample_history.PLAN)
    assert detail is not None
    assert detail.output == {"orders": {sample_history.EXIT: "open"}}
    assert detail.error is None
    assert [(step.number, step.name) for step in detail.steps] == [(1, "submit")]
    assert await history.workflow(engine, "nobody") is None


async def test_decisions_since_leaves_older_ones_out(sample: str, engine: AsyncEngine) -> None:
    since = datetime.now(UTC) - timedelta(minutes=15)
    (latest,) = await history.decisions(engine, "BTC/USDT", since=since)
    assert latest.decision_id == "sim-BTC-USDT:1:3"
    assert len(await history.decisions(engine)) == 3


async def test_findings_show_what_was_not_expected(sample: str, engine: AsyncEngine) -> None:
    (finding,) = await history.findings(engine, "BTC/USDT")
    assert (finding.kind, finding.subject) == ("external_trade", "77")


async def test_nodes_and_kill_switch_are_empty_at_first(engine: AsyncEngine) -> None:
    assert await history.nodes(engine) == ()
    assert await history.kill_switch(engine) is None


async def test_every_question_works_on_an_empty_database(engine: AsyncEngine) -> None:
    for question in (
        history.symbols,
        history.orders,
        history.fills,
        history.decisions,
        history.positions,
        history.profits,
        history.workflows,
        history.findings,
    ):
        assert await question(engine) == ()


def test_records_hold_no_float_but_a_duration() -> None:
    for name in history.__all__:
        for field in fields(getattr(history, name)) if name[0].isupper() else ():
            assert "float" not in str(field.type) or field.name.endswith("_s"), (name, field.name)

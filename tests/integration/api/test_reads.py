"""What is read: history from Postgres, live state from the node's views, and the metrics."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.served import Served
from domain.market import BookTop
from domain.orders import OrderStatus
from integration.api.conftest import StandInRunning
from orchestrator.dead_man import Armed
from orchestrator.reload import Reload
from ports.store import Status
from support import sample_history
from support.sample_history import write_sample_history
from symbol_manager.view import ShardView


@pytest.fixture
def sample(postgres_dsn: str) -> None:
    write_sample_history(postgres_dsn)


def _view(status: Status) -> ShardView:
    return ShardView(
        symbol="BTC/USDT",
        epoch=7,
        status=status,
        reason="",
        book=BookTop(617_500, 617_501, time.time_ns() // 1_000_000),
        live_orders={OrderStatus.OPEN: 3},
        parked_trades=0,
    )


@pytest.mark.usefixtures("sample")
async def test_symbols_are_listed_with_removed_ones_on_demand(client: httpx.AsyncClient) -> None:
    (btc,) = (await client.get("/api/v1/symbols")).json()
    assert btc["symbol"] == "BTC/USDT"
    assert Decimal(btc["bid"]) == Decimal("61799.99")
    everyone = (await client.get("/api/v1/symbols?include_removed=true")).json()
    assert [symbol["status"] for symbol in everyone] == [btc["status"], "removed"]
    assert (await client.get("/api/v1/symbols/BTC-USDT")).json() == btc


@pytest.mark.usefixtures("sample")
async def test_orders_are_listed_live_or_all_and_found_by_either_id(
    client: httpx.AsyncClient,
) -> None:
    (live,) = (await client.get("/api/v1/orders?symbol=BTC-USDT")).json()
    assert live["client_order_id"] == sample_history.LIVE_EXIT
    every = (await client.get("/api/v1/orders?symbol=BTC/USDT&live_only=false")).json()
    assert len(every) == 5
    assert len((await client.get("/api/v1/orders?live_only=false&limit=2")).json()) == 2
    for order_id in (sample_history.EXIT, "9004"):
        order = (await client.get(f"/api/v1/orders/{order_id}")).json()
        assert order["client_order_id"] == sample_history.EXIT


@pytest.mark.usefixtures("sample")
async def test_order_why_tells_decision_plan_fills_and_events(client: httpx.AsyncClient) -> None:
    why = (await client.get(f"/api/v1/orders/{sample_history.EXIT}/why")).json()
    assert why["decision"]["causes"] == ["trade 101"]
    assert why["before"]["client_order_id"] == sample_history.ENTRY
    assert [step["name"] for step in why["plan"]["steps"]] == ["submit"]
    assert [fill["trade_id"] for fill in why["fills"]] == ["102"]
    assert why["events"][0]["what"] == "intent committed"


@pytest.mark.usefixtures("sample")
async def test_money_is_written_in_full_as_strings(client: httpx.AsyncClient) -> None:
    fills = (await client.get("/api/v1/fills")).json()
    assert [fill["trade_id"] for fill in fills] == ["103", "102", "101"]
    assert {fill["fee"] for fill in fills if fill["fee_asset"] == "BTC"} == {"0.0000001"}
    (position,) = (await client.get("/api/v1/positions")).json()
    assert (position["inventory"], position["dust"]) == ("0.0009999", "0.0000099")
    assert position["slots"][0]["slot"] == -2
    (profit, _removed) = (await client.get("/api/v1/pnl")).json()
    assert profit["grid"] == "0.037645"
    assert profit["fees"] == {"BTC": "0.0000001", "USDT": "0.012355"}


@pytest.mark.usefixtures("sample")
async def test_workflows_are_listed_and_shown_with_their_steps(client: httpx.AsyncClient) -> None:
    (failed,) = (await client.get("/api/v1/workflows?failed_only=true")).json()
    assert failed["workflow_id"] == sample_history.FAILED_PLAN
    shown = (await client.get(f"/api/v1/workflows/{sample_history.PLAN}")).json()
    assert shown["output"] == {"orders": {sample_history.EXIT: "open"}}
    assert [step["name"] for step in shown["steps"]] == ["submit"]


async def test_location_of_a_change_leads_to_its_workflow(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/kill", json={"reason": "a drill"})
    shown = (await client.get(answer.headers["Location"])).json()
    assert shown["workflow"]["workflow_id"] == answer.json()["workflow_id"]
    assert shown["workflow"]["name"] == "apply_change"


@pytest.mark.parametrize(
    "path", ["symbols/XRP-USDT", "orders/nobody", "orders/nobody/why", "workflows/nobody"]
)
async def test_what_is_not_there_is_not_found(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    [
        "orders?limit=0",
        "orders?limit=1001",
        "orders?limit=1e3",
        "orders?symbol=btc",
        "fills?surprise=1",
        "positions?limit=1",
        "symbols?include_removed=maybe",
        f"orders/{'x' * 65}",
    ],
)
async def test_odd_query_is_refused(query: str, cut_off_client: httpx.AsyncClient) -> None:
    assert (await cut_off_client.get(f"/api/v1/{query}")).status_code == 422


async def test_status_tells_what_came_of_reading_settings_again(
    client: httpx.AsyncClient, running: Any
) -> None:
    assert (await client.get("/api/v1/status")).json()["reloaded"] is None
    running.reloaded = Reload(at=datetime.now(UTC), refused="`lease_s` must stay")
    told = (await client.get("/api/v1/status")).json()["reloaded"]
    assert (told["changed"], told["refused"]) == ([], "`lease_s` must stay")


async def test_status_shows_the_symbols_that_run_here(
    views: dict[int, ShardView], client: httpx.AsyncClient
) -> None:
    views[1] = _view(Status.RUNNING)
    status = (await client.get("/api/v1/status")).json()
    assert status["mode"] == "simulator"
    assert status["kill_switch_engaged"] is False
    (btc,) = status["symbols"]
    assert (btc["symbol"], btc["epoch"], btc["live_orders"]) == ("BTC/USDT", 7, {"open": 3})


async def test_health_is_degraded_by_a_halt_and_by_the_kill_switch(
    views: dict[int, ShardView], client: httpx.AsyncClient
) -> None:
    assert (await client.get("/health")).json()["status"] == "ok"
    views[1] = _view(Status.HALTED)
    await client.post("/api/v1/kill", json={"reason": "a drill"})
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "degraded",
        "components": {
            "database": "ok",
            "disk": "ok",
            "kill_switch": "degraded",
            "symbols": "degraded",
        },
    }


async def test_health_without_postgres_fails_but_the_process_lives(
    cut_off_client: httpx.AsyncClient,
) -> None:
    health = await cut_off_client.get("/health")
    assert (health.status_code, health.json()["components"]["database"]) == (503, "failed")
    assert (await cut_off_client.get("/ready")).status_code == 503
    assert (await cut_off_client.get("/live")).status_code == 200


@pytest.mark.usefixtures("sample")
async def test_metrics_count_what_postgres_holds(
    views: dict[int, ShardView], running: StandInRunning, anyone: httpx.AsyncClient
) -> None:
    views[1] = _view(Status.RUNNING)
    running.node.switches["BTC/USDT"] = Armed(0, 60)
    await running.database.requests.kill("a drill", "k")
    answer = await anyone.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }

    def value(metric: str, **labels: str) -> float:
        return samples[f"gridkeeper_{metric}", frozenset(labels.items())]

    assert value("fills_total", symbol="BTC/USDT") == 3
    assert value("pairs_total", symbol="BTC/USDT") == 1
    assert value("pair_profit_quote", symbol="BTC/USDT", asset="USDT") == 0.037645
    assert value("decisions_total", symbol="BTC/USDT") == 3
    assert value("unknown_orders", symbol="BTC/USDT") == 0
    assert value("failed_workflows", name="execute_plan") == 1
    assert value("kill_switch_engaged") == 1
    assert value("symbol_status", symbol="BTC/USDT", status="running") == 1
    assert value("dead_man_switch_seconds", symbol="BTC/USDT") == 60
    assert 0 <= value("mid_price_age_seconds", symbol="BTC/USDT") < 60


async def test_metrics_ask_postgres_once_for_many_scrapes(
    running: Served, anyone: httpx.AsyncClient
) -> None:
    await anyone.get("/metrics")
    await running.database.requests.kill("a drill", "k")
    assert "gridkeeper_kill_switch_engaged 0.0" in (await anyone.get("/metrics")).text


async def test_full_disk_of_postgres_fails_health_and_shows_in_the_metrics(
    client: httpx.AsyncClient, running: StandInRunning
) -> None:
    assert "gridkeeper_disk_full 0.0" in (await client.get("/metrics")).text
    running.is_disk_full = True
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["components"]["disk"]) == (503, "failed")
    assert "gridkeeper_disk_full 1.0" in (await client.get("/metrics")).text

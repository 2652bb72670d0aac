"""Requests for changes: kept once however often asked for, and answered by their result."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from dbos import DBOSPortableJSONSerializer
from dbos._serialization import serialize_exception
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import RequestGivenUp

GRID = {
    "spacing": {"kind": "arithmetic", "step": "10"},
    "range": {"kind": "window", "buy_window": 5, "sell_window": 5},
    "order_size": {"kind": "quote", "amount": "50"},
    "budget_quote": "1000",
}
BTC = {"symbol": "BTC/USDT", "spec": GRID}


async def _workflow_ids(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT workflow_uuid FROM dbos.workflow_status"))
        return list(found.scalars())


async def _first_workflow_id(engine: AsyncEngine) -> str:
    while True:
        for workflow_id in await _workflow_ids(engine):
            return workflow_id
        await asyncio.sleep(0.02)


async def _finish(engine: AsyncEngine, workflow_id: str, result: dict[str, Any]) -> None:
    """Do what a node does when `apply_change` returns."""
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE dbos.workflow_status SET status = 'SUCCESS' WHERE workflow_uuid = :id"),
            {"id": workflow_id},
        )
        await connection.execute(
            text("INSERT INTO dbos.workflow_output (workflow_uuid, output) VALUES (:id, :output)"),
            {"id": workflow_id, "output": json.dumps(result)},
        )


@pytest.mark.parametrize(
    ("asked", "body", "workflow_id"),
    [
        pytest.param("POST symbols", BTC, "add:sim-BTC-USDT:k1", id="add"),
        pytest.param("POST symbols/BTC-USDT/pause", None, "pause:sim-BTC-USDT:k1", id="pause"),
        pytest.param("POST symbols/BTC-USDT/resume", None, "resume:sim-BTC-USDT:k1", id="resume"),
        pytest.param("DELETE symbols/BTC-USDT", None, "remove:sim-BTC-USDT:k1", id="remove"),
        pytest.param("POST kill", {"reason": "odd prices"}, "kill:all:k1", id="kill"),
        pytest.param("POST rearm", {"reason": "prices are back"}, "rearm:all:k1", id="rearm"),
    ],
)
async def test_change_asked_for_twice_is_one_workflow(
    asked: str,
    body: object,
    workflow_id: str,
    client: httpx.AsyncClient,
    engine: AsyncEngine,
) -> None:
    method, path = asked.split()
    for _ in range(2):
        answer = await client.request(
            method, f"/api/v1/{path}", json=body, headers={"Idempotency-Key": "k1"}
        )
        assert answer.status_code == 202
        assert answer.headers["Location"] == f"/api/v1/workflows/{workflow_id}"
        assert answer.json() == {
            "workflow_id": workflow_id,
            "status": "ENQUEUED",
            "result": None,
        }
    assert await _workflow_ids(engine) == [workflow_id]


async def test_change_without_a_key_gets_a_new_one_each_time(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    answers = [await client.post("/api/v1/symbols", json=BTC) for _ in range(2)]
    ids = {answer.json()["workflow_id"] for answer in answers}
    assert len(ids) == 2
    assert set(await _workflow_ids(engine)) == ids


async def test_change_with_a_malformed_key_is_refused_whole(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    answer = await client.post("/api/v1/symbols", json=BTC, headers={"Idempotency-Key": "a:b"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.Idempotency-Key"
    assert await _workflow_ids(engine) == []


async def test_kill_is_effective_before_it_is_answered(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/kill", json={"reason": "odd prices"})
    assert (await client.get("/api/v1/status")).json()["kill_switch_engaged"] is True


@pytest.mark.parametrize(
    ("result", "status_code"),
    [
        pytest.param({"outcome": "done", "shard": 1}, 200, id="done"),
        pytest.param({"outcome": "pending", "shard": 1}, 202, id="pending"),
    ],
)
async def test_change_waited_for_answers_with_its_result(
    result: dict[str, Any], status_code: int, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    asking = asyncio.create_task(
        client.post(
            "/api/v1/symbols", json=BTC, params={"wait": 30}, headers={"Idempotency-Key": "k"}
        )
    )
    async with asyncio.timeout(10):
        await _finish(engine, await _first_workflow_id(engine), result)
        answer = await asking
    assert answer.status_code == status_code
    assert answer.json()["result"] == result


async def test_change_refused_by_its_meaning_is_a_conflict_with_the_reason(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    key = {"Idempotency-Key": "k"}
    first = await client.post("/api/v1/symbols", json=BTC, headers=key)
    reason = "BTC/USDT is on account sim already: remove it first"
    await _finish(engine, first.json()["workflow_id"], {"outcome": "refused", "reason": reason})
    again = await client.post("/api/v1/symbols", json=BTC, headers=key, params={"wait": 1})
    assert again.status_code == 409
    assert again.headers["Content-Type"] == "application/problem+json"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json()["detail"] == reason


async def test_change_that_failed_is_our_error_and_leads_to_its_steps(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    key = {"Idempotency-Key": "k"}
    first = await client.post("/api/v1/symbols", json=BTC, headers=key)
    await _finish(engine, first.json()["workflow_id"], {"outcome": "failed", "reason": "a bug"})
    again = await client.post("/api/v1/symbols", json=BTC, headers=key, params={"wait": 1})
    assert again.status_code == 500
    assert again.headers["Location"] == first.headers["Location"]


async def test_change_given_up_is_told_with_what_stands_and_is_listed_as_failed(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    key = {"Idempotency-Key": "k"}
    first = await client.post("/api/v1/symbols", json=BTC, headers=key)
    workflow_id = first.json()["workflow_id"]
    error, serialization = serialize_exception(
        RequestGivenUp("given up after 5 starts: ..."), None, DBOSPortableJSONSerializer()
    )
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE dbos.workflow_status SET status = 'ERROR', serialization = :s"
                " WHERE workflow_uuid = :id"
            ),
            {"id": workflow_id, "s": serialization},
        )
        await connection.execute(
            text("INSERT INTO dbos.workflow_output (workflow_uuid, error) VALUES (:id, :error)"),
            {"id": workflow_id, "error": error},
        )
    again = await client.post("/api/v1/symbols", json=BTC, headers=key, params={"wait": 1})
    assert again.status_code == 500
    assert "given up after 5 starts: ..." in again.text
    failed = await client.get("/api/v1/workflows", params={"failed_only": True})
    assert [each["workflow_id"] for each in failed.json()] == [workflow_id]


async def test_change_waited_for_in_vain_is_still_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/symbols", json=BTC, params={"wait": 0.2})
    assert answer.status_code == 202
    assert answer.json()["result"] is None


@pytest.mark.parametrize("wait", ["-1", "60.1", "nan", "inf", "soon"])
async def test_change_with_an_impossible_wait_is_refused_whole(
    wait: str, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    answer = await client.post("/api/v1/symbols", json=BTC, params={"wait": wait})
    assert answer.status_code == 422
    assert await _workflow_ids(engine) == []

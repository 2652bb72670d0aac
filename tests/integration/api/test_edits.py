"""Other grids over HTTP: asked for, looked at beforehand, and listed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import SlotId
from integration.store.factories import make_owner, value
from unit.symbol_manager.factories import make_spec

GRID: dict[str, Any] = make_spec().model_dump(mode="json")
WIDER = GRID | {"spacing": {"kind": "arithmetic", "step": "2"}}


@pytest.mark.parametrize(
    ("asked", "body", "workflow_id"),
    [
        pytest.param("PUT spec", {"spec": WIDER}, "update:sim-BTC-USDT:k1", id="update"),
        pytest.param("POST revert", {"to": 1}, "revert:sim-BTC-USDT:k1", id="revert"),
    ],
)
async def test_edit_asked_for_twice_is_one_workflow(
    asked: str, body: object, workflow_id: str, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    method, path = asked.split()
    for _ in range(2):
        answer = await client.request(
            method,
            f"/api/v1/symbols/BTC-USDT/{path}",
            json=body,
            headers={"Idempotency-Key": "k1"},
        )
        assert answer.status_code == 202
        assert answer.json()["workflow_id"] == workflow_id
    assert await value(engine, "SELECT count(*) FROM dbos.workflow_status") == 1


async def test_preview_shows_which_orders_go_come_and_stay(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """One entry is intended, at level -1: its fate is not known, so it cannot be cancelled yet."""
    owner = await make_owner(engine)
    await owner.place(owner.intent(-1))
    before = await value(engine, "SELECT count(*) FROM decisions")

    answer = await client.post("/api/v1/symbols/BTC-USDT/preview", json={"spec": WIDER})

    assert answer.status_code == 200, answer.text
    preview = answer.json()
    assert (preview["version"], preview["price"]) == (1, "100.00")
    assert [order["slot"] for order in preview["stay"]] == [SlotId(0, -1).number]
    assert {(order["side"], order["price"]) for order in preview["come"]} == {
        ("buy", "98.00"),
        ("buy", "96.00"),
        ("buy", "94.00"),
    }
    assert (preview["now"]["ladder_version"], preview["then"]["ladder_version"]) == (0, 1)
    assert preview["then"]["report"]["order_quantity"] == "0.10000"
    assert await value(engine, "SELECT count(*) FROM decisions") == before
    assert await value(engine, "SELECT count(*) FROM specs") == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        pytest.param("ETH-USDT", {"spec": GRID}, 409, "ETH/USDT", id="not traded"),
        pytest.param("BTC-USDT", {"spec": GRID}, 409, "price", id="before its first price"),
        pytest.param(
            "BTC-USDT",
            {"spec": GRID, "expected_version": 3},
            422,
            "expected_version",
            id="of another version",
        ),
        pytest.param("BTC-USDT", {"spec": {}}, 422, "spacing", id="not well formed"),
    ],
)
async def test_preview_that_cannot_be_shown_says_why(
    path: str,
    body: object,
    status: int,
    word: str,
    client: httpx.AsyncClient,
    engine: AsyncEngine,
) -> None:
    await make_owner(engine)
    answer = await client.post(f"/api/v1/symbols/{path}/preview", json=body)
    assert answer.status_code == status
    assert word in answer.text


async def test_versions_are_listed_and_unknown_symbols_are_not_found(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await make_owner(engine)
    (first,) = (await client.get("/api/v1/symbols/BTC-USDT/versions")).json()
    assert (first["version"], first["is_current"], first["spec"]) == (1, True, GRID)
    assert (await client.get("/api/v1/symbols/ETH-USDT/versions")).status_code == 404

"""Nodes are listed, drained and undrained over the API."""

from __future__ import annotations

from http import HTTPStatus

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from integration.store.factories import join_node


@pytest.fixture
async def node(engine: AsyncEngine) -> None:
    await join_node(engine)


@pytest.mark.usefixtures("node")
async def test_node_drained_says_so_until_it_is_undrained(client: httpx.AsyncClient) -> None:
    (before,) = (await client.get("/api/v1/nodes")).json()
    assert (before["name"], before["symbols"], before["is_draining"]) == ("node-1", 0, False)
    (drained,) = (await client.post("/api/v1/nodes/node-1/drain")).json()
    assert drained == before | {"is_draining": True}
    assert (await client.post("/api/v1/nodes/node-1/undrain")).json() == [before]


@pytest.mark.parametrize("verb", ["drain", "undrain"])
async def test_node_that_is_not_there_is_not_found(client: httpx.AsyncClient, verb: str) -> None:
    answer = await client.post(f"/api/v1/nodes/nobody/{verb}")
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "nobody" in answer.text

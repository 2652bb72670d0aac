"""The contract that clients are generated from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest


@pytest.fixture
async def contract(cut_off_client: httpx.AsyncClient) -> dict[str, Any]:
    document: dict[str, Any] = (await cut_off_client.get("/openapi.json")).json()
    return document


def _operations(contract: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in contract["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _numbers(node: object, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "number":
            yield path
        for key, value in node.items():
            yield from _numbers(value, f"{path}.{key}")
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _numbers(value, f"{path}[{place}]")


def test_contract_lists_every_route(contract: dict[str, Any]) -> None:
    assert {name for name, _ in _operations(contract)} == {
        "GET /api/v1/symbols",
        "POST /api/v1/symbols",
        "GET /api/v1/symbols/{symbol}",
        "DELETE /api/v1/symbols/{symbol}",
        "POST /api/v1/symbols/{symbol}/pause",
        "POST /api/v1/symbols/{symbol}/resume",
        "PUT /api/v1/symbols/{symbol}/spec",
        "POST /api/v1/symbols/{symbol}/revert",
        "POST /api/v1/symbols/{symbol}/preview",
        "GET /api/v1/symbols/{symbol}/versions",
        "GET /api/v1/events",
        "GET /api/v1/orders",
        "GET /api/v1/orders/{order_id}",
        "GET /api/v1/orders/{order_id}/why",
        "GET /api/v1/fills",
        "GET /api/v1/positions",
        "GET /api/v1/account",
        "GET /api/v1/pnl",
        "GET /api/v1/nodes",
        "POST /api/v1/nodes/{name}/drain",
        "POST /api/v1/nodes/{name}/undrain",
        "GET /api/v1/workflows",
        "GET /api/v1/workflows/{workflow_id}",
        "POST /api/v1/kill",
        "POST /api/v1/rearm",
        "GET /api/v1/status",
        "GET /health",
        "GET /ready",
        "GET /live",
        "GET /metrics",
    }


def test_contract_references_all_resolve(contract: dict[str, Any]) -> None:
    references = set(_references(contract))
    assert "#/components/schemas/Problem" in references
    for reference in references:
        node: Any = contract
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node


def test_contract_describes_every_operation(contract: dict[str, Any]) -> None:
    assert contract["openapi"].startswith("3.1")
    ids = []
    for name, operation in _operations(contract):
        ids.append(operation["operationId"])
        assert operation["description"], name
        success = operation["responses"].get("200") or operation["responses"]["202"]
        (content,) = success["content"].values()
        assert content["schema"], name
        if " /api/v1/" in name:
            assert operation["security"] == [{"HTTPBearer": []}], name
            for status in ("401", "422", "503"):
                assert list(operation["responses"][status]["content"]) == [
                    "application/problem+json"
                ], (name, status)
    assert len(ids) == len(set(ids))


def test_contract_answers_have_no_floats_for_money(contract: dict[str, Any]) -> None:
    answers = {
        f"{name}.{status}": response
        for name, operation in _operations(contract)
        for status, response in operation["responses"].items()
    }
    used = {reference.rpartition("/")[2] for reference in _references(answers)}
    schemas = contract["components"]["schemas"]
    assert [number for name in used for number in _numbers(schemas[name], name)] == []

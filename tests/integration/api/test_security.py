"""What must not get in: strangers, foreign names, and bodies that are huge, deep or odd."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth import api_token
from api.body import BODY_BYTES_MAX
from domain.errors import ConfigurationError
from orchestrator.settings import ApiSettings, Settings

JSON = {"Content-Type": "application/json"}
SPEC = (
    b'{"spacing": {"kind": "arithmetic", "step": %s},'
    b' "range": {"kind": "window", "buy_window": %s, "sell_window": 5},'
    b' "order_size": {"kind": "quote", "amount": "50"}, "budget_quote": "1000"%s}'
)


def _add(*, step: bytes = b'"10"', buy_window: bytes = b"5", more: bytes = b"") -> bytes:
    return b'{"symbol": "BTC/USDT", "spec": ' + SPEC % (step, buy_window, more) + b"}"


async def _requests_kept(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM dbos.workflow_status"))
        return int(found.scalar_one())


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="none"),
        pytest.param("Bearer wrong-token-for-tests", id="wrong"),
        pytest.param("Bearer ", id="empty"),
        pytest.param("Basic YS10b2tlbi1mb3ItdGVzdHMtb25seQ==", id="basic"),
        pytest.param("a-token-for-tests-only", id="bare"),
        pytest.param("Bearer tökén", id="not-ascii"),
    ],
)
async def test_api_without_the_token_answers_nothing(
    authorization: str | None, app: FastAPI, anyone: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    headers = {} if authorization is None else {b"Authorization": authorization.encode()}
    paths = app.openapi()["paths"]
    guarded = [path for path in paths if path.startswith("/api/v1/")]
    assert len(guarded) > 5
    for path in guarded:
        for method in paths[path]:
            url = path.format(symbol="BTC-USDT", order_id="x", workflow_id="x", name="x")
            answer = await anyone.request(method, url, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert await _requests_kept(engine) == 0


@pytest.mark.parametrize("path", ["/live", "/ready", "/health", "/metrics", "/openapi.json"])
async def test_api_operations_are_open_without_the_token(
    path: str, anyone: httpx.AsyncClient
) -> None:
    assert (await anyone.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("host", "status_code"),
    [
        ("localhost", 200),
        ("LOCALHOST:8420", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8420", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example:8420", 400),
        ("[::1", 400),
        ("", 400),
    ],
)
async def test_api_answers_only_under_its_own_names(
    host: str, status_code: int, cut_off_client: httpx.AsyncClient
) -> None:
    answer = await cut_off_client.get("/live", headers={"Host": host})
    assert answer.status_code == status_code


async def test_api_answers_tell_browsers_to_do_nothing_with_them(
    cut_off_client: httpx.AsyncClient,
) -> None:
    for path in ("/live", "/ready", "/nothing-here", "/api/v1/status"):
        headers = (
            await cut_off_client.get(path, headers={"Origin": "http://evil.example"})
        ).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff\xfe", id="not-utf8"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[" * 100_000, id="deep-cut"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep"),
        pytest.param(b'{"a":' * 1_000 + b"1" + b"}" * 1_000, id="nested-objects"),
        pytest.param(_add(step=b"NaN"), id="nan"),
        pytest.param(_add(step=b'"NaN"'), id="nan-text"),
        pytest.param(_add(step=b"-Infinity"), id="infinity"),
        pytest.param(_add(step=b'"Infinity"'), id="infinity-text"),
        pytest.param(_add(step=b"1e400"), id="too-large-a-number"),
        pytest.param(_add(step=b'"1e400"'), id="too-large-a-number-text"),
        pytest.param(_add(step=b"9" * 5_000), id="too-many-digits"),
        pytest.param(_add(step=b'"' + b"9" * 5_000 + b'"'), id="too-many-digits-text"),
        pytest.param(_add(step=b"0.1"), id="float"),
        pytest.param(_add(step=b'"-1"'), id="negative"),
        pytest.param(_add(step=b"true"), id="bool"),
        pytest.param(_add(step=b"{}"), id="object-for-number"),
        pytest.param(_add(buy_window=b"5.0"), id="float-for-int"),
        pytest.param(_add(buy_window=b"1000000000000000000000000"), id="huge-int"),
        pytest.param(_add(more=b', "surprise": 1'), id="unknown-field"),
        pytest.param(_add(more=b', "surprise": ' + b"[" * 900 + b"]" * 900), id="deep-field"),
        pytest.param(_add()[:-1] + b', "surprise": 1}', id="unknown-field-outside"),
        pytest.param(_add().replace(b"BTC/USDT", b"btc/usdt"), id="symbol-lower-case"),
        pytest.param(_add().replace(b"BTC/USDT", b"../../etc"), id="symbol-path"),
        pytest.param(_add().replace(b"BTC/USDT", b"BTC/USDT\\u0000"), id="symbol-nul"),
    ],
)
async def test_api_malformed_body_is_refused_with_the_field_before_postgres_is_asked(
    body: bytes, cut_off_client: httpx.AsyncClient
) -> None:
    answer = await cut_off_client.post("/api/v1/symbols", content=body, headers=JSON)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["errors"]
    assert all(error["field"].startswith("body") for error in problem["errors"])
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"reason": NaN}', b'{"reason": 1e999}'])
async def test_api_reads_every_body_strictly(
    body: bytes, cut_off_client: httpx.AsyncClient
) -> None:
    for path in ("/api/v1/kill", "/api/v1/rearm"):
        answer = await cut_off_client.post(path, content=body, headers=JSON)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["rule"].startswith("JSON decode error: ")


async def test_api_without_postgres_says_so_and_when_to_ask_again(
    cut_off_client: httpx.AsyncClient,
) -> None:
    answer = await cut_off_client.post("/api/v1/symbols", content=_add(), headers=JSON)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert "same Idempotency-Key" in answer.json()["detail"]


async def test_api_broken_rule_names_field_rule_and_value(
    cut_off_client: httpx.AsyncClient,
) -> None:
    answer = await cut_off_client.post("/api/v1/symbols", content=_add(step=b"0.1"), headers=JSON)
    (error,) = answer.json()["errors"]
    assert error["field"] == "body.spec.spacing.arithmetic.step"
    assert "must be exact" in error["rule"]
    assert error["value"] == "0.1"


async def test_api_body_of_another_type_is_refused(cut_off_client: httpx.AsyncClient) -> None:
    answer = await cut_off_client.post(
        "/api/v1/symbols", content=_add(), headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/api/v1/symbols", "/api/v1/kill", "/api/v1/nothing-here"])
async def test_api_huge_body_is_refused_by_its_length(
    path: str, cut_off_client: httpx.AsyncClient
) -> None:
    answer = await cut_off_client.post(path, content=b" " * (BODY_BYTES_MAX + 1), headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_api_huge_body_is_refused_while_it_arrives(cut_off_client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * BODY_BYTES_MAX:
            sent += 65_536
            yield b" " * 65_536

    answer = await cut_off_client.post("/api/v1/symbols", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert sent < 3 * BODY_BYTES_MAX


@pytest.mark.parametrize(
    ("path", "status_code"),
    [
        ("/api/v1/nothing-here", 404),
        ("/api/v1/symbols/btc-usdt/pause", 422),
        ("/api/v1/symbols/BTC%2FUSDT/pause", 404),
        ("/api/v1/symbols/..%2f..%2fkill/pause", 404),
        ("/api/v1/symbols/BTC-USDT%00/pause", 422),
    ],
)
async def test_api_odd_address_is_a_problem_document(
    path: str, status_code: int, cut_off_client: httpx.AsyncClient
) -> None:
    answer = await cut_off_client.post(path)
    assert answer.status_code == status_code
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_token_is_drawn_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    token = api_token(settings)
    file = settings.data_dir / "api_token"
    assert len(token) >= 32
    assert api_token(settings) == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in settings.data_dir.iterdir()] == ["api_token"]


def test_token_drawn_by_many_at_once_is_the_same_for_all(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: api_token(settings), range(32)))
    assert len(tokens) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["api_token"]


def test_token_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    api_token(settings)
    (tmp_path / "api_token").chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"by its owner only, .* of mode 0640"):
        api_token(settings)


def test_token_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, api=ApiSettings(token=SecretStr("fifteen letters")))
    with pytest.raises(ConfigurationError, match="at least 16 characters, was 15 characters"):
        api_token(settings)

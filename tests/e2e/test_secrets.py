"""A planted secret is searched for wherever Gridkeeper writes (I9), also after it was refused."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from cli import local_system
from cli.db import libpq_environment
from cli.local_system import Market
from store.postgres_binaries import installed_programs
from support.system import RunningSystem, eventually, running_system

KEY, SECRET, TOKEN = "planted-key/7f3a", "planted-secret+9c1e", "planted-token=of-the-api"
WRONG_SECRET = "planted-wrong-secret&2b"
#: It tells for as long as it is listened to.
EVENTS = "/api/v1/events"
PLANTED = (KEY, SECRET, TOKEN, WRONG_SECRET)


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    """An exchange whose account has the planted key."""
    config = local_system._simulator_config
    account = (
        f'\n[[accounts]]\nname = "main"\napi_key = "{KEY}"\napi_secret = "{SECRET}"\n'
        '[accounts.balances]\nUSDT = "1000000"\n'
    )
    monkeypatch.setattr(local_system, "_simulator_config", lambda market: config(market) + account)
    return Market(symbols=("BTC/USDT",))


def spellings(secret: str) -> set[bytes]:
    plain = secret.encode()
    return {
        plain,
        quote(secret, safe="").encode(),
        base64.b64encode(plain).rstrip(b"="),
        plain.hex().encode(),
    }


def found_in(content: bytes) -> list[str]:
    return [secret for secret in PLANTED if any(way in content for way in spellings(secret))]


def command_lines(running: RunningSystem) -> Iterator[bytes]:
    """Of every process that has our data directory in its environment or arguments."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                line = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(running.system.data_dir) in line + environment:
                yield line


async def output_of(program: str, *arguments: str, **environment: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out


async def answers(port: int) -> bytes:
    """Everything that the API tells without knowing an id."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    said = b""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        async with client.stream("GET", EVENTS) as events:
            async for part in events.aiter_bytes():
                said += part
                if b"BTC/USDT" in said:
                    break
        unasked = {
            EVENTS,
            *(path for path in paths if "{order_id}" in path or "{workflow_id}" in path),
        }
        for path in paths.keys() - unasked:
            if "get" in paths[path]:
                answer = await client.get(path.format(symbol="BTC-USDT"))
                said += answer.content + str(answer.headers).encode()
        for workflow in (await client.get("/api/v1/workflows")).json():
            said += (await client.get(f"/api/v1/workflows/{workflow['workflow_id']}")).content
    assert b"run_shard" in said
    return said


async def bundle(running: RunningSystem, environment: dict[str, str]) -> bytes:
    path = running.system.data_dir / "bundle.tar.gz"
    log = running.system.data_dir / "logs" / "node.log"
    await output_of(
        sys.executable,
        *("-m", "cli.main", "support-bundle", "--to", str(path), "--log", str(log)),
        GRIDKEEPER_DATA_DIR=str(running.system.data_dir),
        GRIDKEEPER_ACCOUNT__SIMULATOR_DIR=str(running.system.simulator_dir),
        **environment,
    )
    with tarfile.open(path) as packed:
        parts = [packed.extractfile(member) for member in packed.getmembers()]
        said = b"".join(part.read() for part in parts if part is not None)
    assert b"claimed" in said
    return said


async def test_planted_secrets_appear_nowhere(market: Market) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        "GRIDKEEPER_ACCOUNT__API_KEY": KEY,
        "GRIDKEEPER_ACCOUNT__API_SECRET": SECRET,
        "GRIDKEEPER_API__TOKEN": TOKEN,
        "GRIDKEEPER_API__PORT": str(port),
        "GRIDKEEPER_LOG_LEVEL": "debug",
    }
    async with running_system(market=market, **environment) as running:
        await running.request("BTC/USDT")
        await running.exchange_has_traded(2)
        said = {"API": await answers(port)}

        await running.system.kill_node()
        running.system.environment = environment | {"GRIDKEEPER_ACCOUNT__API_SECRET": WRONG_SECRET}
        await running.system.start_node()
        await running.until_rows("SELECT 1 FROM shards WHERE status = 'halted'")

        async def answers_again() -> bool:
            try:
                said["API of the refused"] = await answers(port)
            except httpx.TransportError:
                return False
            return True

        await eventually(answers_again, "the API answers")
        said["processes"] = b"\n".join(command_lines(running))
        assert b"cli.main" in said["processes"]
        said["dump"] = await output_of(
            str(installed_programs() / "pg_dump"),
            "--inserts",
            **libpq_environment(running.database.dsn),
        )
        assert b"INSERT INTO dbos.workflow_status" in said["dump"]
        ways = await running.rows("SELECT DISTINCT serialization FROM dbos.workflow_status")
        assert [row[0] for row in ways] == ["portable_json"]
        said["bundle"] = await bundle(running, environment)
        data_dir = running.system.data_dir
        for path in [*data_dir.glob("logs/*"), *data_dir.glob("postgres/log/*")]:
            said[str(path)] = path.read_bytes()

    log = said[str(data_dir / "logs" / "node.log")]
    assert b"claimed" in log
    assert b"[debug" in log
    assert {where: found_in(content) for where, content in said.items() if found_in(content)} == {}


@pytest.mark.parametrize("secret", PLANTED)
def test_search_finds_a_secret_however_it_is_written(secret: str) -> None:
    assert {tuple(found_in(b"x" + way + b"x")) for way in spellings(secret)} == {(secret,)}
    assert found_in(secret[1:].encode()) == []

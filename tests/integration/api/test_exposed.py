"""The API beyond loopback: over TLS, behind a proxy, and what is refused instead."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from api.app import create_app, serve_api
from api.listening import Listening
from api.served import Served
from domain.errors import ConfigurationError
from integration.api.conftest import READ_TOKEN, TOKEN
from orchestrator.settings import ApiSettings
from simulator.tls import server_context
from support.serving import free_port, moved, served
from support.system import eventually

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A certificate of our own for localhost, and its key, as settings name them."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    server_context(certificate, key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    return {"tls_certificate": certificate, "tls_key": key}


async def test_server_with_a_certificate_speaks_tls_only(
    running: Served, files: dict[str, Path]
) -> None:
    here = moved(running, port=free_port(), **files)
    trusting = ssl.create_default_context(cafile=files["tls_certificate"])
    async with served(here, host="localhost", verify=trusting) as client:
        assert (await client.get("/api/v1/status")).json()["node"] == "tester"
        async with client.stream("GET", "/api/v1/events") as answer:
            lines = answer.aiter_lines()
            told = [await anext(lines) for _ in range(4)]
        assert told[2:] == ["event: database", 'data: {"answers":true}']
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.RemoteProtocolError):
                await stranger.get(f"http://localhost:{here.settings.api.port}/live")
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get(f"https://localhost:{here.settings.api.port}/live")


async def test_server_takes_up_a_renewed_certificate_and_no_broken_one(
    running: Served, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.listening.RENEW_EVERY_S", 0.05)
    here = moved(running, port=free_port(), **files)
    address = ("localhost", here.settings.api.port)

    async def presented() -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, address)

    first = files["tls_certificate"].read_text()
    async with served(here, host="localhost", verify=ssl.create_default_context(cadata=first)):
        assert await presented() == first
        with capture_logs() as logs:
            files["tls_key"].write_text("not a key")
            await eventually(lambda: _says(logs, "tls_files_refused"), "the key is refused", 5)
            assert await presented() == first

            for file in files.values():
                file.unlink()
            server_context(*files.values())
            await eventually(lambda: _says(logs, "tls_files_renewed"), "it is renewed", 5)
        assert await presented() == files["tls_certificate"].read_text() != first


async def _says(logs: Sequence[Mapping[str, Any]], event: str) -> bool:
    return any(line["event"] == event for line in logs)


async def test_server_behind_a_proxy_answers_under_the_names_it_was_given(running: Served) -> None:
    here = moved(running, port=free_port(), behind_proxy=True, hosts=["trader.example"])
    async with served(here) as client:
        for host, status_code in (("trader.example", 200), ("evil.example", 400)):
            headers = {"Host": host, "X-Forwarded-Host": "trader.example"}
            answer = await client.get("/api/v1/status", headers=headers)
            assert answer.status_code == status_code


@pytest.mark.parametrize(
    ("api", "shown", "status_code"),
    [
        pytest.param({}, None, 200, id="loopback"),
        pytest.param({"behind_proxy": True}, None, 401, id="proxy-nobody"),
        pytest.param({"behind_proxy": True}, READ_TOKEN, 200, id="proxy-reader"),
        pytest.param({"host": "192.0.2.1", "tls": True}, None, 401, id="tls-nobody"),
        pytest.param({"host": "192.0.2.1", "tls": True}, TOKEN, 200, id="tls-operator"),
    ],
)
async def test_metrics_need_a_token_where_others_can_reach_them(
    api: dict[str, Any],
    shown: str | None,
    status_code: int,
    running: Served,
    files: dict[str, Path],
) -> None:
    tls = files if api.pop("tls", False) else {}
    app = create_app(moved(running, **api, **tls, hosts=["trader.example"]))
    headers = {} if shown is None else {"Authorization": f"Bearer {shown}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="https://trader.example"
    ) as client:
        assert (await client.get("/metrics", headers=headers)).status_code == status_code
        assert (await client.get("/live")).status_code == 200


@pytest.mark.parametrize(
    ("api", "names"),
    [
        ({"host": "192.0.2.1"}, {"192.0.2.1"}),
        ({"host": "0.0.0.0", "hosts": ["trader.example"]}, {"0.0.0.0", "trader.example"}),  # noqa: S104
        ({"host": "::", "hosts": ["2001:db8::1"]}, {"::", "2001:db8::1"}),
        ({"host": "Trader.example"}, {"trader.example"}),
    ],
)
def test_address_that_others_can_reach_is_served_with_tls(
    api: dict[str, Any], names: set[str], files: dict[str, Path]
) -> None:
    listening = Listening.of(ApiSettings(**api, **files))

    assert listening.is_exposed
    assert listening.names == {"localhost", "127.0.0.1", "::1"} | names


def _gone(files: dict[str, Path]) -> None:
    files["tls_key"].unlink()


def _open_to_others(files: dict[str, Path]) -> None:
    files["tls_key"].chmod(0o640)


def _no_certificate(files: dict[str, Path]) -> None:
    files["tls_certificate"].write_text("not a certificate")


def _of_another(files: dict[str, Path]) -> None:
    kept = files["tls_certificate"].read_bytes()
    for file in files.values():
        file.unlink()
    server_context(files["tls_certificate"], files["tls_key"])
    files["tls_certificate"].write_bytes(kept)


def _encrypted(files: dict[str, Path]) -> None:
    key = serialization.load_pem_private_key(files["tls_key"].read_bytes(), None)
    hidden = serialization.BestAvailableEncryption(b"a password")
    files["tls_key"].write_bytes(key.private_bytes(PEM, PKCS8, hidden))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(_gone, "`api.tls_key` must be a file that this user may read", id="gone"),
        pytest.param(
            _open_to_others,
            r"its owner only, since it holds a secret, was .*tls.key of mode 0640; run: chmod 600",
            id="open",
        ),
        pytest.param(_no_certificate, "`api.tls_certificate` must be a certificate", id="no-pem"),
        pytest.param(_of_another, "KEY_VALUES_MISMATCH", id="other-key"),
        pytest.param(_encrypted, "without a password", id="encrypted"),
    ],
)
async def test_server_with_unusable_tls_files_is_refused(
    spoil: Callable[[dict[str, Path]], None], said: str, running: Served, files: dict[str, Path]
) -> None:
    spoil(files)
    with pytest.raises(ConfigurationError, match=said):
        await serve_api(moved(running, **files))


@pytest.mark.parametrize(
    ("api", "said"),
    [
        ({"tls_key": "tls.key"}, "`api.tls_certificate` must be given"),
        ({"tls_certificate": "tls.crt"}, "`api.tls_key` must be given"),
        ({"behind_proxy": True}, "`api.hosts` must name what callers write"),
        ({"host": "0.0.0.0", "behind_proxy": True}, "`api.hosts` must name"),  # noqa: S104
        ({"host": "0.0.0.0", "hosts": ["trader.example"]}, "`api.host` must be a loopback"),  # noqa: S104
    ],
)
async def test_server_that_others_could_abuse_is_refused(
    api: dict[str, Any], said: str, running: Served
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await serve_api(moved(running, **api))


@pytest.mark.parametrize("name", ["http://trader.example", "trader.example:8420", "TRADER", "a b"])
def test_host_name_with_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"hosts\.0"):
        ApiSettings(hosts=(name,))


async def test_server_on_an_address_of_another_machine_says_so(
    running: Served, files: dict[str, Path]
) -> None:
    with pytest.raises(ConfigurationError, match="must be an address of this machine"):
        await serve_api(moved(running, host="192.0.2.1", port=free_port(), **files))

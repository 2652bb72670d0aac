"""The container files against the checkout: no engine builds or runs them here."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.settings import Settings
from simulator.tls import server_context
from store.migrate import MIGRATIONS

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())


def instructions() -> list[list[str]]:
    """The Dockerfile as words, one list an instruction."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def copied() -> list[tuple[str, str]]:
    """What comes from the checkout, and where it goes."""
    return [
        (source, words[-1])
        for words in instructions()
        if words[0] == "COPY" and not words[1].startswith("--from")
        for source in words[1:-1]
    ]


@pytest.mark.parametrize("source", sorted({source for source, _ in copied()}))
def test_dockerfile_source_exists_and_is_sent(source: str) -> None:
    rules = (DOCKER / "Dockerfile.dockerignore").read_text().split()

    assert (ROOT / source).exists()
    assert f"!{source}" in rules
    assert rules.index("*") < rules.index(f"!{source}")


@pytest.mark.parametrize("secret", [".env", "docker/.env", ".git/config", ".venv/bin/python"])
def test_dockerignore_secret_or_local_file_is_not_sent(secret: str) -> None:
    rules = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]

    assert "*" in rules
    assert not any(secret == name or fnmatch(secret, f"{name}/*") for name in allowed)


def test_dockerfile_image_runs_unprivileged_with_checked_wheels() -> None:
    commands = [" ".join(words) for words in instructions()]
    last_stage = commands[max(i for i, command in enumerate(commands) if "FROM" in command) :]

    assert any("--require-hashes" in command for command in commands)
    assert "USER gridkeeper" in last_stage
    assert 'ENTRYPOINT ["gridkeeper"]' in last_stage
    assert f"VOLUME {volume_of(COMPOSE['services']['gridkeeper'])}" in last_stage


def test_dockerfile_migrations_lie_where_the_source_tree_looks_for_them() -> None:
    places = dict(copied()) | {
        "src": next(w[-1] for w in instructions() if w[0] == "COPY" and w[-1].endswith("/src"))
    }

    assert MIGRATIONS == ROOT / "migrations"
    assert Path(places["migrations"]) == Path(places["src"]).parent / "migrations"


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_compose_service_mounts_what_exists_and_publishes_on_loopback_only(name: str) -> None:
    service = COMPOSE["services"][name]
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (DOCKER / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_compose_variables_are_all_in_the_example() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    offered = set(re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE))

    assert wanted == offered


def test_compose_node_environment_is_made_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = COMPOSE["services"]["gridkeeper"]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, re.sub(r"\$\{.*?\}", "password", value))

    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic's own argument

    names = {name.removeprefix("GRIDKEEPER_").lower() for name in environment}
    assert names <= settings.model_fields_set
    assert settings.database_url is not None
    host = settings.database_url.get_secret_value().rpartition("@")[2].partition(":")[0]
    assert host in COMPOSE["services"]


def test_compose_who_speaks_to_the_node_shares_its_loopback() -> None:
    services = COMPOSE["services"]
    shared = {name: services[name]["network_mode"] for name in ("gridkeeper", "simulator")}

    assert set(shared.values()) == {services["prometheus"]["network_mode"]}
    assert set(shared.values()) == {"service:network"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(HTTPStatus.OK, 0, id="healthy"),
        pytest.param(HTTPStatus.SERVICE_UNAVAILABLE, 1, id="failed"),
        pytest.param(None, 1, id="nobody_listens"),
    ],
)
def test_healthcheck_answer_of_the_node_becomes_the_exit_code(
    answer: HTTPStatus | None, expected: int
) -> None:
    with node_answering(answer) as port:
        finished = subprocess.run(
            [sys.executable, DOCKER / "healthcheck.py"],
            env={"GRIDKEEPER_API__PORT": str(port)},
            check=False,
            timeout=30,
            capture_output=True,
        )

    assert finished.returncode == expected, finished.stderr


@pytest.mark.parametrize(("speaks_with", "expected"), [("trusted", 0), ("another", 1)])
def test_healthcheck_over_tls_trusts_the_certificate_of_the_node_only(
    speaks_with: str, expected: int, tmp_path: Path
) -> None:
    files = {
        name: (tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        for name in ("trusted", "another")
    }
    contexts = {name: server_context(*of_both) for name, of_both in files.items()}
    with node_answering(HTTPStatus.OK, contexts[speaks_with]) as port:
        finished = subprocess.run(
            [sys.executable, DOCKER / "healthcheck.py"],
            env={
                "GRIDKEEPER_API__PORT": str(port),
                "GRIDKEEPER_API__TLS_CERTIFICATE": str(files["trusted"][0]),
            },
            check=False,
            timeout=30,
            capture_output=True,
        )

    assert finished.returncode == expected, finished.stderr


@contextmanager
def node_answering(status: HTTPStatus | None, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of something that answers every request so, or that nobody listens on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert status is not None
            self.send_response(status if self.path == "/health" else HTTPStatus.NOT_FOUND)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as inherited
            """Tests are quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_address[1]
        if status is None:
            server.server_close()
            yield port
            return
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield port
        finally:
            server.shutdown()
            thread.join()


def volume_of(service: dict[str, Any]) -> str:
    """Where a service keeps its data."""
    target: str = service["volumes"][0].split(":")[1]
    return target

"""The bundle helps those who help, and holds no secret that was planted for it to find."""

from __future__ import annotations

import json
import stat
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from cli.exits import Exit
from support.command_line import CommandLine

#: In the environment, the key file, the token's file, and the database's address.
KEY, SECRET, TOKEN, PASSWORD = (
    "planted-key-0",
    'planted"sécret/1',
    "planted-token-of-16",
    "p/lanted 3",
)
PLANTED = (KEY, SECRET, TOKEN, PASSWORD)
BUNDLE = "bundle.tar.gz"


@pytest.fixture
def reader_dsn(postgres_dsn: str) -> Iterator[str]:
    """The database's address for a role of the test's own, whose password is planted."""
    role = sql.Identifier(f"reader_{uuid.uuid4().hex}")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE pg_read_all_data").format(
                role, sql.Literal(PASSWORD)
            )
        )
        url = make_url(postgres_dsn).set(username=role.as_string()[1:-1], password=PASSWORD)
        yield url.render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def installation(
    gridkeeper: CommandLine, reader_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n{SECRET}\n")
    keys.chmod(0o600)
    token = tmp_path / "api_token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", reader_dsn)
    monkeypatch.setenv("GRIDKEEPER_ACCOUNT__KEY_FILE", str(keys))
    monkeypatch.setenv("GRIDKEEPER_API__TOKEN", TOKEN[::-1])
    return gridkeeper


def packed(path: Path) -> dict[str, str]:
    with tarfile.open(path) as bundle:
        found = {}
        for member in bundle.getmembers():
            content = bundle.extractfile(member)
            assert content is not None
            assert stat.S_IMODE(member.mode) == 0o600
            found[member.name.partition("/")[2]] = content.read().decode()
        return found


def spellings(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), secret.partition("é")[2]}


def test_bundle_has_what_helps_and_no_planted_secret(
    installation: CommandLine, tmp_path: Path
) -> None:
    log = tmp_path / "node.log"
    leaks = "".join(f"a {s} b {json.dumps({'k': s})} ?k={quote(s, safe='')}\n" for s in PLANTED)
    log.write_text("first\n" + leaks + TOKEN[::-1] + "\nlast\n")

    installation("support-bundle", "--to", BUNDLE, "--log", str(log))

    found = packed(tmp_path / BUNDLE)
    assert stat.S_IMODE((tmp_path / BUNDLE).stat().st_mode) == 0o600
    assert {"versions.json", "settings.json", "doctor.json", "tables.json", "logs/1-node.log"} == (
        set(found)
    )
    for secret in (*PLANTED, TOKEN[::-1]):
        for spelling in spellings(secret) - {""}:
            assert not [name for name, part in found.items() if spelling in part], spelling
    assert found["logs/1-node.log"].startswith("first\na [redacted] b")
    assert found["logs/1-node.log"].endswith("last\n")
    assert json.loads(found["versions.json"])["packages"]["dbos"]
    assert json.loads(found["settings.json"])["account"]["api_secret"] == "**********"
    assert "database" in {check["name"] for check in json.loads(found["doctor.json"])}
    tables = json.loads(found["tables.json"])
    assert tables["public.orders"] == 0
    assert tables["public.alembic_version"] == 1
    assert "dbos.workflow_status" in tables


def test_bundle_takes_the_last_lines_of_a_log_and_none_that_was_cut(
    installation: CommandLine, tmp_path: Path
) -> None:
    log = tmp_path / "node.log"
    log.write_text(f"{'x' * (1 << 20)}{SECRET}\n" + "".join(f"line {n}\n" for n in range(50)))

    installation("support-bundle", "--to", BUNDLE, "--log", str(log), "--lines", "60")
    assert packed(tmp_path / BUNDLE)["logs/1-node.log"].splitlines() == [
        f"line {n}" for n in range(50)
    ]

    installation("support-bundle", "--to", "few.tar.gz", "--log", str(log), "--lines", "2")
    assert packed(tmp_path / "few.tar.gz")["logs/1-node.log"] == "line 48\nline 49\n"


def test_bundle_without_a_database_says_why_and_is_made_all_the_same(
    gridkeeper: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDKEEPER_DATABASE_URL", f"postgresql://me:{SECRET}@127.0.0.1:1/none")
    gridkeeper("support-bundle", "--to", BUNDLE)
    found = packed(tmp_path / BUNDLE)
    assert json.loads(found["tables.json"])["error"]
    assert SECRET not in str(found)


def test_bundle_is_never_written_over_a_file(installation: CommandLine, tmp_path: Path) -> None:
    (tmp_path / BUNDLE).write_text("mine")
    installation("support-bundle", "--to", BUNDLE, code=Exit.INVALID)
    assert (tmp_path / BUNDLE).read_text() == "mine"


def test_bundle_log_that_is_not_there_is_named(installation: CommandLine) -> None:
    answer = installation.json("support-bundle", "--log", "nowhere.log", code=Exit.INVALID)
    assert answer["error"]["field"] == "--log"
    assert "nowhere.log" in answer["error"]["value"]

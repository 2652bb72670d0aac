"""`gridkeeper support-bundle`: what somebody needs to help, in one file and without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import os
import platform
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from api.auth import TOKEN_FILE
from cli.checks import check_all
from cli.context import load, quiet_logs, secrets_of
from cli.render import show_facts, to_document
from cli.server import database_server
from cli.session import Format, Output, session_of
from domain.errors import ConfigurationError, GridkeeperError
from orchestrator.settings import Settings
from store.engine import create_engine, transaction
from telemetry.logs import Redactor

#: Of each log no more than so much is looked at for its last lines.
_TAIL_BYTES = 1 << 20
_STDIN = "-"
_TABLES = text("""
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
     WHERE schemaname IN ('public', 'dbos') ORDER BY 1
""")

app = typer.Typer()


@app.command("support-bundle")
def support_bundle(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option(help="File to make; named after the moment if not given.")
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(help="A node's log, several if repeated; - reads stdin."),
    ] = None,
    lines: Annotated[
        int, typer.Option(min=0, max=100_000, help="Last lines taken of each log.")
    ] = 2_000,
    output: Output = Format.TABLE,
) -> None:
    """Pack versions, settings, doctor's report, table counts and last log lines into a tar file.

    Keys, token, passwords and the database's address are masked in all of it. Symbols, orders and
    amounts that a log tells of stay in it: look before you hand it on.
    """
    session = session_of(context)
    settings = load(session)
    quiet_logs(settings, session)
    path = to or Path(f"gridkeeper-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    redactor = Redactor(_secrets(settings))
    parts = {
        "versions.json": _as_json(_versions()),
        "settings.json": _as_json(settings.model_dump(mode="json")),
        **{f"{name}.json": _as_json(part) for name, part in asyncio.run(_found(settings)).items()},
        **{f"logs/{name}": _tail(source, lines) for name, source in _logs(settings, log or ())},
    }
    _write(path, {name: redactor.clean(content) for name, content in parts.items()})
    show_facts({"file": path, "parts": list(parts)}, output)


def _secrets(settings: Settings) -> list[str]:
    """Also those that no line of a log has by itself."""
    secrets = secrets_of(settings)
    if settings.database_url is not None:
        secrets.append(make_url(settings.database_url.get_secret_value()).password or "")
    for path in (settings.data_dir / TOKEN_FILE, settings.data_dir / "postgres" / "password"):
        if path.exists():
            secrets.append(path.read_text().strip())
    return secrets


def _versions() -> dict[str, object]:
    return {
        "gridkeeper": version("gridkeeper"),
        "python": sys.version,
        "platform": platform.platform(),
        "packages": dict(sorted((found.name, found.version) for found in distributions())),
    }


async def _found(settings: Settings) -> dict[str, object]:
    """What is asked of database and exchange; failures are part of the answer."""
    checks = [to_document(check) async for check in check_all(settings)]
    return {"doctor": checks, "tables": await _counts(settings)}


async def _counts(settings: Settings) -> dict[str, object]:
    """Rows of each table, or why they were not counted."""
    counts: dict[str, object] = {}
    try:
        with database_server(settings) as dsn:
            engine = create_engine(dsn, pool_size=1)
            try:
                async with transaction(engine) as connection:
                    tables = (await connection.execute(_TABLES)).scalars().all()
                for table in tables:
                    async with transaction(engine) as connection:
                        # The name comes from the catalogue, which quotes it.
                        count = text(f"SELECT count(*) FROM {table}")  # noqa: S608  # nosec B608
                        counts[table] = (await connection.execute(count)).scalar_one()
            finally:
                await engine.dispose()
    except (GridkeeperError, SQLAlchemyError) as error:
        counts["error"] = str(error)
    return counts


def _logs(settings: Settings, given: Sequence[str]) -> Iterator[tuple[str, BinaryIO]]:
    """The logs that were named, and those of the embedded Postgres."""
    for number, name in enumerate(given, 1):
        if name == _STDIN:
            yield f"{number}-stdin.log", sys.stdin.buffer
        else:
            yield f"{number}-{Path(name).name}", _opened(Path(name))
    for path in sorted((settings.data_dir / "postgres" / "log").glob("*.log")):
        yield f"postgres/{path.name}", _opened(path)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            field="--log",
            rule="must be readable",
            value=f"{path} ({error.strerror})",
            remedy="name a log file, or read it from stdin with --log -",
        ) from error


def _tail(source: BinaryIO, lines: int) -> str:
    with source:
        if source.seekable():
            size = source.seek(0, os.SEEK_END)
            source.seek(max(0, size - _TAIL_BYTES))
        # A secret that the cut went through would not be known again: its line is left out.
        is_cut = source.seekable() and source.tell() > 0
        found = source.read().decode(errors="replace").splitlines(keepends=True)
    whole = found[1:] if is_cut else found
    return "".join(whole[len(whole) - min(lines, len(whole)) :])


def _as_json(document: object) -> str:
    return json.dumps(to_document(document), indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, parts: dict[str, str]) -> None:
    """Only for its owner's eyes, and never over a file that is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(descriptor, "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz") as bundle,
    ):
        for name, content in parts.items():
            entry = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            packed = content.encode()
            entry.size, entry.mtime, entry.mode = len(packed), int(time.time()), 0o600
            bundle.addfile(entry, io.BytesIO(packed))

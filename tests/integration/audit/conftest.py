"""One PostgreSQL server for the module's tests, a migrated database for each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from dbos import DBOS
from psycopg import sql

from integration.audit.stored import keep_commit_times
from store.embedded_postgres import EmbeddedPostgres
from store.migrate import migrate, sqlalchemy_url

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server in a directory that any account can enter."""
    directory = Path(tempfile.mkdtemp(prefix="gridkeeper-", dir="/tmp"))
    directory.chmod(0o755)
    server = EmbeddedPostgres(directory)
    try:
        server.start()
        keep_commit_times(server, "off")
        migrate(server.dsn())
        DBOS.migrate(sqlalchemy_url(server.dsn()))
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture
def dsn(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of the test's own; a server that stops writes down whatever is left of them."""
    migrated = psycopg.conninfo.conninfo_to_dict(postgres.dsn())
    name = f"audit_{next(_NUMBERS)}"
    maintenance = psycopg.conninfo.make_conninfo(postgres.dsn(), dbname="postgres")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(str(migrated["dbname"]))
            )
        )
    yield psycopg.conninfo.make_conninfo(postgres.dsn(), dbname=name)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

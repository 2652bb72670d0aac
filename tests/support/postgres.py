"""A migrated Postgres database of its own for each test: one server a session, one copy a test."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from orchestrator.bootstrap import prepare_schema
from store.embedded_postgres import EmbeddedPostgres
from store.engine import create_engine


@pytest.fixture(scope="session")
def migrated_server() -> Iterator[str]:
    """The DSN of a database with the newest schema, to be copied and never written to."""
    directory = Path(tempfile.mkdtemp(prefix="gridkeeper-", dir="/tmp"))
    directory.chmod(0o755)  # root's Postgres runs as another user
    server = EmbeddedPostgres(directory)
    try:
        dsn = server.start()
        prepare_schema(dsn)
        yield dsn
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture
def postgres_dsn(migrated_server: str) -> Iterator[str]:
    """A fresh database with our tables and those of DBOS."""
    template = make_url(migrated_server)
    name = f"test_{uuid.uuid4().hex}"
    maintenance_dsn = _dsn(migrated_server, "postgres")
    with psycopg.connect(maintenance_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template.database or "")
            )
        )
    yield _dsn(migrated_server, name)
    with psycopg.connect(maintenance_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def engine(postgres_dsn: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(postgres_dsn)
    yield engine
    await engine.dispose()


def _dsn(dsn: str, database: str) -> str:
    return make_url(dsn).set(database=database).render_as_string(hide_password=False)

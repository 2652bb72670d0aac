"""One migrated database for many tests, emptied before each: quicker than a copy for each."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import delete, table
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine import create_engine
from store.tables import metadata

_DBOS_TABLES = ("operation_outputs", "workflow_input", "workflow_output", "workflow_status")


@pytest.fixture(scope="session")
def shared_dsn(migrated_server: str) -> Iterator[str]:
    server = make_url(migrated_server)
    name = f"shared_{uuid.uuid4().hex}"
    maintenance_dsn = server.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(maintenance_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(server.database or "")
            )
        )
    yield server.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(maintenance_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def clean_engine(shared_dsn: str) -> AsyncIterator[AsyncEngine]:
    """For tests that change rows but no schema."""
    engine = create_engine(shared_dsn)
    async with engine.begin() as connection:
        for name in _DBOS_TABLES:
            await connection.execute(delete(table(name, schema="dbos")))
        for ours in reversed(metadata.sorted_tables):
            await connection.execute(delete(ours))
    yield engine
    await engine.dispose()

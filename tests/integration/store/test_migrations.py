"""The migrations make the schema that the code declares, and lead back to nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from store.migrate import current_revision, migrate, newest_revision, sqlalchemy_url
from store.tables import metadata

_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
"""
_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
     WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""
_COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity,
           identity_maximum, col_description(table_name::regclass, ordinal_position)
      FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def empty_dsn(migrated_server: str) -> Iterator[str]:
    server = make_url(migrated_server)
    name = f"empty_{uuid.uuid4().hex}"
    maintenance_dsn = server.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(maintenance_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
    yield server.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(maintenance_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def select(dsn: str, query: str) -> set[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return set(connection.execute(query.encode()).fetchall())


def test_migrations_lead_up_down_and_up_again(empty_dsn: str) -> None:
    assert current_revision(empty_dsn) is None
    migrate(empty_dsn)
    assert current_revision(empty_dsn) == newest_revision()
    made = select(empty_dsn, _COLUMNS), select(empty_dsn, _CONSTRAINTS), select(empty_dsn, _INDEXES)

    migrate(empty_dsn, "base")
    assert current_revision(empty_dsn) is None
    assert select(empty_dsn, _TABLES) == {("alembic_version",)}

    migrate(empty_dsn)
    migrate(empty_dsn)
    assert current_revision(empty_dsn) == newest_revision()
    again = (
        select(empty_dsn, _COLUMNS),
        select(empty_dsn, _CONSTRAINTS),
        select(empty_dsn, _INDEXES),
    )
    assert again == made


def test_migrated_schema_and_declared_tables_differ_in_nothing_alembic_sees(
    postgres_dsn: str,
) -> None:
    engine = create_engine(sqlalchemy_url(postgres_dsn))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(_COLUMNS, id="columns"),
        pytest.param(_CONSTRAINTS, id="constraints"),
        pytest.param(_INDEXES, id="indexes"),
    ],
)
def test_migrated_schema_and_declared_tables_are_the_same_to_postgres(
    empty_dsn: str, migrated_server: str, query: str
) -> None:
    """Alembic compares neither checks nor partial indexes nor defaults."""
    engine = create_engine(sqlalchemy_url(empty_dsn))
    metadata.create_all(engine)
    engine.dispose()
    declared = select(empty_dsn, query)
    assert declared
    assert select(migrated_server, query) == declared

"""Bring a database's schema to a revision, and say where it stands."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
#: Serializes processes that start at once; any constant that nobody else uses.
_ADVISORY_LOCK = 7_305_512_640_917


def sqlalchemy_url(dsn: str) -> str:
    """A libpq DSN as SQLAlchemy spells it for psycopg."""
    return dsn.replace("postgresql://", "postgresql+psycopg://", 1)


def migrate(dsn: str, revision: str = "head") -> None:
    """Move up or down to `revision`; `head` is the newest, `base` an empty schema."""
    engine = create_engine(sqlalchemy_url(dsn))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _ADVISORY_LOCK})
            config = _config(connection)
            if _moves_up(config, connection, revision):
                command.upgrade(config, revision)
            else:
                command.downgrade(config, revision)
    finally:
        engine.dispose()


def current_revision(dsn: str) -> str | None:
    """The revision a database is at; `None` before the first migration."""
    engine = create_engine(sqlalchemy_url(dsn))
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def newest_revision() -> str:
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if head is None:
        raise FileNotFoundError(f"no migrations in {MIGRATIONS}")
    return head


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _moves_up(config: Config, connection: Connection, revision: str) -> bool:
    if revision in {"head", "base"}:
        return revision == "head"
    current = MigrationContext.configure(connection).get_current_revision()
    order = [s.revision for s in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    return current is None or order.index(revision) > order.index(current)

"""The database server for the moment of a command, its schema left as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.settings import Settings
from store.embedded_postgres import EmbeddedPostgres


@contextmanager
def database_server(settings: Settings) -> Iterator[str]:
    """The DSN of the configured server, or of the embedded one, which is started if need be."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = EmbeddedPostgres(settings.data_dir)
    dsn = server.start()
    try:
        yield dsn
    finally:
        server.release()

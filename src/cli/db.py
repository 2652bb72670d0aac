"""`gridkeeper db`: the database itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from typing import Annotated

import typer
from psycopg import pq

from cli.context import load, quiet_logs, unavailable_as_ours
from cli.render import show_facts
from cli.server import database_server
from cli.session import Format, Output, session_of
from domain.errors import ConfigurationError
from store.embedded_postgres import EmbeddedPostgres
from store.migrate import current_revision, migrate, newest_revision
from store.postgres_binaries import installed_programs

app = typer.Typer(no_args_is_help=True)


@app.callback()
def db() -> None:
    """The database."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the database; what follows goes to psql, such as -c 'SELECT …'."""
    session = session_of(context)
    settings = load(session)
    quiet_logs(settings, session)
    with database_server(settings) as dsn:
        code = asyncio.run(_psql(dsn, context.args))
    raise typer.Exit(code)


@app.command()
def dsn(context: typer.Context) -> None:
    """Print the database's address, password included."""
    settings = load(session_of(context))
    if settings.database_url is not None:
        typer.echo(settings.database_url.get_secret_value())
        return
    server = EmbeddedPostgres(settings.data_dir)
    typer.echo(server.dsn())
    if not server.is_running():
        sys.stderr.write("the embedded server does not run now: `gridkeeper up` starts it\n")


@app.command("migrate")
def move_schema(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="A revision; `base` empties the schema.")] = "head",
    output: Output = Format.TABLE,
) -> None:
    """Move our schema up or down to a revision."""
    session = session_of(context)
    settings = load(session)
    quiet_logs(settings, session)
    with database_server(settings) as dsn, unavailable_as_ours():
        before = current_revision(dsn)
        migrate(dsn, to)
        after = current_revision(dsn)
    show_facts({"before": before, "now": after, "newest": newest_revision()}, output)


async def _psql(dsn: str, arguments: list[str]) -> int:
    """Run psql with the address in its environment, where other users cannot see it."""
    process = await asyncio.create_subprocess_exec(
        _program(), *arguments, env={**os.environ, **libpq_environment(dsn)}
    )
    # Ctrl-C is psql's: it cancels a query there.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    return await process.wait()


def libpq_environment(dsn: str) -> dict[str, str]:
    """A DSN as the environment variables that libpq reads."""
    return {
        option.envvar.decode(): option.val.decode()
        for option in pq.Conninfo.parse(dsn.encode())
        if option.val is not None and option.envvar is not None
    }


def _program() -> str:
    try:
        return str(installed_programs() / "psql")
    except ConfigurationError:
        found = shutil.which("psql")
        if found is None:
            raise
        return found

"""`gridkeeper up`: one node with everything it needs, until it is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
import uvloop

from api.app import serve_api
from api.auth import TOKEN_FILE, api_token
from cli.context import load, secrets_of, unavailable_as_ours
from cli.exits import Exit
from cli.session import session_of
from domain.errors import GridkeeperError, OwnershipLost
from orchestrator.bootstrap import RunningNode, run_node
from orchestrator.settings import OnShutdown, Settings
from telemetry.logs import configure_logs

app = typer.Typer()


@app.command()
def up(
    context: typer.Context,
    api: Annotated[
        bool | None, typer.Option("--api/--no-api", help="Serve the API beside the node.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Of the API; 0 takes a free one.")
    ] = None,
    on_shutdown: Annotated[
        OnShutdown | None, typer.Option(help="What a stop does with resting orders.")
    ] = None,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Trade at an exchange that nobody looked at.")
    ] = False,
) -> None:
    """Run a node until SIGINT or SIGTERM: embedded database, shards and API.

    What an earlier node left unfinished is taken over, however it ended.
    """
    chosen: dict[str, Any] = {"enabled": api, "port": port}
    flags = {name: value for name, value in chosen.items() if value is not None}
    settings = load(
        session_of(context),
        api=flags or None,
        on_shutdown=on_shutdown,
        account={"unverified": True} if unverified else None,
    )
    run_until_stopped(settings)


def run_until_stopped(settings: Settings) -> None:
    """Run a node, and the API if that is enabled, until SIGINT or SIGTERM."""
    secrets = secrets_of(settings)
    if settings.api.enabled:
        secrets.append(api_token(settings))
    configure_logs(settings.log_level, settings.log_format.value, secrets)
    try:
        with unavailable_as_ours():
            uvloop.run(_serve(settings))
    except BaseExceptionGroup as group:
        raise _cause(group) from group
    except OwnershipLost as error:
        _end_fenced(error)


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(stop, stopping.set)
    async with run_node(settings) as running:
        _announce(running)
        async with asyncio.TaskGroup() as tasks:
            faces = [tasks.create_task(serve_api(running))] if settings.api.enabled else []
            await stopping.wait()
            for face in faces:
                face.cancel()


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended everything: losing the shards before all others."""
    ours = group.subgroup(GridkeeperError)
    leaves = list(_leaves(ours or group))
    for error in leaves:
        if isinstance(error, OwnershipLost):
            _end_fenced(error)
    return leaves[0]


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _end_fenced(error: OwnershipLost) -> NoReturn:
    """End at once: whatever still runs in this process must not act any more."""
    sys.stderr.write(f"fenced: {error}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(Exit.FENCED)


def _announce(running: RunningNode) -> None:
    settings = running.settings
    api = settings.api
    where = f"http://{api.host}:{api.port}" if api.port else f"a free port of {api.host}"
    lines: dict[str, object] = {
        "gridkeeper": version("gridkeeper"),
        "node": settings.node_name,
        "data": settings.data_dir,
        "database": "embedded" if settings.database_url is None else "as configured",
        "exchange": f"{settings.account.venue}, {settings.account.mode}",
        "account": settings.account.name,
        "API": where if api.enabled else "off",
    }
    if api.enabled:
        token = settings.data_dir / TOKEN_FILE if api.token is None else "as configured"
        lines["API token"] = token
    for name, value in lines.items():
        typer.echo(f"{name:<11}{value}")
    sys.stdout.flush()

"""`gridkeeper up`: one node with everything it needs, until it is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import structlog
import typer
import uvloop

from api.app import serve_api
from api.auth import TOKEN_FILE, api_token
from cli.context import load, secrets_of, unavailable_as_ours
from cli.exits import Exit
from cli.session import session_of
from domain.errors import ConfigurationError, GridkeeperError, OwnershipLost
from orchestrator.bootstrap import RunningNode, run_node
from orchestrator.reload import from_the_same_files, with_keys_of
from orchestrator.settings import OnShutdown, Settings
from telemetry.logs import configure_logs

#: How soon the keys are read again while the exchange refuses them.
KEYS_READ_EVERY_S = 5.0

app = typer.Typer()
log = structlog.get_logger("cli")


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

    What an earlier node left unfinished is taken over, however it ended. SIGHUP reads the settings
    again.
    """
    chosen: dict[str, Any] = {"enabled": api, "port": port}
    flags = {name: value for name, value in chosen.items() if value is not None}
    run_until_stopped(
        lambda: load(
            session_of(context),
            api=flags or None,
            on_shutdown=on_shutdown,
            account={"unverified": True} if unverified else None,
        )
    )


def run_until_stopped(read: Callable[[], Settings]) -> None:
    """Run a node, and the API if that is enabled, until SIGINT or SIGTERM.

    Parameters
    ----------
    read : callable
        Reads the settings: now, and at each SIGHUP.
    """
    settings = read()
    _configure_logs(settings)
    try:
        with unavailable_as_ours():
            uvloop.run(_serve(settings, from_the_same_files(read)))
    except BaseExceptionGroup as group:
        raise _cause(group) from group
    except OwnershipLost as error:
        _end_fenced(error)


def _configure_logs(settings: Settings, former: Sequence[str] = ()) -> None:
    """`former` secrets may still turn up."""
    secrets = [*secrets_of(settings), *former]
    if settings.api.enabled:
        secrets.append(api_token(settings))
    configure_logs(settings.log_level, settings.log_format.value, secrets)


async def _serve(settings: Settings, read: Callable[[], Settings]) -> None:
    stopping, hung_up = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    async with run_node(settings) as running:
        _announce(running)
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(serve_api(running))] if settings.api.enabled else []
            others.append(tasks.create_task(_reload_at(hung_up, running, read, stopping)))
            others.append(tasks.create_task(_follow_keys(running, read)))
            await stopping.wait()
            for other in others:
                other.cancel()


async def _reload_at(
    hung_up: asyncio.Event,
    running: RunningNode,
    read: Callable[[], Settings],
    stopping: asyncio.Event,
) -> None:
    """Read the settings again at each SIGHUP, unless that tells that the terminal is gone."""
    has_terminal = _has_terminal()
    while True:
        await hung_up.wait()
        hung_up.clear()
        if has_terminal and not _has_terminal():
            stopping.set()
            return
        former = secrets_of(running.settings)
        reloaded = running.reload(read)
        _configure_logs(running.settings, former)
        if reloaded.refused:
            log.error("settings_refused", reason=reloaded.refused)
        else:
            log.warning("settings_reloaded", changed=reloaded.changed)
            _take_keys(running, running.settings)


async def _follow_keys(running: RunningNode, read: Callable[[], Settings]) -> None:
    """Read the keys again whenever the exchange refuses those in use."""
    while True:
        await running.exchange.keys_were_refused()
        try:
            fresh = with_keys_of(running.settings, read())
        except (ConfigurationError, OSError, UnicodeError) as error:
            log.error("keys_not_read", error=str(error))
        else:
            _configure_logs(fresh, secrets_of(running.settings))
            _take_keys(running, fresh)
        await asyncio.sleep(KEYS_READ_EVERY_S)


def _take_keys(running: RunningNode, settings: Settings) -> None:
    try:
        if running.take_keys(settings):
            log.warning("keys_taken", account=settings.account.name)
    except ConfigurationError as error:
        log.error("keys_not_read", error=str(error))


def _has_terminal() -> bool:
    try:
        os.tcgetpgrp(0)
    except OSError:
        return False
    return True


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
    scheme = "http" if api.tls_certificate is None else "https"
    where = f"{scheme}://{api.host}:{api.port}" if api.port else f"a free port of {api.host}"
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

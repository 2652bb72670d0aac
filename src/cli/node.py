"""`gridkeeper node`: one more worker against a Postgres that several share, and who they are."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from cli.context import load, with_database
from cli.exits import Exit
from cli.render import Column, print_json, show_lines, show_rows
from cli.session import Format, Output, session_of
from cli.up import run_until_stopped
from domain.errors import ConfigurationError, RequestRefused
from orchestrator.bootstrap import Database
from orchestrator.settings import OnShutdown, Settings
from store import history
from store.history import NodeRecord
from store.nodes import Nodes

_POLL_S = 0.2

app = typer.Typer()

_COLUMNS: tuple[Column[NodeRecord], ...] = (
    Column("node", lambda node: node.name),
    Column("symbols", lambda node: node.symbols),
    Column("capacity", lambda node: node.capacity),
    Column("drains", lambda node: "yes" if node.is_draining else ""),
    Column("silent (s)", lambda node: f"{node.silent_s:.1f}"),
    Column("exchange (UTC)", lambda node: node.exchange_at),
    Column("started (UTC)", lambda node: node.started_at),
    Column("host", lambda node: node.host, is_detail=True),
    Column("pid", lambda node: node.pid),
    Column("executor", lambda node: node.executor_id, is_detail=True),
)

NodeName = Annotated[str, typer.Argument(metavar="NAME", help="As the list shows it.")]


@app.callback(invoke_without_command=True)
def node(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Option(help="By which operators call it; the host's if not given.")
    ] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="Symbols it may run.")] = None,
    on_shutdown: Annotated[
        OnShutdown | None, typer.Option(help="What a stop does with resting orders.")
    ] = None,
) -> None:
    """Run a node without API until SIGINT or SIGTERM, beside others on GRIDKEEPER_DATABASE_URL.

    Nodes share the symbols evenly. One that stops hands its own on at once; those of one that is
    lost are taken over. SIGHUP reads the settings again.
    """
    if context.invoked_subcommand is not None:
        return

    def read() -> Settings:
        return load(
            session_of(context),
            api={"enabled": False},
            node_name=name,
            capacity=capacity,
            on_shutdown=on_shutdown,
        )

    if read().database_url is None:
        raise ConfigurationError(
            field="database_url",
            rule="must name the Postgres that the nodes share",
            value="not set",
            remedy="set GRIDKEEPER_DATABASE_URL, or run a single node with `gridkeeper up`",
        )
    run_until_stopped(read)


@app.command("list")
def list_nodes(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the nodes that joined, the oldest first; a silent one may be lost."""
    found = with_database(session_of(context), lambda database: history.nodes(database.engine))
    show_rows(found, _COLUMNS, output, empty="no nodes; start one with `gridkeeper node`")


@app.command()
def drain(
    context: typer.Context,
    name: NodeName,
    *,
    wait: Annotated[bool, typer.Option(help="Until it runs nothing.")] = True,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.0, help="Seconds at most.")] = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Move its symbols to other nodes, as before an upgrade; their orders stay at the exchange.

    It takes none until it is undrained or started anew. Exits with 5 while some are left.
    """
    left = with_database(
        session_of(context), lambda database: _drain(database, name, timeout_s if wait else 0.0)
    )
    if output is Format.JSON:
        print_json({"nodes": [asdict(node) for node in left]})
    else:
        show_lines([f"{node.name} drains; it runs {node.symbols} symbols" for node in left])
    raise typer.Exit(Exit.PENDING if wait and any(node.symbols for node in left) else Exit.OK)


@app.command()
def undrain(context: typer.Context, name: NodeName) -> None:
    """Let it take symbols again."""
    with_database(
        session_of(context), lambda database: _set_draining(database, name, is_draining=False)
    )
    show_lines([f"{name} takes symbols"])


async def _drain(database: Database, name: str, timeout_s: float) -> list[NodeRecord]:
    """The nodes of that name as they are once they run nothing, or when time is up."""
    drained = await _set_draining(database, name, is_draining=True)
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        seen = await history.nodes(database.engine)
        nodes = [node for node in seen if node.executor_id in drained]
        is_idle = not any(node.symbols for node in nodes)
        if is_idle or asyncio.get_running_loop().time() > deadline:
            return nodes
        await asyncio.sleep(_POLL_S)


async def _set_draining(database: Database, name: str, *, is_draining: bool) -> list[str]:
    changed = await Nodes(database.engine).drain(name, is_draining=is_draining)
    if not changed:
        raise RequestRefused(f"there is no node {name}: see `gridkeeper node list`")
    return list(changed)

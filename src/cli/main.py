"""`gridkeeper`: the root command and the nouns below it."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from cli.errors import report
from cli.session import Session
from domain.errors import ConfigurationError, GridkeeperError


class Noun(NamedTuple):
    """Where a command lives; its module is imported when the command is used."""

    module: str
    summary: str
    attribute: str = "app"


NOUNS = {
    "up": Noun("cli.up", "Run a node: database, shards and API, until stopped."),
    "node": Noun("cli.node", "Run a node beside others; list, drain and undrain them."),
    "sim": Noun("cli.sim", "Run a simulated exchange, until stopped."),
    "demo": Noun("cli.demo", "Trade on a simulated exchange, with a live table and an audit."),
    "crash-test": Noun("cli.crash_test", "Kill parts of a running system at random; audit it."),
    "chaos": Noun("cli.chaos", "Strike a running system with faults of every kind; audit it."),
    "doctor": Noun("cli.doctor", "Check everything a node needs, with remedies."),
    "support-bundle": Noun("cli.support_bundle", "Pack what helps to help you, without secrets."),
    "symbol": Noun("cli.symbol", "Add, update, pause, resume, remove and show symbols."),
    "order": Noun("cli.order", "Show orders, and why each exists."),
    "fill": Noun("cli.fill", "Show trades."),
    "position": Noun("cli.position", "Show inventory, and compare it with the exchange."),
    "account": Noun("cli.account", "Show balances, what reserves them, and what is free."),
    "pnl": Noun("cli.pnl", "Show profit and loss."),
    "workflow": Noun("cli.workflow", "Show durable workflows and their steps."),
    "kill": Noun("cli.kill_switch", "Stop all trading and cancel every order.", "kill"),
    "rearm": Noun("cli.kill_switch", "Allow trading again after a kill.", "rearm"),
    "restore": Noun("cli.restore", "Rebuild a lost database from what the exchange tells."),
    "db": Noun("cli.db", "Reach the database: psql, address, migrations."),
    "config": Noun("cli.config", "Show settings; check, compare and apply a file of symbols."),
}


class LazyGroup(TyperGroup):
    """Knows every noun by its summary, and imports only the one that runs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, noun in NOUNS.items():
            self.add_command(TyperGroup(name=name, help=noun.summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name in NOUNS:
            noun = NOUNS[name]
            module = importlib.import_module(noun.module)
            command = typer.main.get_command(getattr(module, noun.attribute))
            command.name = name
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GridkeeperError as error:
            session = ctx.find_object(Session) or Session()
            raise typer.Exit(report(error, session.output)) from None
        except OSError as error:
            session = ctx.find_object(Session) or Session()
            raise typer.Exit(report(_of_the_system(error), session.output)) from None


def _of_the_system(error: OSError) -> ConfigurationError:
    """What the operating system refuses, such as a path or a port."""
    return ConfigurationError(
        field=str(error.filename or "address"),
        rule="must be usable",
        value=error.strerror or error,
        remedy="choose another one, or mend its permissions",
    )


app = typer.Typer(
    name="gridkeeper",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"gridkeeper {version('gridkeeper')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where database, logs and tokens are kept.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error.", metavar="LEVEL")
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="As --log-level debug.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """A durable multi-symbol market maker.

    Settings come from these flags, GRIDKEEPER_ variables, .env, gridkeeper.yaml and defaults.
    Exit codes: 0 ok, 1 failed, 2 invalid, 3 no database, 4 refused, 5 pending, 6 no exchange,
    75 fenced.
    """
    context.obj = Session(
        flags={"data_dir": data_dir, "log_level": "debug" if verbose else log_level}
    )


def main() -> None:
    app(prog_name="gridkeeper")


if __name__ == "__main__":
    main()

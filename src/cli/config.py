"""`gridkeeper config`: the settings in effect, secrets masked."""

from __future__ import annotations

import typer

from cli.context import load
from cli.render import Facts, show_facts
from cli.session import Format, Output, session_of

app = typer.Typer(no_args_is_help=True)


@app.callback()
def config() -> None:
    """Settings."""


@app.command()
def show(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show each setting as it is in effect."""
    settings = load(session_of(context)).model_dump(mode="json")
    facts: Facts = {}
    for name, value in settings.items():
        if isinstance(value, dict) and output is Format.TABLE:
            facts |= {f"{name}.{inner}": part for inner, part in value.items()}
        else:
            facts[name] = value
    show_facts(facts, output)

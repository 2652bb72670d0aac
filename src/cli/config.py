"""`gridkeeper config`: settings, the exchanges to choose from, and symbols declared in a file."""

from __future__ import annotations

from operator import itemgetter
from typing import Annotated

import typer

from cli.config_file import apply, diff, validate
from cli.context import load
from cli.render import Column, Facts, print_json, show_facts, show_lines, show_rows
from cli.session import Format, Output, session_of
from domain.errors import ConfigurationError
from exchanges.venue_table import OVERVIEW, facts_of, guarantees_of
from exchanges.venues import VENUES

app = typer.Typer(no_args_is_help=True)


@app.callback()
def config() -> None:
    """Settings in effect, known exchanges, and the symbols that a file declares."""


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


for _command in (validate, diff, apply):
    app.command()(_command)


@app.command()
def venues(
    venue: Annotated[str | None, typer.Argument(help="Only this one, in full.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show which exchanges are known, and what each guarantees."""
    rows = {name: facts_of(known) for name, known in VENUES.items()}
    if venue is None:
        columns = [Column[dict[str, str]](name, itemgetter(name)) for name in OVERVIEW]
        show_rows(list(rows.values()), columns, output, empty="no venues")
        return
    if venue not in rows:
        raise ConfigurationError(
            field="venue",
            rule=f"must be one of {', '.join(rows)}",
            value=venue,
            remedy="name one of these",
        )
    guarantees = guarantees_of(VENUES[venue])
    if output is Format.JSON:
        print_json({**rows[venue], "guarantees": guarantees})
        return
    show_facts(rows[venue], output)
    show_lines(["", *guarantees])

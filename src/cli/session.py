"""What the global options said, and in which form the command answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import typer


class Format(StrEnum):
    """How results are written to stdout."""

    TABLE = "table"
    JSON = "json"


@dataclass(slots=True)
class Session:
    """One run of the command line; the root command makes it."""

    #: Settings given as flags; `None` where the flag was not given.
    flags: Mapping[str, Any] = field(default_factory=dict)
    output: Format = Format.TABLE


def session_of(context: typer.Context) -> Session:
    found = context.find_object(Session)
    if found is None:
        raise RuntimeError("the command was not started through the root command")
    return found


def _remember(context: typer.Context, value: Format) -> Format:
    session_of(context).output = value
    return value


#: The `-o` option, remembered by the session so that errors take the same form.
Output = Annotated[
    Format,
    typer.Option("--output", "-o", callback=_remember, help="Form of the answer."),
]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Show at most this many.")]
SymbolFilter = Annotated[
    str | None, typer.Argument(metavar="[SYMBOL]", help="Such as BTC/USDT; all if not given.")
]
SymbolName = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTC/USDT.")]

"""Answers on stdout: tables for people, JSON for programs.

JSON keys are stable; Decimals are strings, times ISO 8601 in UTC.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.session import Format

#: Wide enough for every table where there is no terminal to fit it to.
_PIPE_WIDTH = 240

T = TypeVar("T")
Facts = dict[str, object]


class Column(NamedTuple, Generic[T]):
    """One column of a table."""

    title: str
    value: Callable[[T], object]
    #: Left out where the terminal is too narrow for everything.
    is_detail: bool = False


def show_rows(
    rows: Sequence[T], columns: Sequence[Column[T]], output: Format, *, empty: str
) -> None:
    """Records as a table, or as a JSON array with all their fields."""
    if output is Format.JSON:
        print_json(rows)
        return
    if not rows:
        console().print(Text(empty))
        return
    whole = _table(rows, columns)
    shown = console()
    if shown.measure(whole, options=shown.options.update_width(_PIPE_WIDTH)).maximum > shown.width:
        whole = _table(rows, [column for column in columns if not column.is_detail])
    # A line that is still too long is broken by the terminal: nothing is ever cut off.
    shown.width = max(
        shown.width, shown.measure(whole, options=shown.options.update_width(_PIPE_WIDTH)).maximum
    )
    shown.print(whole)


def _table(rows: Sequence[T], columns: Sequence[Column[T]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        is_number = any(isinstance(column.value(row), Decimal | int) for row in rows)
        table.add_column(column.title, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(words(column.value(row))) for column in columns))
    return table


def show_facts(facts: Mapping[str, object], output: Format) -> None:
    """Names and values, one a line, or a JSON object."""
    if output is Format.JSON:
        print_json(facts)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(Text(name.replace("_", " "), style="bold"), Text(words(value)))
    console().print(table)


def show_lines(lines: Sequence[str]) -> None:
    """Sentences, each on lines of its own."""
    for line in lines:
        console().print(Text(line))


def print_json(document: object) -> None:
    sys.stdout.write(json.dumps(to_document(document), indent=2, ensure_ascii=False) + "\n")


def to_document(value: object) -> Any:
    """Records, Decimals and times as what JSON has."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_document(asdict(value))
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Enum():
            return value.value
        case Path():
            return str(value)
        case Mapping():
            return {str(key): to_document(part) for key, part in value.items()}
        case str():
            return value
        case Sequence():
            return [to_document(part) for part in value]
        case _:
            return value


def words(value: object) -> str:
    """A value as a table shows it."""
    match value:
        case None | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return plain(value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        case Mapping() if any(isinstance(part, Mapping | list) for part in value.values()):
            return json.dumps(to_document(value), ensure_ascii=False)
        case Mapping():
            return ", ".join(f"{key} {words(part)}" for key, part in value.items()) or "–"
        case str():
            return value
        case Sequence():
            separator = "; " if any(isinstance(part, Mapping) for part in value) else ", "
            return separator.join(words(part) for part in value) or "–"
        case _:
            return str(value)


def plain(value: Decimal) -> str:
    """Without exponent and trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)

"""`gridkeeper config validate`, `diff` and `apply`: the symbols of an account, from a file."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.asking import TimeoutS, Wait
from cli.config_apply import Applied, apply_all, exit_of, show_applied
from cli.context import load, with_database
from cli.declaration import Declaration, read_declaration
from cli.exits import Exit
from cli.render import Column, print_json, show_lines, show_rows, words
from cli.session import Format, Output, Session, session_of
from cli.symbol_update import show_preview
from domain.errors import ConfigurationError, VenueError
from orchestrator.bootstrap import Database, open_exchange
from orchestrator.declared import Action, Difference, compare
from orchestrator.settings import Settings

#: `config diff` found some; as `diff` says it.
DIFFERENT = Exit.FAILED

File = Annotated[
    Path, typer.Option("--file", "-f", help="YAML or JSON that declares the account's symbols.")
]
Prune = Annotated[bool, typer.Option("--prune", help="Remove what runs and is not declared.")]


def _changes(found: Difference) -> str:
    if found.check is not None:
        return f"{found.check.slots} slots, {words(found.check.quote_needed)} quote needed"
    return "; ".join(
        f"{name}: {words(before)} → {words(after)}"
        for name, (before, after) in found.changes.items()
    )


_DIFFERENCES: tuple[Column[Difference], ...] = (
    Column("symbol", lambda each: each.symbol),
    Column("action", lambda each: f"{each.action}{', refused' if each.problem else ''}"),
    Column("version", lambda each: each.version),
    Column("changes", _changes),
)


def validate(context: typer.Context, *, file: File, output: Output = Format.TABLE) -> None:
    """Check a file of symbols: its form and the account's limits, without database or exchange.

    Each thing that is wrong is told with its line; then the exit code is 2.
    """
    declared = _read(load(session_of(context)), file)
    if output is Format.JSON:
        print_json({"ok": True, "account": declared.account, "symbols": list(declared.symbols)})
    else:
        show_lines([f"{file}: {len(declared.symbols)} symbols for account {declared.account}"])


def diff(
    context: typer.Context, *, file: File, prune: Prune = False, output: Output = Format.TABLE
) -> None:
    """Show what `config apply` would do, and do nothing.

    Exits with 0 if nothing would be done, with 1 if something would, with 2 or more on errors.
    """
    session = session_of(context)
    settings = load(session)
    declared = _read(settings, file)
    found = with_database(
        session,
        lambda database: _compare(database, settings, declared, prunes=prune, must_judge=False),
    )
    changes = [each for each in found if each.action.is_change]
    code = DIFFERENT if changes else Exit.OK
    if output is Format.JSON:
        print_json(
            {
                "account": declared.account,
                "differs": bool(changes),
                "symbols": [_document(each) for each in found],
                "exit_code": code,
            }
        )
    else:
        _show(found)
        for each in changes:
            if each.preview is not None:
                show_lines([""])
                show_preview(each.preview, output)
    raise typer.Exit(code)


def apply(
    context: typer.Context,
    *,
    file: File,
    prune: Prune = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Add and update unasked.")] = False,
    yes_prune: Annotated[bool, typer.Option("--yes-prune", help="Remove unasked.")] = False,
    wait: Wait = None,
    timeout_s: TimeoutS = 120.0,
    output: Output = Format.TABLE,
) -> None:
    """Add and update symbols until the account trades what a file declares.

    If anything in it would be refused, nothing is done. Each change is a durable request; applied
    again, a file asks for nothing twice. Removed symbols keep their inventory on the account.
    """
    session = session_of(context)
    settings = load(session)
    declared = _read(settings, file)

    async def plan(database: Database) -> tuple[Difference, ...]:
        return await _compare(database, settings, declared, prunes=prune, must_judge=True)

    found = with_database(session, plan, may_create=True)
    changes = [each for each in found if each.action.is_change]
    refused = [each for each in found if each.problem]
    if refused:
        _answer_refused(found, refused, output)
    if not changes:
        show_applied(declared.account, [], output, node_runs=None, code=Exit.OK)
        return
    _confirm(session, found, yes=yes, yes_prune=yes_prune)

    async def work(database: Database) -> tuple[list[Applied], bool, bool]:
        return await apply_all(database, settings, changes, wait, timeout_s)

    applied, waited, node_runs = with_database(session, work)
    code = exit_of(applied, waited=waited)
    show_applied(declared.account, applied, output, node_runs=node_runs, code=code)
    raise typer.Exit(code)


def _read(settings: Settings, file: Path) -> Declaration:
    return read_declaration(file, settings.account.name, settings.risk.portfolio)


async def _compare(
    database: Database,
    settings: Settings,
    declared: Declaration,
    *,
    prunes: bool,
    must_judge: bool,
) -> tuple[Difference, ...]:
    """What differs; where something is to be added the exchange is asked about it."""
    account, limits = declared.account, settings.risk.portfolio

    async def look(exchange: Any = None) -> tuple[Difference, ...]:
        return await compare(
            database.engine,
            account,
            declared.symbols,
            prunes=prunes,
            limits=limits,
            leverage=settings.account.leverage,
            exchange=exchange,
        )

    found = await look()
    if not any(each.action is Action.ADD for each in found):
        return found
    async with AsyncExitStack() as stack:
        try:
            exchange = open_exchange(settings)
            stack.push_async_callback(exchange.close)
            return await look(exchange)
        except VenueError as error:
            if must_judge:
                raise
            sys.stderr.write(f"additions are not judged, since the exchange is away: {error}\n")
    return found


def _confirm(session: Session, found: Sequence[Difference], *, yes: bool, yes_prune: bool) -> None:
    """Ask before anything is done, and once more before anything is removed."""
    counts = Counter(each.action for each in found)
    removed = [each.symbol for each in found if each.action is Action.REMOVE]
    if session.output is Format.TABLE:
        _show(found)
    if counts[Action.ADD] + counts[Action.UPDATE]:
        ask_first(
            "--yes",
            f"Add {counts[Action.ADD]} symbols, update {counts[Action.UPDATE]}?",
            is_answered=yes,
        )
    if removed:
        question = f"Cancel all orders of {', '.join(removed)} and stop trading there?"
        ask_first("--yes-prune", question, is_answered=yes_prune)


def ask_first(flag: str, question: str, *, is_answered: bool) -> None:
    """Go on only if the flag or a person at the terminal says so."""
    if is_answered:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(
            field=flag,
            rule="must be given where nobody can be asked",
            value="missing",
            remedy=f"add {flag}: {question}",
        )
    typer.confirm(question, abort=True, err=True)


def _answer_refused(
    found: Sequence[Difference], refused: Sequence[Difference], output: Format
) -> None:
    if output is Format.JSON:
        error = {"kind": "RequestRefused", "message": "; ".join(each.problem for each in refused)}
        symbols = [_document(each) for each in found]
        print_json({"error": error, "symbols": symbols, "exit_code": Exit.REFUSED})
    else:
        _show(found)
        show_lines(["nothing was done"])
    raise typer.Exit(Exit.REFUSED)


def _show(found: Sequence[Difference]) -> None:
    counts = Counter(each.action for each in found)
    shown = [each for each in found if each.action is not Action.UNCHANGED]
    show_rows(shown, _DIFFERENCES, Format.TABLE, empty="no differences")
    if counts:
        names = {Action.ADD: "to add", Action.UPDATE: "to update", Action.REMOVE: "to remove"}
        present = [action for action in Action if counts[action]]
        show_lines([", ".join(f"{counts[each]} {names.get(each, each)}" for each in present)])
    show_lines([f"{each.symbol}: {each.problem}" for each in found if each.problem])


def _document(found: Difference) -> Mapping[str, object]:
    """One symbol for programs; these keys stay."""
    return {
        "symbol": found.symbol,
        "action": found.action,
        "version": found.version,
        "changes": {
            name: {"before": before, "after": after}
            for name, (before, after) in found.changes.items()
        },
        "preview": found.preview,
        "check": found.check,
        "problem": found.problem or None,
    }

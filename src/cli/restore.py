"""`gridkeeper restore`: symbols, slots and inventory from the exchange alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from cli.config_file import ask_first
from cli.context import load, with_database
from cli.declaration import read_declaration
from cli.exits import Exit
from cli.grid_options import GridSource, flag, takes_grid
from cli.grid_spec import grid_of
from cli.render import Column, print_json, show_lines, show_rows
from cli.restore_preview import document_of, lines_of, symbols_table
from cli.session import Format, Output, session_of
from domain.errors import ConfigurationError, RequestRefused
from domain.ids import symbol_key
from grid.spec import GridSpec
from orchestrator.bootstrap import (
    Database,
    name_of_exchange,
    new_request_id,
    open_exchange,
)
from orchestrator.restore import (
    AccountSurvey,
    Restoration,
    Wanted,
    judge,
    record,
    refuse_alive,
    survey_account,
)
from orchestrator.settings import Settings
from store.restore import refuse_used

app = typer.Typer()

_REMEDY = "see `gridkeeper restore --help`"


@app.command("restore")
@takes_grid
def restore(
    context: typer.Context,
    *,
    grid: GridSource,
    symbol: Annotated[
        str | None,
        typer.Option(help="Restore this one; without it, --file declares all symbols."),
    ] = None,
    nonce: Annotated[
        int | None, typer.Option(help="Which installation, where orders of several are told.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Leave out what ended before, such as 2026-01-31, UTC.", metavar="DATE"),
    ] = None,
    cancel_unknown: Annotated[
        bool, typer.Option("--cancel-unknown", help="Cancel resting orders that fit nowhere.")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Show it and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it unasked.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Rebuild a lost database from the account's orders and trades, and trade on.

    The grids are not in the exchange: declare them as they were, in the file of `config apply` or
    by the options of `symbol add`. It is shown what would be done, and asked; into an empty
    database only.
    """
    session = session_of(context)
    settings = load(session)
    wanted = Wanted(
        symbols=_declared(settings, symbol, grid), nonce=nonce, since_ms=_milliseconds(since)
    )

    async def look(database: Database) -> tuple[AccountSurvey, Restoration]:
        return await _look(database, settings, wanted)

    seen, found = with_database(session, look, may_create=True)
    problems = [*found.problems, *_unknown(found, cancel_unknown=cancel_unknown)]
    is_done = False
    if not problems and found.symbols and not preview:
        if output is Format.TABLE:
            _show(found, problems)
        ask_first("--yes", "Write this into the database and trade on?", is_answered=yes)

        async def work(database: Database) -> Restoration:
            return await _work(database, settings, wanted, seen, cancel_unknown=cancel_unknown)

        found = with_database(session, work)
        is_done = True
    code = Exit.OK if is_done or (preview and not problems) else Exit.REFUSED
    if output is Format.JSON:
        print_json(document_of(found, problems, is_done=is_done) | {"exit_code": code})
    elif is_done:
        show_lines(["restored: the symbols trade as soon as a node runs"])
    else:
        _show(found, problems)
    raise typer.Exit(code)


async def _look(
    database: Database, settings: Settings, wanted: Wanted
) -> tuple[AccountSurvey, Restoration]:
    """Look twice, with a pause in which a dead installation's last requests have expired."""
    await refuse_used(database.engine)
    exchange = open_exchange(settings)
    try:
        with Console(stderr=True).status("asking the exchange for orders and trades"):
            before = await survey_account(exchange, wanted.symbols)
            nonce = judge(before, wanted).nonce
            if nonce is None:
                return before, judge(before, wanted)
        quiet_s = settings.dead_after_s
        with Console(stderr=True).status(f"watching for {quiet_s:.0f} s whether anybody trades"):
            await asyncio.sleep(quiet_s)
            after = await survey_account(exchange, wanted.symbols)
        refuse_alive(before, after, nonce)
        return after, judge(after, wanted)
    finally:
        await exchange.close()


async def _work(
    database: Database,
    settings: Settings,
    wanted: Wanted,
    before: AccountSurvey,
    *,
    cancel_unknown: bool,
) -> Restoration:
    """Look again, since the exchange did not stand still while the operator read."""
    exchange = open_exchange(settings)
    try:
        seen = await survey_account(exchange, wanted.symbols)
        found = judge(seen, wanted)
        if found.nonce is not None:
            refuse_alive(before, seen, found.nonce)
        unknown = _unknown(found, cancel_unknown=cancel_unknown)
        if unknown:
            raise RequestRefused("; ".join(unknown))
        name = name_of_exchange(settings)
        await record(database.engine, exchange, name, seen, found, new_request_id())
        return found
    finally:
        await exchange.close()


def _declared(settings: Settings, symbol: str | None, grid: GridSource) -> Mapping[str, GridSpec]:
    account = settings.account.name
    if symbol is not None:
        symbol_key(account, symbol)
        return {symbol: grid_of(grid)}
    given = grid.options.given()
    if grid.file is None or given:
        raise ConfigurationError(
            field="--symbol",
            rule="must go with the options of a grid; a --file declares all symbols without them",
            value=", ".join(flag(name) for name in given) or "neither",
            remedy=_REMEDY,
        )
    return read_declaration(grid.file, account, settings.risk.portfolio).symbols


def _milliseconds(since: str | None) -> int | None:
    if since is None:
        return None
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise ConfigurationError(
            field="--since", rule="must be a date or a time", value=since, remedy=_REMEDY
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _unknown(found: Restoration, *, cancel_unknown: bool) -> list[str]:
    return [
        f"{each.symbol}: order {order.order.record.report.client_order_id} fits nowhere: {reason};"
        " --cancel-unknown has it cancelled"
        for each in found.symbols
        for order, reason in each.misfits
        if not cancel_unknown
    ]


def _show(found: Restoration, problems: list[str]) -> None:
    columns: tuple[Column[Mapping[str, object]], ...] = symbols_table()
    rows = document_of(found, problems, is_done=False)["symbols"]
    show_rows(rows, columns, Format.TABLE, empty="no symbols")
    show_lines(lines_of(found))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if problems:
        show_lines(["nothing was done"])

"""`gridkeeper account`: what the account's money is used for."""

from __future__ import annotations

import typer

from cli.context import load, with_database
from cli.render import Column, print_json, show_lines, show_rows, words
from cli.session import Format, Output, session_of
from risk.reservations import AssetUse
from store.reservations import account_use

app = typer.Typer(no_args_is_help=True)

_COLUMNS: tuple[Column[AssetUse], ...] = (
    Column("asset", lambda use: use.asset),
    Column("balance", lambda use: use.balance),
    Column("reserved", lambda use: use.reserved),
    Column("in inventory", lambda use: use.in_inventory),
    Column("free", lambda use: use.free),
    Column("reserved by", lambda use: use.reserved_by),
)


@app.callback()
def account() -> None:
    """The account's money."""


@app.command()
def show(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show the balance of each asset, what symbols reserve of it, and what is free for more.

    free = balance + in inventory - reserved: what has become inventory left the balance, and stays
    reserved. Balances are those that the exchange last told.
    """
    session = session_of(context)
    name = load(session).account.name
    use = with_database(session, lambda database: account_use(database.engine, name))
    if output is Format.JSON:
        print_json(use)
        return
    show_rows(use.assets, _COLUMNS, output, empty="nothing is held or reserved")
    show_lines([f"account {name}, balances of {words(use.read_at)} UTC"])

"""`gridkeeper fill`: the account's trades in our symbols."""

from __future__ import annotations

import typer

from cli.context import with_database
from cli.render import Column, show_rows
from cli.session import Format, Limit, Output, SymbolFilter, session_of
from store import history
from store.history import FillRecord

app = typer.Typer(no_args_is_help=True)

_COLUMNS: tuple[Column[FillRecord], ...] = (
    Column("traded (UTC)", lambda fill: fill.traded_at, is_detail=True),
    Column("symbol", lambda fill: fill.symbol),
    Column("side", lambda fill: fill.side),
    Column("price", lambda fill: fill.price),
    Column("quantity", lambda fill: fill.quantity),
    Column("fee", lambda fill: fill.fee),
    Column("fee asset", lambda fill: fill.fee_asset, is_detail=True),
    Column("role", lambda fill: "maker" if fill.is_maker else "taker", is_detail=True),
    Column("origin", lambda fill: fill.origin, is_detail=True),
    Column("trade id", lambda fill: fill.trade_id, is_detail=True),
    Column("client order id", lambda fill: fill.client_order_id),
)


@app.callback()
def fill() -> None:
    """Trades."""


@app.command("list")
def list_fills(
    context: typer.Context,
    symbol: SymbolFilter = None,
    limit: Limit = 100,
    output: Output = Format.TABLE,
) -> None:
    """List trades, the newest first."""
    found = with_database(
        session_of(context), lambda database: history.fills(database.engine, symbol, limit=limit)
    )
    show_rows(found, _COLUMNS, output, empty="no trades")

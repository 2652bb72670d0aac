"""`gridkeeper pnl`: what the grids have earned."""

from __future__ import annotations

import typer

from cli.render import Column, show_rows
from cli.session import Format, Output, SymbolFilter, session_of
from cli.watch import Watch, answer
from store import history
from store.history import ProfitRecord

app = typer.Typer()

_COLUMNS: tuple[Column[ProfitRecord], ...] = (
    Column("symbol", lambda profit: profit.symbol),
    Column("status", lambda profit: profit.status, is_detail=True),
    Column("in", lambda profit: profit.quote, is_detail=True),
    Column("pairs", lambda profit: profit.pairs),
    Column("grid", lambda profit: profit.grid),
    Column("unpaired", lambda profit: profit.unpaired, is_detail=True),
    Column("floating", lambda profit: profit.floating),
    Column("funding", lambda profit: profit.funding, is_detail=True),
    Column("total", lambda profit: profit.total),
    Column("fees paid", lambda profit: profit.fees, is_detail=True),
    Column("inventory", lambda profit: profit.inventory),
    Column("mark", lambda profit: profit.mark),
    Column("mark seen (UTC)", lambda profit: profit.mark_at, is_detail=True),
)


@app.command()
def pnl(
    context: typer.Context,
    symbol: SymbolFilter = None,
    watch: Watch = None,
    output: Output = Format.TABLE,
) -> None:
    """Show grid profit, unpaired and floating profit, funding, fees and the total, in quote.

    All are after fees. The mark is the middle of the book that the symbol's last decision saw.
    """
    answer(
        session_of(context),
        watch,
        lambda database: history.profits(database.engine, symbol),
        lambda found: show_rows(found, _COLUMNS, output, empty="no symbols were ever added"),
    )

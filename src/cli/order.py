"""`gridkeeper order`: orders, and why each exists."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.context import with_database
from cli.render import Column, print_json, show_facts, show_lines, show_rows, to_document
from cli.session import Format, Limit, Output, SymbolFilter, session_of
from cli.unknown import unknown_order
from cli.watch import Watch, answer
from store import history
from store.history import OrderRecord

app = typer.Typer(no_args_is_help=True)

OrderId = Annotated[str, typer.Argument(metavar="ID", help="Client order id, or the venue's id.")]

_COLUMNS: tuple[Column[OrderRecord], ...] = (
    Column("intended (UTC)", lambda order: order.intended_at, is_detail=True),
    Column("symbol", lambda order: order.symbol),
    Column("side", lambda order: order.side),
    Column("price", lambda order: order.price),
    Column("quantity", lambda order: order.quantity),
    Column("filled", lambda order: order.filled, is_detail=True),
    Column("status", lambda order: order.status),
    Column("purpose", lambda order: order.purpose, is_detail=True),
    Column("slot", lambda order: order.slot, is_detail=True),
    Column("client order id", lambda order: order.client_order_id),
    Column("venue id", lambda order: order.venue_order_id, is_detail=True),
)


@app.callback()
def order() -> None:
    """Orders."""


@app.command("list")
def list_orders(
    context: typer.Context,
    symbol: SymbolFilter = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that ended.")] = False,
    limit: Limit = 100,
    watch: Watch = None,
    output: Output = Format.TABLE,
) -> None:
    """List orders, the newest first."""
    empty = "no orders" if everything else "no live orders"
    answer(
        session_of(context),
        watch,
        lambda database: history.orders(
            database.engine, symbol, live_only=not everything, limit=limit
        ),
        lambda found: show_rows(found, _COLUMNS, output, empty=empty),
    )


@app.command()
def show(context: typer.Context, order_id: OrderId, output: Output = Format.TABLE) -> None:
    """Show one order with all its fields."""
    found = with_database(
        session_of(context), lambda database: history.order(database.engine, order_id)
    )
    if found is None:
        raise unknown_order(order_id)
    show_facts(asdict(found), output)


@app.command()
def why(context: typer.Context, order_id: OrderId, output: Output = Format.TABLE) -> None:
    """Tell why an order exists and what became of it."""
    story = with_database(
        session_of(context), lambda database: history.why(database.engine, order_id)
    )
    if story is None:
        raise unknown_order(order_id)
    if output is Format.JSON:
        print_json({**to_document(story), "story": history.narrate(story)})
    else:
        show_lines(history.narrate(story))

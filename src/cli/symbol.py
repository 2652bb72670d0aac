"""`gridkeeper symbol`: what is traded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.asking import Patience, RequestId, TimeoutS, Wait, ask
from cli.context import load, quiet_logs, with_database
from cli.grid_options import GridOptions, Spacing, spec_of
from cli.render import Column, show_facts, show_rows
from cli.session import Format, Output, SymbolFilter, SymbolName, session_of
from cli.symbol_adopt import adopt_request, preview_adoption
from cli.symbol_update import register
from cli.unknown import unknown_symbol
from domain.instrument import Instrument
from orchestrator.bootstrap import open_exchange
from orchestrator.requests import Requests
from orchestrator.settings import Settings
from store import history
from store.history import SymbolRecord

app = typer.Typer(no_args_is_help=True)

_COLUMNS: tuple[Column[SymbolRecord], ...] = (
    Column("symbol", lambda symbol: symbol.symbol),
    Column("status", lambda symbol: symbol.status if symbol.node else f"{symbol.status}, no node"),
    Column("wanted", lambda symbol: symbol.desired, is_detail=True),
    Column("epoch", lambda symbol: symbol.epoch),
    Column("live orders", lambda symbol: symbol.live_orders),
    Column("inventory", lambda symbol: symbol.inventory),
    Column("pairs", lambda symbol: symbol.pairs),
    Column("grid profit", lambda symbol: symbol.grid_profit),
    Column("bid", lambda symbol: symbol.bid, is_detail=True),
    Column("ask", lambda symbol: symbol.ask, is_detail=True),
    Column("decided (UTC)", lambda symbol: symbol.last_decision_at, is_detail=True),
    Column("node", lambda symbol: symbol.node, is_detail=True),
    Column("reason", lambda symbol: symbol.reason),
)
_MARKETS: tuple[Column[Instrument], ...] = (
    Column("symbol", lambda market: market.symbol),
    Column("tick size", lambda market: market.tick_size),
    Column("lot size", lambda market: market.lot_size),
    Column("min notional", lambda market: market.min_notional),
    Column("maker fee", lambda market: market.maker_fee),
    Column("taker fee", lambda market: market.taker_fee),
)


@app.callback()
def symbol() -> None:
    """Symbols."""


@app.command()
def add(
    context: typer.Context,
    symbol: SymbolName,
    *,
    spacing: Annotated[
        Spacing | None, typer.Option(help="Follows from --step or --step-bp if not given.")
    ] = None,
    step: Annotated[
        str | None, typer.Option(metavar="PRICE", help="From level to level, in quote.")
    ] = None,
    step_bp: Annotated[
        str | None, typer.Option(metavar="BP", help="From level to level; 5 is a ratio of 1.0005.")
    ] = None,
    buy_window: Annotated[int | None, typer.Option(help="Live levels below the price.")] = None,
    sell_window: Annotated[int | None, typer.Option(help="Live levels above the price.")] = None,
    anchor: Annotated[
        str | None, typer.Option(metavar="PRICE", help="Level 0; the present price if not given.")
    ] = None,
    lower: Annotated[
        str | None, typer.Option(metavar="PRICE", help="Lower end of a fixed range.")
    ] = None,
    upper: Annotated[
        str | None, typer.Option(metavar="PRICE", help="Upper end of a fixed range.")
    ] = None,
    order_quote: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Worth of each order, in quote.")
    ] = None,
    order_base: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Size of each order, in base.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Most quote that may be tied up.")
    ] = None,
    max_open_orders: Annotated[int | None, typer.Option(help="Most orders at once.")] = None,
    placement_buffer: Annotated[
        str | None, typer.Option(metavar="PART", help="Of a step, around the price.")
    ] = None,
    price_collar: Annotated[
        str | None, typer.Option(metavar="PART", help="Of the price, beyond which none is placed.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="YAML or JSON with the whole grid instead.")
    ] = None,
    adopt_position: Annotated[
        bool,
        typer.Option("--adopt-position", help="Let slots begin with what the account holds."),
    ] = False,
    adopt_quantity: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="In base; all that is free if not given.")
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what it would adopt.")
    ] = False,
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Trade a symbol on a grid.

    Levels 10 USDT apart, five on each side: gridkeeper symbol add BTC/USDT --step 10
    --buy-window 5 --sell-window 5 --order-quote 50 --budget 1000
    """
    options = GridOptions(
        spacing=spacing,
        step=step,
        step_bp=step_bp,
        buy_window=buy_window,
        sell_window=sell_window,
        anchor=anchor,
        lower=lower,
        upper=upper,
        order_quote=order_quote,
        order_base=order_base,
        budget=budget,
        max_open_orders=max_open_orders,
        placement_buffer=placement_buffer,
        price_collar=price_collar,
    )
    spec = spec_of(options, file)
    adopt = adopt_request(adopts=adopt_position, quantity=adopt_quantity)
    if preview:
        preview_adoption(session_of(context), symbol, spec, adopt, output)
        return
    ask(
        session_of(context),
        lambda requests, new_id: requests.add(symbol, spec, new_id, adopt=adopt),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
        may_create=True,
    )


register(app, add)


def _add_verb(
    name: str, request: Callable[[Requests, str, str], Awaitable[str]], summary: str
) -> None:
    def verb(
        context: typer.Context,
        symbol: SymbolName,
        *,
        request_id: RequestId = None,
        wait: Wait = None,
        timeout_s: TimeoutS = 60.0,
        output: Output = Format.TABLE,
    ) -> None:
        ask(
            session_of(context),
            lambda requests, new_id: request(requests, symbol, new_id),
            request_id,
            Patience(wait=wait, timeout_s=timeout_s),
        )

    app.command(name, help=summary)(verb)


_add_verb("pause", Requests.pause, "Open no more positions; exits of what is held go on.")
_add_verb("resume", Requests.resume, "Trade a paused symbol again.")
_add_verb("remove", Requests.remove, "Cancel its orders and stop trading it; inventory is kept.")


@app.command()
def move(
    context: typer.Context,
    symbol: SymbolName,
    *,
    to: Annotated[
        str | None, typer.Option(metavar="NODE", help="By name; any node if not given.")
    ] = None,
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Run it on another node, and keep it there; its orders stay at the exchange meanwhile."""
    ask(
        session_of(context),
        lambda requests, new_id: requests.move(symbol, to, new_id),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
    )


@app.command("list")
def list_symbols(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also removed ones.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """List symbols with their state."""
    found = with_database(
        session_of(context),
        lambda database: history.symbols(database.engine, include_removed=everything),
    )
    show_rows(found, _COLUMNS, output, empty="no symbols; add one with `gridkeeper symbol add`")


@app.command()
def show(context: typer.Context, symbol: SymbolName, output: Output = Format.TABLE) -> None:
    """Show one symbol with its grid and its state."""
    found = with_database(
        session_of(context), lambda database: history.symbol(database.engine, symbol)
    )
    if found is None:
        raise unknown_symbol(symbol)
    show_facts(asdict(found), output)


@app.command()
def markets(
    context: typer.Context, symbol: SymbolFilter = None, output: Output = Format.TABLE
) -> None:
    """List what the exchange trades, with its rules."""
    session = session_of(context)
    settings = load(session)
    quiet_logs(settings, session)
    instruments = asyncio.run(_instruments(settings))
    found = [market for market in instruments if symbol in {None, market.symbol}]
    show_rows(found, _MARKETS, output, empty="no such market")


async def _instruments(settings: Settings) -> list[Instrument]:
    exchange = open_exchange(settings)
    try:
        return sorted((await exchange.load_instruments()).values(), key=lambda i: i.symbol)
    finally:
        await exchange.close()

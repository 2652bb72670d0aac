"""`gridkeeper symbol`: what is traded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, NamedTuple

import typer

from cli.asking import Patience, RequestId, TimeoutS, Wait, ask
from cli.context import load, quiet_logs
from cli.errors import GridRefused
from cli.grid_options import GridSource, takes_grid
from cli.grid_spec import Wording, grid_of
from cli.ladder_picture import Rung, live_rungs, show_ladder
from cli.preview import Preview, document_of, facts_of, planned_rungs, preview
from cli.render import Column, Facts, plain, print_json, show_facts, show_lines, show_rows
from cli.session import Format, Output, SymbolFilter, SymbolName, session_of
from cli.symbol_adopt import adopt_request, preview_adoption
from cli.symbol_update import revert, update, versions
from cli.unknown import unknown_symbol
from cli.watch import Watch, answer
from domain.errors import ConfigurationError
from domain.instrument import Instrument
from grid.spec import ORDERS_MAX, GridSpec, Mode
from orchestrator.bootstrap import Database, open_exchange
from orchestrator.guarded import GuardedSymbol, guarded
from orchestrator.requests import Requests
from orchestrator.settings import Settings
from ports.exchange import ExchangePort
from store import history
from store.history import SymbolRecord

app = typer.Typer(no_args_is_help=True)


def _mode(symbol: SymbolRecord) -> str:
    return str(symbol.spec.get("mode", Mode.LONG.value))


_COLUMNS: tuple[Column[GuardedSymbol], ...] = (
    Column("symbol", lambda symbol: symbol.symbol),
    Column("mode", _mode),
    Column("stage", lambda symbol: symbol.stage, is_detail=True),
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
    Column(
        "dead-man switch asked for (s)",
        lambda symbol: symbol.dead_man_switch_s or None,
        is_detail=True,
    ),
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
@takes_grid
def add(
    context: typer.Context,
    symbol: SymbolName,
    *,
    grid: GridSource,
    adopt_position: Annotated[
        bool,
        typer.Option("--adopt-position", help="Let slots begin with what the account holds."),
    ] = False,
    adopt_quantity: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="In base; all that is free if not given.")
    ] = None,
    shows_only: Annotated[
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
    spec = grid_of(grid).model_dump(mode="json")
    adopt = adopt_request(adopts=adopt_position, quantity=adopt_quantity)
    if shows_only:
        preview_adoption(session_of(context), symbol, spec, adopt, output)
        return
    ask(
        session_of(context),
        lambda requests, new_id: requests.add(symbol, spec, new_id, adopt=adopt),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
        may_create=True,
        wording=Wording(grid).of_text,
    )


@app.command()
@takes_grid
def check(
    context: typer.Context,
    symbol: SymbolName,
    *,
    grid: GridSource,
    output: Output = Format.TABLE,
) -> None:
    """Show what a grid comes to at the price now, or why it cannot work; it is not added.

    Takes what `symbol add` takes. The account's balance is not looked at.
    """
    spec = grid_of(grid)
    settings = _quiet(context)
    try:
        seen = asyncio.run(_preview(settings, symbol, spec))
    except ConfigurationError as error:
        raise GridRefused(Wording(grid).of_error(error)) from None
    if output is Format.JSON:
        print_json(document_of(seen))
        return
    show_facts(facts_of(seen), output)
    if spec.trigger_price is not None:
        show_lines(["", f"once the price reaches {plain(spec.trigger_price)}:"])
    show_lines([""])
    show_ladder(planned_rungs(seen), seen.start)


for _command in (update, versions, revert):
    app.command()(_command)


async def _preview(settings: Settings, symbol: str, spec: GridSpec) -> Preview:
    async with _exchange(settings) as exchange:
        return await preview(exchange, symbol, spec)


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


@app.command()
def remove(
    context: typer.Context,
    symbol: SymbolName,
    *,
    close: Annotated[
        bool,
        typer.Option("--close/--keep", help="Close its inventory first, or leave it as it is."),
    ] = False,
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Cancel its orders and stop trading it.

    What it holds stays on the account, and is shown, unless it is to be closed.
    """
    ask(
        session_of(context),
        lambda requests, new_id: requests.remove(symbol, new_id, close=close),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
        lambda database: _left(database, symbol),
    )


async def _left(database: Database, symbol: str) -> Facts:
    """What is held after all: the slots of a symbol outlive it."""
    held = [each for each in await history.positions(database.engine, symbol) if each.inventory]
    return {
        "held": [f"{plain(each.inventory)} {each.base}" for each in held],
        "cost": [f"{plain(each.cost)} {each.quote}" for each in held],
    }


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
    watch: Watch = None,
    output: Output = Format.TABLE,
) -> None:
    """List symbols with their state."""
    settings = load(session_of(context))

    async def look(database: Database) -> Sequence[GuardedSymbol]:
        found = await history.symbols(database.engine, include_removed=everything)
        return await guarded(settings, database.engine, found)

    answer(
        session_of(context),
        watch,
        look,
        lambda found: show_rows(
            found, _COLUMNS, output, empty="no symbols; add one with `gridkeeper symbol add`"
        ),
    )


@app.command()
def show(
    context: typer.Context, symbol: SymbolName, watch: Watch = None, output: Output = Format.TABLE
) -> None:
    """Show one symbol with its grid, its state and its ladder."""
    settings = load(session_of(context))

    async def look(database: Database) -> _Shown:
        found = await history.symbol(database.engine, symbol)
        if found is None:
            raise unknown_symbol(symbol)
        orders = await history.orders(database.engine, symbol, limit=ORDERS_MAX)
        positions = await history.positions(database.engine, symbol)
        (shown,) = await guarded(settings, database.engine, [found])
        return _Shown(
            shown,
            live_rungs(
                [order for order in orders if order.shard == found.shard],
                [slot for each in positions if each.shard == found.shard for slot in each.slots],
            ),
        )

    answer(session_of(context), watch, look, lambda shown: _show(shown, output))


class _Shown(NamedTuple):
    symbol: GuardedSymbol
    rungs: list[Rung]


def _show(shown: _Shown, output: Format) -> None:
    symbol = shown.symbol
    show_facts({"symbol": symbol.symbol, "mode": _mode(symbol)} | asdict(symbol), output)
    if output is Format.TABLE:
        show_lines([""])
        show_ladder(shown.rungs, _mid(symbol))


def _mid(symbol: SymbolRecord) -> Decimal | None:
    if symbol.bid is None or symbol.ask is None:
        return symbol.bid or symbol.ask
    return (symbol.bid + symbol.ask) / 2


@app.command()
def markets(
    context: typer.Context, symbol: SymbolFilter = None, output: Output = Format.TABLE
) -> None:
    """List what the exchange trades, with its rules."""
    instruments = asyncio.run(_instruments(_quiet(context)))
    found = [market for market in instruments if symbol in {None, market.symbol}]
    show_rows(found, _MARKETS, output, empty="no such market")


async def _instruments(settings: Settings) -> list[Instrument]:
    async with _exchange(settings) as exchange:
        return sorted((await exchange.load_instruments()).values(), key=lambda i: i.symbol)


def _quiet(context: typer.Context) -> Settings:
    session = session_of(context)
    settings = load(session)
    quiet_logs(settings, session)
    return settings


@asynccontextmanager
async def _exchange(settings: Settings) -> AsyncIterator[ExchangePort]:
    exchange = open_exchange(settings)
    try:
        yield exchange
    finally:
        await exchange.close()

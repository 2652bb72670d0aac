"""`gridkeeper demo`: a whole system on this machine, trading while one looks on."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from audit.auditor import audit
from audit.report import Report
from audit.simulator import SimulatorAccess
from cli.exits import Exit
from cli.local_system import LocalSystem, Market, add_symbols, demo_spec, temporary_data_dir
from cli.render import plain, print_json, words
from cli.session import Format, Output
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import Database, open_database
from store import history
from store.history import ProfitRecord, SymbolRecord
from telemetry.logs import configure_logs

SYNTHETIC = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
RECORDED = ("BTC/USDT", "ETH/USDT")
FILLS_MIN = 5
PAIRS_MIN = 1
REFRESH_S = 0.5
SETTLE_S = 15.0
#: A node that ended by itself, or by kill -9, is started again after this long.
RESTART_AFTER_S = 1.0

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Standing:
    """One symbol's results so far."""

    symbol: SymbolRecord
    profit: ProfitRecord

    @property
    def is_proven(self) -> bool:
        return self.symbol.fills >= FILLS_MIN and self.profit.pairs >= PAIRS_MIN

    def document(self) -> dict[str, object]:
        return {
            "symbol": self.symbol.symbol,
            "status": self.symbol.status,
            "fills": self.symbol.fills,
            "matched_pairs": self.profit.pairs,
            "open_orders": self.symbol.live_orders,
            "position": self.profit.inventory,
            "profit": {
                "grid": self.profit.grid,
                "unpaired": self.profit.unpaired,
                "floating": self.profit.floating,
                "total": self.profit.total,
                "fees": self.profit.fees,
                "quote": self.profit.quote,
            },
        }


@app.command()
def demo(
    *,
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds to trade; until Ctrl-C if not given.")
    ] = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="Recorded trades and book tickers, or a folder of them."),
    ] = None,
    speed: Annotated[int, typer.Option(min=1, max=100, help="Of a replay.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic market.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data at the end.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Trade on a simulated exchange with embedded Postgres, and audit the result.

    Kill the node with -9 while it runs: it is started again and resumes. Exits with 1 unless every
    symbol has at least 5 fills and a matched pair, and the auditor finds nothing wrong.
    """
    market = (
        Market(replay=tuple(replay), speed=Decimal(speed), symbols=RECORDED)
        if replay
        else Market(seed=seed, symbols=SYNTHETIC)
    )
    configure_logs("error", "console", [])
    with temporary_data_dir(keep=keep) as data_dir:
        ok = asyncio.run(_demo(LocalSystem(data_dir=data_dir, market=market), duration, output))
    raise typer.Exit(Exit.OK if ok else Exit.FAILED)


async def _demo(system: LocalSystem, duration_s: float | None, output: Format) -> bool:
    console = Console(stderr=output is Format.JSON)
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    try:
        starting = console.status("starting the exchange, the database and a node")
        starting.start()
        await system.start_simulator()
        async with open_database(system.settings) as database:
            await system.start_node()
            acknowledged = await add_symbols(database, system.market.symbols, demo_spec())
            starting.stop()
            watch = asyncio.create_task(_keep_node_running(system, console))
            console.print(_introduction(system), soft_wrap=True)
            started_s = time.monotonic()
            await _show(system, database, console, stop, duration_s)
            watch.cancel()
            with console.status("comparing the exchange's ledger with Postgres"):
                report = await audit(
                    database.dsn,
                    SimulatorAccess(system.simulator_dir),
                    settle_s=SETTLE_S,
                    acknowledged=acknowledged,
                )
            results = await standings(database)
            if duration_s is None:
                return _tell(report)
            return _conclude(system, report, results, output, time.monotonic() - started_s)
    finally:
        await system.close()


async def _show(
    system: LocalSystem,
    database: Database,
    console: Console,
    stop: asyncio.Event,
    duration_s: float | None,
) -> None:
    """Keep the table fresh until time is up or the user has seen enough."""
    deadline = None if duration_s is None else time.monotonic() + duration_s
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while not stop.is_set() and (deadline is None or time.monotonic() < deadline):
            with suppress(StoreUnavailable):
                live.update(_table(await standings(database), system, deadline))
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await stop.wait()


async def standings(database: Database) -> list[Standing]:
    """Where each symbol stands, as Postgres knows it."""
    profits = {profit.shard: profit for profit in await history.profits(database.engine)}
    return [
        Standing(symbol, profits[symbol.shard])
        for symbol in await history.symbols(database.engine)
        if symbol.shard in profits
    ]


async def _keep_node_running(system: LocalSystem, console: Console) -> None:
    """As a service manager would."""
    while True:
        code = await system.wait_node()
        how = "was killed" if code == -signal.SIGKILL else f"ended with {code}"
        console.print(f"[bold]the node {how}; it is started again and resumes")
        await asyncio.sleep(RESTART_AFTER_S)
        await system.start_node()
        console.print(f"[bold]the node is pid {system.node_pid} now")


def _tell(report: Report) -> bool:
    """Someone looked on for as long as they liked: only the audit counts."""
    sys.stdout.write(report.to_text() + "\n")
    return report.ok


def _conclude(
    system: LocalSystem,
    report: Report,
    results: Sequence[Standing],
    output: Format,
    traded_s: float,
) -> bool:
    """Tell how it went; whether every symbol traded and the audit is clean."""
    ok = report.ok and bool(results) and all(standing.is_proven for standing in results)
    if output is Format.JSON:
        print_json(
            {
                "ok": ok,
                "market": _market_words(system.market),
                "seed": system.market.seed,
                "traded_s": round(traded_s, 1),
                "symbols": [standing.document() for standing in results],
                "audit": report.to_json(),
            }
        )
        return ok
    sys.stdout.write(report.to_text() + "\n")
    for standing in results:
        if not standing.is_proven:
            sys.stdout.write(
                f"{standing.symbol.symbol}: {standing.symbol.fills} fills and "
                f"{standing.profit.pairs} pairs, expected {FILLS_MIN} and {PAIRS_MIN}\n"
            )
    return ok


def _introduction(system: LocalSystem) -> Group:
    node = system.node_pid
    prefix = f"{sys.argv[0]} --data-dir {system.data_dir}"
    lines = [
        f"market    {_market_words(system.market)}",
        f"node      pid {node}, log {system.data_dir / 'logs' / 'node.log'}",
        "",
        "Try in another terminal:",
        f"  kill -9 {node}",
        f"  {prefix} order list",
        f"  {prefix} order why CLIENT_ORDER_ID",
        f"  {prefix} symbol pause BTC/USDT --wait",
        f"  {prefix} db psql",
    ]
    return Group(*(Text(line) for line in lines))


def _market_words(market: Market) -> str:
    fee_bp = plain(market.fee * 10_000)
    if market.replay:
        names = ", ".join(path.name for path in market.replay)
        return f"recorded trades and quotes ({names}), speed × {market.speed}, fees {fee_bp} bp"
    return f"synthetic, seed {market.seed}, fees {fee_bp} bp"


def _table(rows: Sequence[Standing], system: LocalSystem, deadline: float | None) -> Table:
    left = "Ctrl-C ends it" if deadline is None else f"{max(0, deadline - time.monotonic()):.0f} s"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"gridkeeper demo · {left}",
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
        caption="grid: profit of matched pairs; total: with what is open, in quote",
        caption_justify="left",
    )
    table.add_column("symbol", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for title in ("price", "open", "fills", "pairs", "position", "grid", "total"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        profit = row.profit
        table.add_row(
            row.symbol.symbol,
            row.symbol.status,
            words(profit.mark),
            str(row.symbol.live_orders),
            str(row.symbol.fills),
            str(profit.pairs),
            f"{profit.inventory:.5f}",
            _money(profit.grid),
            _money(profit.total),
        )
    return table


def _money(value: Decimal | None) -> str:
    return "–" if value is None else f"{value:+.3f}"

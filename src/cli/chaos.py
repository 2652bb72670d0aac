"""`gridkeeper chaos`: faults of every kind against a running system, judged by its recovery."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from chaos.disk import NoSmallDiskError, SmallDisk
from chaos.faults import Fault, FullDisk
from chaos.report import Outcome, Row
from chaos.run import ROUNDS_MAX, blame_for_ends, play
from chaos.schedule import Round, rounds
from chaos.table import FAULTS
from cli.chaos_system import chaos_system
from cli.exits import Exit
from cli.local_nodes import COMMAND
from cli.local_system import LocalSystem, Market, kept_copy, temporary_data_dir
from cli.render import Column, print_json, show_lines, show_rows
from cli.session import Format, Output
from telemetry.logs import configure_logs

DURATION_MAX_S = 24 * 3_600.0
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3_600}
_TICK_S = 0.5
NOTHING_INJECTED = (
    "no fault was injected, so nothing was shown: give it a longer --duration, other --faults,"
    " or what those that were skipped ask for"
)


class MarketKind(StrEnum):
    SPOT = "spot"
    LINEAR = "linear"


SYMBOLS = {
    MarketKind.SPOT: ("BTC/USDT", "ETH/USDT", "SOL/USDT"),
    MarketKind.LINEAR: ("BTC/USDT:USDT",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run."""

    seed: int
    duration_s: float
    faults: Sequence[Fault]
    market: MarketKind
    nodes: int
    rounds_max: int = ROUNDS_MAX
    patience: float = 1.0
    command: Sequence[str] = COMMAND


_ROWS: tuple[Column[Row], ...] = (
    Column("fault", lambda row: row.fault),
    Column("injected", lambda row: row.injected),
    Column("skipped", lambda row: row.skipped or ""),
    Column("violations", lambda row: row.violations),
    Column("recovery p50 (s)", lambda row: row.recovery_p50_s),
    Column("max (s)", lambda row: row.recovery_max_s),
)
_FAULTS: tuple[Column[Fault], ...] = (
    Column("fault", lambda fault: fault.name),
    Column("does", lambda fault: fault.does),
    Column("heals", lambda fault: fault.heals),
    Column("held (s)", lambda fault: "–".join(f"{part:g}" for part in fault.hold_s)),
    Column("quotes again within (s)", lambda fault: f"{fault.again_s:g}"),
)


def _duration_s(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if not 0 < seconds <= DURATION_MAX_S:
        raise typer.BadParameter(f"must be such as 90s, 5m or 1h, at most a day, was {text!r}")
    return seconds


def _chosen(names: str | None) -> list[Fault]:
    if names is None:
        return list(FAULTS.values())
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in FAULTS]
    if unknown or not wanted:
        raise typer.BadParameter(f"no fault {', '.join(unknown) or names!r}: see --list")
    return [FAULTS[name] for name in dict.fromkeys(wanted)]


app = typer.Typer()


@app.command()
def chaos(
    *,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the market and of the faults; drawn if not given.")
    ] = None,
    duration: Annotated[
        str, typer.Option(help="90s, 5m, 1h; the last round may end a little later.")
    ] = "5m",
    faults: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Only these; all if not given.")
    ] = None,
    market: Annotated[
        MarketKind, typer.Option(help="Three spot pairs, or a perpetual.")
    ] = MarketKind.SPOT,
    nodes: Annotated[int, typer.Option(min=1, max=4, help="That share the symbols.")] = 2,
    max_rounds: Annotated[int, typer.Option(min=1, max=ROUNDS_MAX, help="End after so many.")] = (
        ROUNDS_MAX
    ),
    patience: Annotated[
        float, typer.Option(min=0.1, max=100, help="Multiplies all bounds, for slow machines.")
    ] = 1.0,
    list_faults: Annotated[
        bool, typer.Option("--list", help="Show the faults there are, and end.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs at the end.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Strike a trading system with faults, wait until it quotes again after each, audit it.

    Everything is started for it and ended with it: simulated exchange, Postgres, nodes, proxies.
    The same seed, faults and number of nodes give the same sequence. It ends with 1 if symbols do
    not quote again in time, a node ends for no reason or not when it is told to, the auditor finds
    anything, or no fault could be injected.
    """
    chosen = _chosen(faults)
    if list_faults:
        show_rows(chosen, _FAULTS, output, empty="")
        return
    plan = Plan(
        seed=random.SystemRandom().randrange(1_000_000) if seed is None else seed,
        duration_s=_duration_s(duration),
        faults=chosen,
        market=market,
        nodes=nodes,
        rounds_max=max_rounds,
        patience=patience,
    )
    configure_logs("critical", "console", [])
    console = Console(stderr=True)
    console.print(f"seed {plan.seed}")
    outcome = _run_shown(plan, console, keep=keep)
    if output is Format.JSON:
        print_json(outcome.to_document())
    else:
        _show(outcome)
    raise typer.Exit(Exit.OK if outcome.ok else Exit.FAILED)


async def run(
    plan: Plan,
    data_dir: Path,
    *,
    disk: SmallDisk | None = None,
    on_round: Callable[[Round], None] = lambda _: None,
) -> Outcome:
    """Run a system under `data_dir`, strike it as planned, heal it, audit it."""
    outcome = Outcome(seed=plan.seed, faults=plan.faults)
    symbols = SYMBOLS[plan.market]
    system = LocalSystem(data_dir=data_dir, market=Market(seed=plan.seed, symbols=symbols))
    async with chaos_system(
        system, nodes=plan.nodes, disk=disk, patience=plan.patience, command=plan.command
    ) as rig:
        await play(
            rig,
            rounds(plan.seed, plan.faults, symbols=symbols, nodes=plan.nodes),
            outcome,
            duration_s=plan.duration_s,
            rounds_max=plan.rounds_max,
            patience=plan.patience,
            on_round=on_round,
        )
        known = {what for strike in outcome.strikes for what in strike.violations}
        outcome.violations += [what for what in await rig.audit() if what not in known]
        blame_for_ends(rig, outcome, plan.patience)
        outcome.audit = None if rig.report is None else rig.report.to_json()
    if outcome.is_vacuous:
        outcome.violations.append(NOTHING_INJECTED)
    return outcome


def _run_shown(plan: Plan, console: Console, *, keep: bool) -> Outcome:
    """Run under a data directory of its own, of which a copy is kept if anything was found."""
    with ExitStack() as stack:
        data_dir = stack.enter_context(temporary_data_dir())
        disk = _small_disk(plan.faults, data_dir / "postgres", console)
        if disk is not None:
            stack.callback(disk.unmount)
        progress = stack.enter_context(Progress(console=console))

        async def run_shown() -> Outcome:
            async with _shown(progress, plan.duration_s) as show:
                return await run(plan, data_dir, disk=disk, on_round=show)

        outcome = asyncio.run(run_shown())
        if keep or not (outcome.ok or outcome.violations == [NOTHING_INJECTED]):
            console.print(f"data and logs: {kept_copy(data_dir)}")
    return outcome


def _small_disk(faults: Sequence[Fault], path: Path, console: Console) -> SmallDisk | None:
    if not any(isinstance(fault.effect, FullDisk) for fault in faults):
        return None
    disk = SmallDisk(path)
    try:
        disk.mount()
    except NoSmallDiskError as error:
        console.print(f"a full disk is skipped: {error}")
        return None
    return disk


@asynccontextmanager
async def _shown(progress: Progress, duration_s: float) -> AsyncIterator[Callable[[Round], None]]:
    """A bar of the time that is over, beside what strikes now."""
    task = progress.add_task("starting", total=duration_s)

    def show(turn: Round) -> None:
        names = " + ".join(item.fault.name for item in turn.injections)
        progress.update(task, description=f"{turn.number}: {names}")

    async def move() -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            progress.advance(task, _TICK_S)

    moving = asyncio.create_task(move())
    try:
        yield show
    finally:
        moving.cancel()
        with suppress(asyncio.CancelledError):
            await moving


def _show(outcome: Outcome) -> None:
    show_rows(
        [row for row in outcome.rows if row.injected or row.skipped],
        _ROWS,
        Format.TABLE,
        empty="no fault struck",
    )
    found = [
        f"round {strike.round}, {strike.injection.fault.name}: {what}"
        for strike in outcome.strikes
        for what in strike.violations
    ]
    skipped = [
        f"skipped {strike.injection.fault.name}: {strike.skipped}"
        for strike in outcome.strikes
        if strike.skipped
    ]
    verdict = "passed" if outcome.ok else "FAILED"
    show_lines([*skipped, *found, *outcome.violations, f"{verdict}, seed {outcome.seed}"])

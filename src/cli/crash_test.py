"""`gridkeeper crash-test`: kill -9 at random moments of a running system, then audit it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from audit.auditor import audit
from audit.report import Report
from audit.simulator import SimulatorAccess
from chaos.requests import stories
from chaos.table import WITHOUT_DATABASE
from cli.exits import Exit
from cli.local_system import LocalSystem, Market, demo_spec, kept_copy, temporary_data_dir
from cli.render import print_json
from cli.session import Format, Output
from cli.users import ANSWER_S, Users
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import Database, open_database
from ports.failpoints import Failpoint
from store.embedded_postgres import EmbeddedPostgres
from store.registry import Registry
from telemetry.logs import configure_logs

#: Between a start and the next kill; the lower end hits start-up and recovery themselves.
PAUSE_S = (0.3, 3.0)
DOWN_S = (0.0, 1.0)
CONVERGE_S = 60.0
SETTLE_S = 20.0
#: From its start: the start alone takes 5 s where other work goes on.
FAILPOINT_WAIT_S = 15.0
#: How many times the node passes a failpoint until it ends there, at most.
HITS_MAX = 5
#: One user after the other begins to ask, and has asked for everything so long after.
STORY_S = 1.5


class Target(StrEnum):
    """What a kill hits."""

    NODE = "node"
    POSTGRES = "postgres"
    BOTH = "both"
    #: The node kills itself at a named step boundary.
    FAILPOINT = "failpoint"


#: What a start, or a request, passes once begins so.
_PASSED_ONCE = ("start_up.", "apply_change.")
_WEIGHTS = {Target.NODE: 4, Target.POSTGRES: 2, Target.BOTH: 2, Target.FAILPOINT: 4}


@dataclass(frozen=True, slots=True)
class Kill:
    target: Target
    #: Name of the failpoint, where one was armed.
    detail: str = ""
    #: Whether the node ended there, and not only when that took too long.
    reached: bool | None = None

    @property
    def label(self) -> str:
        if self.reached is None:
            return self.target.value
        return f"{self.target.value} {'reached' if self.reached else 'not reached'}"


@dataclass(slots=True, kw_only=True)
class Outcome:
    seed: int
    kills: list[Kill] = field(default_factory=list)
    report: Report | None = None
    #: Nodes that ended before they were killed, though they had their database.
    gave_up: list[str] = field(default_factory=list)
    #: Symbols that did not trade again, and requests that were not taken, in the time allowed.
    stuck: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.report is not None and self.report.ok and not self.stuck and not self.gave_up

    def to_text(self) -> str:
        counts = Counter(kill.label for kill in self.kills)
        lines = [f"seed {self.seed}: " + ", ".join(f"{n} × {what}" for what, n in counts.items())]
        lines += [f"gave up: {what}" for what in self.gave_up]
        lines += [f"stuck: {what}" for what in self.stuck]
        if self.report is not None:
            lines.append(self.report.to_text())
        return "\n".join(lines) + "\n"

    def to_document(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "seed": self.seed,
            "kills": [asdict(kill) for kill in self.kills],
            "gave_up": self.gave_up,
            "stuck": self.stuck,
            "audit": self.report.to_json() if self.report else None,
        }


app = typer.Typer()


@app.command(name="crash-test")
def command(
    kills: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the market and of the kills; drawn if not given.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs at the end.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Kill -9 node and Postgres at random moments while they trade, then audit the result.

    Meanwhile symbols are paused, resumed and updated, each of which must be answered at the end.
    A node that ends before it is killed, though it has its database, is a violation as well.
    The same seed kills in the same order. It ends by itself, and with 1 on any violation.
    """
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    configure_logs("critical", "console", [])
    console = Console(stderr=True)
    console.print(f"seed {chosen}")
    with temporary_data_dir() as data_dir, Progress(console=console) as progress:
        task = progress.add_task("kills", total=kills)
        outcome = asyncio.run(
            crash_test(data_dir, kills=kills, seed=chosen, on_kill=lambda _: progress.advance(task))
        )
        if keep or not outcome.ok:
            console.print(f"data and logs: {kept_copy(data_dir)}")
    if output is Format.JSON:
        print_json(outcome.to_document())
    else:
        sys.stdout.write(outcome.to_text())
    raise typer.Exit(Exit.OK if outcome.ok else Exit.FAILED)


async def crash_test(
    data_dir: Path, *, kills: int, seed: int, on_kill: Callable[[Kill], None]
) -> Outcome:
    """Run a system under `data_dir`, kill parts of it `kills` times, let it recover, audit it."""
    outcome = Outcome(seed=seed)
    system = LocalSystem(data_dir=data_dir, market=Market(seed=seed))
    killer = Killer(system, seed)
    try:
        await system.start_simulator()
        async with open_database(system.settings) as database:
            await killer.start()
            users = Users(database=database, spec=demo_spec())
            await users.add(system.market.symbols)
            is_over = asyncio.Event()
            asking = asyncio.create_task(_ask_on(users, seed, system.market.symbols, is_over))
            try:
                for _ in range(kills):
                    kill = await killer.kill_once()
                    outcome.kills.append(kill)
                    on_kill(kill)
                is_over.set()
                if (await asyncio.wait({asking}, timeout=ANSWER_S))[0]:
                    asking.result()
                else:
                    outcome.stuck.append("a request is not acknowledged")
            finally:
                asking.cancel()
            outcome.stuck += await _stuck_symbols(database, system.node_pid)
            killer.look()
            outcome.gave_up += killer.gave_up
            await users.until_answered(users.acknowledged, ANSWER_S)
            outcome.report = await audit(
                database.dsn,
                SimulatorAccess(system.simulator_dir),
                settle_s=SETTLE_S,
                acknowledged=users.acknowledged,
            )
    finally:
        await system.close()
    return outcome


async def _ask_on(users: Users, seed: int, symbols: Sequence[str], is_over: asyncio.Event) -> None:
    """Let users ask one after the other; the last one finishes, so that every symbol is to run."""
    for story in stories(seed, symbols):
        asked = 0.0
        for request in story:
            await asyncio.sleep((request.at - asked) * STORY_S)
            asked = request.at
            await users.ask(request)
        if is_over.is_set():
            return


class Killer:
    """Kills by what a seed draws, and sees nodes that do not live until they are killed."""

    def __init__(self, system: LocalSystem, seed: int) -> None:
        self._system = system
        self._choices = random.Random(seed)  # nosec B311  # repeatable, not secret
        #: How the node may end by itself, after what has happened since its start.
        self._explained: frozenset[int] = frozenset()
        self.gave_up: list[str] = []

    async def start(self, failpoint: str | None = None) -> None:
        self._explained = frozenset()
        await self._system.start_node(failpoint=failpoint)

    async def kill_once(self) -> Kill:
        choices = self._choices
        target = choices.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        failpoint = choices.choice(list(Failpoint))
        hits = choices.randint(1, HITS_MAX)
        pause_s, down_s = choices.uniform(*PAUSE_S), choices.uniform(*DOWN_S)
        if target is Target.FAILPOINT:
            hits = 1 if failpoint.startswith(_PASSED_ONCE) else hits
            return await self._kill_at(f"{failpoint}@{hits}")
        await asyncio.sleep(pause_s)
        if target in {Target.POSTGRES, Target.BOTH}:
            self.look()
            self._explained |= WITHOUT_DATABASE
            kill_postgres(self._system.data_dir)
        if target in {Target.NODE, Target.BOTH}:
            await self._kill_node()
            await asyncio.sleep(down_s)
            await self.start()
        return Kill(target)

    def look(self) -> None:
        """Note a node that has ended though nothing explains it."""
        process = self._system.node
        if process is not None and process.returncode is not None:
            self._note(process.returncode)

    async def _kill_at(self, failpoint: str) -> Kill:
        await self._kill_node()
        await self.start(failpoint)
        code = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(FAILPOINT_WAIT_S):
                code = await self._system.wait_node()
        await self._kill_node()
        await self.start()
        return Kill(Target.FAILPOINT, failpoint, reached=code == -signal.SIGKILL)

    async def _kill_node(self) -> None:
        self._note(await self._system.kill_node())

    def _note(self, code: int) -> None:
        if code != -signal.SIGKILL and code not in self._explained:
            self.gave_up.append(f"the node ended by itself with {code}")
            self._explained |= {code}  # told once


def kill_postgres(data_dir: Path) -> None:
    """SIGKILL to the postmaster of the embedded server, if it runs."""
    postmaster = EmbeddedPostgres(data_dir).postmaster()
    if postmaster is not None:
        with suppress(ProcessLookupError):
            os.kill(postmaster.pid, signal.SIGKILL)


async def _stuck_symbols(database: Database, node_pid: int) -> list[str]:
    registry = Registry(database.engine)
    deadline = asyncio.get_running_loop().time() + CONVERGE_S

    async def not_running() -> list[str]:
        try:
            return await registry.idle_symbols(node_pid)
        except StoreUnavailable as error:
            return [f"database: {error}"]

    return await _until_empty(not_running, deadline)


async def _until_empty(look: Callable[[], Awaitable[list[str]]], deadline: float) -> list[str]:
    while True:
        left = await look()
        if not left or asyncio.get_running_loop().time() > deadline:
            return left
        await asyncio.sleep(0.2)

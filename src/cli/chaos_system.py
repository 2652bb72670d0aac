"""A local system as chaos strikes it: nodes that are kept running, and a judge of their quotes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from audit.auditor import audit
from audit.report import Report
from audit.simulator import SimulatorAccess
from chaos.disk import SmallDisk
from chaos.ends import NodeEnd
from chaos.faults import Line, Process
from chaos.hands import market_state, open_orders
from chaos.proxy import Proxy
from chaos.requests import Request
from chaos.rig import Listing, NotEndedError
from cli.exits import Exit
from cli.local_nodes import COMMAND, LocalNode, local_node
from cli.local_system import STOP_WAIT_S, LocalSystem, listing_of
from cli.users import ANSWER_S, Users
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import Database, new_request_id, open_database
from store import history
from store.embedded_postgres import EmbeddedPostgres
from store.history import NodeRecord, SymbolRecord

SETTLE_S = 20.0
KILL_S = 30.0
#: As a service manager starts what ended.
RESTART_AFTER_S = 1.0
#: How a node ends that is killed or told to stop.
STRUCK_ENDS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: Exit.OK}
#: A program that starts is ended by any signal until it says what it does with it.
START_S = 15.0
#: From level to level of every grid, and how many levels away an order is near.
STEP_RATIO = "1.0005"
NEAR_LEVELS = 5
#: That the exchange has of a symbol that quotes again: an entry for each level of its window.
NEAR_ORDERS = WINDOW = 3
#: Events that were lost are found by comparing, and changed filters by asking, this often.
NODE_SETTINGS = {
    "GRIDKEEPER_RECONCILE_EVERY_S": "10",
    "GRIDKEEPER_RULES_EVERY_S": "10",
}
LINEAR_SETTINGS = {"GRIDKEEPER_ACCOUNT__MARKET": "linear", "GRIDKEEPER_ACCOUNT__LEVERAGE": "2"}


@dataclass(slots=True, kw_only=True)
class ChaosSystem:
    """Implements `chaos.rig.Rig`."""

    system: LocalSystem
    database: Database
    nodes: Sequence[LocalNode]
    disk: SmallDisk | None
    users: Users
    #: Multiplies what nodes and requests have time for.
    patience: float = 1.0
    report: Report | None = None
    #: Whether each node is to be started again when it ends.
    _may_run: list[asyncio.Event] = field(default_factory=list)
    #: How nodes may end that were killed or told to stop, and not started again yet.
    _struck: dict[int, set[int]] = field(default_factory=dict)
    #: When each node was started last.
    _started_s: dict[int, float] = field(default_factory=dict)
    _ends: list[NodeEnd] = field(default_factory=list)
    _kill: str = ""

    @property
    def listings(self) -> Mapping[str, Listing]:
        return {symbol: listing_of(symbol) for symbol in self.system.market.symbols}

    def proxy(self, node: int, line: Line) -> Proxy:
        chosen = self.nodes[node]
        return chosen.to_exchange if line is Line.EXCHANGE else chosen.to_database

    async def control(self, path: str, body: object | None = None, method: str = "") -> Any:
        return await self.system.control(path, body, method)

    def signal(self, process: Process, node: int, number: signal.Signals) -> None:
        match process:
            case Process.NODE:
                if number in STRUCK_ENDS:
                    self._may_run[node].clear()
                    age_s = asyncio.get_running_loop().time() - self._started_s[node]
                    is_starting = age_s < START_S * self.patience
                    pid = self.nodes[node].process.pid
                    self._struck[node] = _struck_ends(pid, number, is_starting=is_starting)
                self.nodes[node].send(number)
            case Process.EXCHANGE:
                if self.system.simulator is not None:
                    self.system.simulator.send_signal(number)
            case Process.POSTGRES:
                _signal_postgres(self.system.data_dir, number)

    async def start(self, process: Process, node: int) -> None:
        match process:
            case Process.NODE:
                try:
                    await self._end(node)
                finally:
                    self._may_run[node].set()
            case Process.EXCHANGE:
                if self.system.simulator is not None:
                    await self.system.simulator.wait()
                await self.system.start_simulator()
            case Process.POSTGRES:
                pass  # its supervisor, in this process, does

    async def throw_kill_switch(self) -> None:
        self._kill = await self.database.requests.kill("chaos", new_request_id())
        self.users.acknowledged.append(self._kill)

    async def rearm(self) -> None:
        requests = self.database.requests
        killed = await requests.wait(self._kill, KILL_S)
        market = next(iter(self.listings.values())).market
        left = open_orders(await self.control("/control/state"), market)
        asked = await requests.rearm("chaos is over", new_request_id())
        self.users.acknowledged.append(asked)
        await requests.wait(asked, KILL_S)
        if not killed.is_finished or left:
            raise TimeoutError(f"{len(left)} orders open after {KILL_S:.0f} s: {killed.status}")

    async def idle(self, since: datetime) -> list[str]:
        try:
            shards = {s.symbol: s for s in await history.symbols(self.database.engine)}
            nodes = await history.nodes(self.database.engine)
            state = await self.control("/control/state")
        except (StoreUnavailable, OSError) as error:
            return [f"no answer: {error}"]
        reasons: list[str] = []
        for symbol, listing in self.listings.items():
            why = _why_idle(shards[symbol], nodes, since)
            if not why and not _is_quoted(state, listing):
                why = f"fewer than {NEAR_ORDERS} orders near the price"
            if why:
                reasons.append(f"{symbol}: {why}")
        return reasons

    async def ask(self, request: Request) -> None:
        await self.users.ask(request)

    def ended_by_themselves(self) -> list[NodeEnd]:
        found, self._ends = self._ends, []
        return found

    async def audit(self) -> list[str]:
        await self.users.until_answered(self.users.acknowledged, ANSWER_S * self.patience)
        self.report = await audit(
            self.database.dsn,
            SimulatorAccess(self.system.simulator_dir),
            settle_s=SETTLE_S,
            acknowledged=self.users.acknowledged,
        )
        return [f"{found.invariant} {found}" for found in self.report.violations]

    async def keep(self, index: int) -> None:
        """Run a node, and start it again whenever it ends and is meant to run."""
        node = self.nodes[index]
        while True:
            self._struck.pop(index, None)
            self._started_s[index] = asyncio.get_running_loop().time()
            await node.start()
            code = await node.process.wait()
            if code not in self._struck.get(index, ()):
                at_s = asyncio.get_running_loop().time()
                text = f"node {node.name} ended with {code}: see {node.log}"
                self._ends.append(NodeEnd(node=index, code=code, at_s=at_s, text=text))
            await asyncio.sleep(RESTART_AFTER_S)
            await self._may_run[index].wait()

    async def _end(self, index: int) -> None:
        """Wait for the end of a node that was struck, and kill it if it takes too long."""
        node, bound_s = self.nodes[index], STOP_WAIT_S * self.patience
        try:
            await node.ended(bound_s)
        except TimeoutError:
            self._struck[index] = {-signal.SIGKILL}
            await node.kill()
            raise NotEndedError(
                f"node {node.name} did not end within {bound_s:.0f} s: see {node.log}"
            ) from None

    def allow_all(self) -> None:
        self._may_run[:] = [asyncio.Event() for _ in self.nodes]
        for event in self._may_run:
            event.set()


@asynccontextmanager
async def chaos_system(
    system: LocalSystem,
    *,
    nodes: int,
    disk: SmallDisk | None,
    patience: float = 1.0,
    command: Sequence[str] = COMMAND,
) -> AsyncIterator[ChaosSystem]:
    """An exchange, a database and nodes that trade all symbols of the market."""
    is_linear = all(":" in symbol for symbol in system.market.symbols)
    settings = NODE_SETTINGS | (LINEAR_SETTINGS if is_linear else {})
    try:
        await system.start_simulator()
        async with open_database(system.settings) as database, AsyncExitStack() as stack:
            made = [
                await stack.enter_async_context(
                    local_node(
                        system, database.dsn, f"node-{number}", command=command, settings=settings
                    )
                )
                for number in range(1, nodes + 1)
            ]
            rig = ChaosSystem(
                system=system,
                database=database,
                nodes=made,
                disk=disk,
                users=Users(database=database, spec=chaos_spec(is_linear=is_linear)),
                patience=patience,
            )
            rig.allow_all()
            keepers = [asyncio.create_task(rig.keep(index)) for index in range(nodes)]
            try:
                await rig.users.add(system.market.symbols)
                yield rig
            finally:
                for keeper in keepers:
                    keeper.cancel()
                await asyncio.gather(*keepers, return_exceptions=True)
    finally:
        await system.close()


def chaos_spec(*, is_linear: bool) -> dict[str, object]:
    """A narrow grid with enough money for a price that wanders by a fifth."""
    return {
        "spacing": {"kind": "geometric", "ratio": STEP_RATIO},
        "range": {"kind": "window", "buy_window": WINDOW, "sell_window": WINDOW},
        "order_size": {"kind": "quote", "amount": "200" if is_linear else "50"},
        "budget_quote": "50000" if is_linear else "20000",
    }


def _why_idle(shard: SymbolRecord, nodes: Sequence[NodeRecord], since: datetime) -> str:
    """Why nobody trades a symbol, as Postgres shows it; empty if somebody does."""
    # One that died may have left a row by the same name, until others take over.
    mine = [node for node in nodes if node.name == shard.node]
    acted = [at for at in (shard.last_decision_at, shard.reconciled_at) if at is not None]
    if shard.status != "running":
        return f"{shard.status}: {shard.reason}"
    if not mine or any(node.heartbeat_at < since for node in mine):
        return f"node {shard.node} is not heard of"
    if any(node.exchange_at is None or node.exchange_at < since for node in mine):
        return f"node {shard.node} does not reach the exchange"
    if not any(at >= since for at in acted):
        return "it neither decided nor compared anything"
    return ""


def _is_quoted(state: Any, listing: Listing) -> bool:
    """Whether the exchange has enough orders of ours within a few levels of its last price."""
    last = Decimal(market_state(state, listing.market)["last_prices"][listing.name])
    reach = (Decimal(STEP_RATIO) - 1) * NEAR_LEVELS * last
    near = [
        order
        for order in open_orders(state, listing.market)
        if order["symbol"] == listing.name and abs(Decimal(order["price"]) - last) <= reach
    ]
    return len(near) >= NEAR_ORDERS


def _signal_postgres(data_dir: Path, number: signal.Signals) -> None:
    """The postmaster; to stop and go on, its children as well."""
    postmaster = EmbeddedPostgres(data_dir).postmaster()
    if postmaster is None:
        return
    with suppress(ProcessLookupError):
        os.kill(postmaster.pid, number)
    if number in {signal.SIGSTOP, signal.SIGCONT}:
        for child in _children(postmaster.pid):
            with suppress(ProcessLookupError):
                os.kill(child, number)


def _struck_ends(pid: int, number: signal.Signals, *, is_starting: bool) -> set[int]:
    """The codes with which a node that is struck now may end."""
    if is_starting and not _catches(pid, number):
        return {STRUCK_ENDS[number], -number}
    return {STRUCK_ENDS[number]}


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process does something of its own at a signal."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "SigCgt":
                return bool(int(value, 16) >> (number - 1) & 1)
    return False


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in listed.split()]
    return []

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
from chaos.faults import Line, Process
from chaos.hands import market_state, open_orders
from chaos.proxy import Proxy
from chaos.rig import Listing
from cli.exits import Exit
from cli.local_nodes import COMMAND, LocalNode, local_node
from cli.local_system import LocalSystem, add_symbols, listing_of
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import Database, new_request_id, open_database
from store import history
from store.embedded_postgres import EmbeddedPostgres
from store.history import NodeRecord, SymbolRecord

SETTLE_S = 20.0
KILL_S = 30.0
#: As a service manager starts what ended.
RESTART_AFTER_S = 1.0
#: Fenced, or for want of a database or of an exchange.
OWN_ENDS = frozenset({Exit.FENCED, Exit.DATABASE_UNAVAILABLE, Exit.EXCHANGE_UNAVAILABLE})
#: How a node ends that is killed or told to stop.
STRUCK_ENDS = frozenset({-signal.SIGKILL, Exit.OK})
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
    acknowledged: list[str] = field(default_factory=list)
    report: Report | None = None
    #: Whether each node is to be started again when it ends.
    _may_run: list[asyncio.Event] = field(default_factory=list)
    #: Nodes that were killed or told to stop, and have not ended yet.
    _struck: set[int] = field(default_factory=set)
    _ends: list[str] = field(default_factory=list)
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
        ends = number in {signal.SIGKILL, signal.SIGTERM}
        match process:
            case Process.NODE:
                if ends:
                    self._may_run[node].clear()
                    self._struck.add(node)
                self.nodes[node].send(number)
            case Process.EXCHANGE:
                if self.system.simulator is not None:
                    self.system.simulator.send_signal(number)
            case Process.POSTGRES:
                _signal_postgres(self.system.data_dir, number)

    async def start(self, process: Process, node: int) -> None:
        match process:
            case Process.NODE:
                self._may_run[node].set()
            case Process.EXCHANGE:
                if self.system.simulator is not None:
                    await self.system.simulator.wait()
                await self.system.start_simulator()
            case Process.POSTGRES:
                pass  # its supervisor, in this process, does

    async def throw_kill_switch(self) -> None:
        self._kill = await self.database.requests.kill("chaos", new_request_id())
        self.acknowledged.append(self._kill)

    async def rearm(self) -> None:
        requests = self.database.requests
        killed = await requests.wait(self._kill, KILL_S)
        market = next(iter(self.listings.values())).market
        left = open_orders(await self.control("/control/state"), market)
        asked = await requests.rearm("chaos is over", new_request_id())
        self.acknowledged.append(asked)
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

    def ended_by_themselves(self) -> list[str]:
        found, self._ends = self._ends, []
        return found

    async def audit(self) -> list[str]:
        self.report = await audit(
            self.database.dsn,
            SimulatorAccess(self.system.simulator_dir),
            settle_s=SETTLE_S,
            acknowledged=self.acknowledged,
        )
        return [f"{found.invariant} {found}" for found in self.report.violations]

    async def add(self, spec: Mapping[str, object]) -> None:
        """Add every symbol and wait until each trades."""
        symbols = self.system.market.symbols
        self.acknowledged += await add_symbols(self.database, symbols, spec)

    async def keep(self, index: int) -> None:
        """Run a node, and start it again whenever it ends and is meant to run."""
        node = self.nodes[index]
        while True:
            self._struck.discard(index)
            await node.start()
            code = await node.process.wait()
            if code not in OWN_ENDS and not (index in self._struck and code in STRUCK_ENDS):
                self._ends.append(f"node {node.name} ended with {code}: see {node.log}")
            await asyncio.sleep(RESTART_AFTER_S)
            await self._may_run[index].wait()

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
            rig = ChaosSystem(system=system, database=database, nodes=made, disk=disk)
            rig.allow_all()
            keepers = [asyncio.create_task(rig.keep(index)) for index in range(nodes)]
            try:
                await rig.add(chaos_spec(is_linear=is_linear))
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


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in listed.split()]
    return []

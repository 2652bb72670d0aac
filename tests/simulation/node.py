"""One incarnation of a node: production's, wired to other ports than in its own bootstrap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import OwnershipLost, StoreUnavailable
from orchestrator.bookkeeper import Bookkeeper
from orchestrator.changes import Changes
from orchestrator.dead_man import Feeder
from orchestrator.membership import Membership
from orchestrator.node import Node, NodePorts, NodeSettings
from orchestrator.workflows import Document, Workflows
from ports.clock import Clock
from ports.failpoints import Failpoint
from risk.reservations import PortfolioLimits
from simulation.exchange import SimulatedExchange
from simulation.fate import Fate
from simulation.loop import Process
from simulation.members import SimulatedNodes, SimulatedWork
from simulation.store import SimulatedStore
from simulation.symbols import SimulatedKillSwitch, SimulatedRuns, SimulatedSymbols
from simulation.workflows import RETRY_S, Durable
from store.nodes import ExecutorId
from store.nodes import Process as ProcessRow
from symbol_manager.lease import Lease
from symbol_manager.tenure import ShardSettings

LEASE_MS = 2_000
#: A node silent for this long has lost its lease, and what it sent last has expired.
DEAD_AFTER_S = 3.5
HEARTBEAT_S = 0.5
#: How often the venue's rules are asked for without a reason.
RULES_EVERY_S = 10.0

SETTINGS = ShardSettings(
    stale_after_ms=5_000, reconcile_every_ms=10_000, funds_lock_ms=5_000, orders_per_minute=600
)


def no_failpoints(point: Failpoint) -> None:
    """Processes die between awaits here, wherever that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an incarnation finds where it starts."""

    process: Process
    executor: str
    #: The node's, whichever of its processes it is.
    name: str
    host: str
    capacity: int
    store: SimulatedStore
    exchange: SimulatedExchange
    clock: Clock
    fate: Fate
    #: After what silence the venue is to cancel, where it can; 0: never.
    dead_man_switch_s: int
    #: Whether wallets move without trades.
    keeps_books: bool
    #: Whether the process of an executor is known to have ended.
    has_ended: Callable[[str], bool]
    #: Close an executor's connections to the store.
    break_off: Callable[[str], None]
    #: Whether a symbol may be given up on for that reason.
    may_halt: Callable[[str, str], bool]
    fail: Callable[[str], None]


class RunningNode:
    """Joins, serves, and leaves when it is asked to stop or is fenced."""

    def __init__(self, here: Surroundings) -> None:
        self.process = here.process
        self.exchange = here.exchange
        self.store = here.store
        self._here = here
        me = ExecutorId(here.executor)
        store, note = here.store, here.fate.trace.note
        lease = Lease(here.clock, LEASE_MS)
        nodes = SimulatedNodes(
            store, here.executor, here.host, here.has_ended, here.break_off, note
        )
        symbols, kill_switch = SimulatedSymbols(store), SimulatedKillSwitch(store)
        self._membership = Membership(nodes, me, here.clock, lease, here.exchange)
        self._node = Node(
            NodeSettings(
                executor_id=me,
                heartbeat_s=HEARTBEAT_S,
                dead_after_s=DEAD_AFTER_S,
                rules_every_s=RULES_EVERY_S,
                cancel_on_stop=False,
                shard=SETTINGS,
            ),
            NodePorts(
                store=store,
                registry=symbols,
                kill_switch=kill_switch,
                nodes=nodes,
                runs=SimulatedRuns(store, here.executor, here.may_halt, here.fail),
                work=SimulatedWork(store, here.executor, note),
                exchange=here.exchange,
                clock=here.clock,
                lease=lease,
                membership=self._membership,
                changes=Changes(symbols, kill_switch, here.exchange, no_failpoints),
                upkeep=None,
                failpoints=no_failpoints,
                is_gone=self._is_gone,
                bookkeeper=_bookkeeper(here),
                feeder=Feeder(
                    here.exchange, self._membership, here.clock, lease, here.dead_man_switch_s
                ),
            ),
        )
        self._workflows = Durable(self._node, store, me, here.fate, here.fail)
        self._node.bind(Workflows(_not_here, self._workflows.execute_plan, _not_here))
        self._is_to_stop = asyncio.Event()

    async def main(self) -> None:
        while True:
            try:
                await self._membership.join(self._here.name, self._here.capacity)
                break
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
        await self._workflows.launch()
        serving = asyncio.create_task(self._serve())
        stopping = asyncio.create_task(self._is_to_stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        await self._node.stop()
        serving.cancel()
        await asyncio.wait([serving])
        self._workflows.destroy()
        await self._membership.leave()

    def ask_to_stop(self, *, cancel_orders: bool) -> None:
        """End as after SIGTERM."""
        self._node.take_up(
            keep_history_days=0.0, cancel_on_stop=cancel_orders, portfolio=PortfolioLimits()
        )
        self._is_to_stop.set()

    async def _serve(self) -> None:
        """Until it is fenced; nothing else may fail."""
        try:
            await self._node.serve()
        except* OwnershipLost:
            self._here.fate.trace.note(f"{self._here.executor} is fenced")
        except* Exception as errors:  # noqa: BLE001 - nothing may fail unforeseen
            self._here.fail(f"{self._here.executor} crashed: {errors.exceptions!r}")

    def _is_gone(self, process: ProcessRow) -> bool:
        return process.host == self._here.host and self._here.has_ended(process.boot_id)


def _bookkeeper(here: Surroundings) -> Bookkeeper | None:
    if not here.keeps_books:
        return None
    return Bookkeeper(here.exchange, here.store, SETTINGS.reconcile_every_ms / 1000)


async def _not_here(argument: object) -> Document:
    raise NotImplementedError("a workflow that is not started by the node itself")

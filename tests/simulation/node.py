"""One incarnation of a node: production's shard, executor, mailbox and lease in one process.

It stands for `orchestrator/node.py` and DBOS: workflows wait in the database, are taken by a node
from its queue, and stay pending when they are cancelled. What it ties together is production's:
`Residents`, `Plans`, `Membership`, `Watchdog`, `TradingRules`, `LastResort`, `Reach` and
`Bookkeeper`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from domain.errors import OwnershipLost, StoreUnavailable
from orchestrator.bookkeeper import Bookkeeper
from orchestrator.last_resort import LastResort
from orchestrator.membership import Membership
from orchestrator.plans import Plans
from orchestrator.reach import Reach
from orchestrator.residents import Residents
from orchestrator.takeover import Watchdog
from orchestrator.trading_rules import TradingRules
from orchestrator.workflows import CHANGES_QUEUE, Document, queue_of
from ports.clock import Clock
from ports.exchange import WalletMoved
from ports.failpoints import Failpoint
from simulation.database import Database
from simulation.exchange import SimulatedExchange
from simulation.fate import Fate
from simulation.loop import Process
from simulation.members import SimulatedNodes, SimulatedWork
from simulation.store import SimulatedStore
from simulation.symbols import SimulatedSymbols
from simulation.tables import ShardRow
from store.nodes import ExecutorId, Nodes
from store.nodes import Process as ProcessRow
from store.wallets import Wallets
from symbol_manager.execute import PlanExecutor
from symbol_manager.lease import Lease
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardPorts, ShardSettings

LEASE_MS = 2_000
QUOTES_FORGOTTEN_S = 6.0
#: A node silent for this long has lost its lease, and what it sent last has expired.
DEAD_AFTER_S = 3.5
HEARTBEAT_S = 0.5
WATCHDOG_S = 1.0
WISHES_S = 0.5
QUEUE_S = 0.5
#: How often the venue's rules are asked for without a reason.
RULES_EVERY_S = 10.0
RETRY_S = 0.5
STOP_WAIT_S = 20.0
#: Longest time between a plan's commit and its start.
PLAN_WAITS_MAX_S = 4.0
#: Longest time between a plan's commit and the end of a workflow that breaks off.
PLAN_BREAKS_MAX_S = 0.05

SETTINGS = ShardSettings(
    stale_after_ms=5_000, reconcile_every_ms=10_000, funds_lock_ms=5_000, orders_per_minute=600
)

Answer = TypeVar("Answer")


def no_failpoints(point: Failpoint) -> None:
    """Processes die between awaits here, wherever that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """What an incarnation is wired to."""

    process: Process
    executor: str
    #: The node's, whichever of its processes it is.
    name: str
    host: str
    capacity: int
    database: Database
    store: SimulatedStore
    exchange: SimulatedExchange
    clock: Clock
    fate: Fate
    #: Whether wallets move without trades.
    keeps_books: bool
    #: Whether the process of an executor is known to have ended.
    has_ended: Callable[[str], bool]
    fail: Callable[[str], None]


class Node:
    """Runs until its process dies."""

    def __init__(self, ports: NodePorts) -> None:
        self.process = ports.process
        self.exchange = ports.exchange
        self.store = ports.store
        self._ports = ports
        self._me = ExecutorId(ports.executor)
        self._queue = queue_of(ports.executor)
        self._lease = Lease(ports.clock, LEASE_MS)
        note = ports.fate.trace.note
        self._nodes = SimulatedNodes(ports.store, ports.executor, ports.host, ports.has_ended, note)
        self._membership = Membership(
            cast("Nodes", self._nodes), self._me, ports.clock, self._lease, ports.exchange
        )
        self._watchdog = Watchdog(
            self._nodes,
            SimulatedWork(ports.store, ports.executor, note),
            self._me,
            self._is_gone,
            DEAD_AFTER_S,
        )
        self._rules = TradingRules(ports.exchange, RULES_EVERY_S, lambda: self._residents.shards)
        self._reach = Reach(
            ports.clock,
            SETTINGS.stale_after_ms,
            QUOTES_FORGOTTEN_S,
            lambda: self._residents.shards,
        )
        self._executor = PlanExecutor(
            ports.exchange, ports.store, self._lease, no_failpoints, self._rules.doubt
        )
        self._plans = Plans(self._executor)
        self._plans.bind(self._execute_plan)
        self._last_resort = LastResort(
            ports.exchange, ports.clock, self._lease, lambda: self._residents.shards
        )
        self._bookkeeper = Bookkeeper(
            ports.exchange, cast("Wallets", ports.store), SETTINGS.reconcile_every_ms / 1000
        )
        #: Workflows at work here.
        self._busy: Counter[str] = Counter()
        self._has_news = asyncio.Event()
        symbols = SimulatedSymbols(ports.store, ports.executor)
        self._residents = Residents(
            self._me,
            symbols,
            symbols,
            symbols,
            ShardPorts(
                store=ports.store,
                exchange=ports.exchange,
                executor=self._executor,
                run_plan=self._plans.run,
                clock=ports.clock,
                failpoints=no_failpoints,
            ),
            SETTINGS,
            run=_run_unguarded,
            before_release=_do_nothing,
            on_begin=self._rules.doubt,
            on_end=self._has_news.set,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._cancels_on_stop = False

    async def main(self) -> None:
        while True:
            try:
                await self._membership.join(self._ports.name, self._ports.capacity)
                break
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
        queues = self._ports.database.queues
        await self._until_answered(lambda: queues.update({self._queue: None}))
        for work in (
            self._keep_lease,
            self._watch_over,
            partial(self._every, WISHES_S, self._residents.read_wishes),
            partial(self._every, QUEUE_S, self._take_workflows),
            self._rules.keep,
            self._last_resort.keep,
            self._watch_account,
        ):
            self._spawn(work)
        if self._ports.keeps_books:
            self._spawn(self._bookkeeper.keep)
        await self._stopping.wait()
        await self._stop()
        await self._membership.leave()

    def ask_to_stop(self, *, cancel_orders: bool) -> None:
        """End as after SIGTERM."""
        self._cancels_on_stop = cancel_orders
        self._residents.close()
        self._stopping.set()

    async def _stop(self) -> None:
        if not self._lease.is_held:
            return
        with suppress(StoreUnavailable):
            await self._nodes.drain(self._me, is_draining=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_S):
                await self._residents.stop(cancel_orders=self._cancels_on_stop)
                await self._plans.ended()
        with suppress(StoreUnavailable):  # then the others find out by themselves
            await self._watchdog.make_rounds(trusts_silence=False)

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        async def guarded() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - nothing may fail unforeseen
                self._ports.fail(f"{self._ports.executor} crashed: {error!r}")

        self._tasks.append(asyncio.create_task(guarded()))

    async def _keep_lease(self) -> None:
        with suppress(OwnershipLost):
            await self._membership.keep(HEARTBEAT_S, self._reach.is_given)
        self._ports.process.kill()

    def _is_gone(self, process: ProcessRow) -> bool:
        return process.host == self._ports.host and self._ports.has_ended(process.boot_id)

    async def _watch_over(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self._watch()
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCHDOG_S):
                    await self._has_news.wait()
            self._has_news.clear()

    async def _watch(self) -> None:
        if self._stopping.is_set():
            return
        is_steady = self._membership.was_steady_for(DEAD_AFTER_S)
        await self._residents.release_ended()
        await self._watchdog.make_rounds(trusts_silence=is_steady)
        await self._watchdog.restart_idle(self._busy)

    async def _take_workflows(self) -> None:
        database = self._ports.database
        for queue in (self._queue, CHANGES_QUEUE):
            for row in await self._transact(partial(database.dequeue, queue, self._me)):
                self._spawn(partial(self._run_workflow, row))

    async def _run_workflow(self, row: ShardRow) -> None:
        """As DBOS does: what is cancelled stays pending."""
        self._busy[row.workflow_id] += 1
        try:
            await self._residents.run(row.shard, row.workflow_id)
        except asyncio.CancelledError:
            return
        finally:
            self._busy[row.workflow_id] -= 1
            self._busy += Counter()  # which drops what is at zero
        await self._until_answered(lambda: self._ports.database.finish(row.shard, self._me))

    async def _execute_plan(self, batch: Document) -> Document:
        """As DBOS would: maybe later, maybe once more after it is done, maybe not to its end."""
        fate, names = self._ports.fate, [str(plan["decision_id"]) for plan in batch["plans"]]
        plans = self._ports.database.plans
        plans[names[0]] = self._me
        try:
            if fate.strikes(fate.weather().plan_broken):
                await asyncio.sleep(fate.dice.uniform(0.0, PLAN_BREAKS_MAX_S))
                raise StoreUnavailable("the plan's workflow broke off")
            if fate.strikes(fate.weather().plan_slow):
                await asyncio.sleep(fate.dice.uniform(0.0, PLAN_WAITS_MAX_S))
            with self._plans.executing(batch):
                results = await self._plans.submit(batch)
            if fate.strikes(fate.weather().plan_again):
                with self._plans.executing(batch):
                    again = await self._plans.submit(batch)
                if any(told != {"plan": "stale: not sent"} for told in again["orders"].values()):
                    self._ports.fail(f"plans {names} were sent a second time")
            return results
        finally:
            plans.pop(names[0], None)

    async def _watch_account(self) -> None:
        async for event in self._ports.exchange.watch_account():
            self._reach.note(event)
            if isinstance(event, WalletMoved):
                self._bookkeeper.ask_now()
                continue
            self._residents.hand_out(event)

    async def _every(self, period_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            with suppress(StoreUnavailable):  # the next round does what this one did not
                await act()
            await asyncio.sleep(period_s)

    async def _transact(self, act: Callable[[], Answer]) -> Answer:
        return await self._ports.store.ask(act)

    async def _until_answered(self, act: Callable[[], Answer]) -> Answer:
        while True:
            try:
                return await self._transact(act)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)


async def _run_unguarded(runner: Shard, *, is_leaving: Callable[[], bool]) -> None:
    await runner.run()


async def _do_nothing(runner: Shard) -> None:
    """There is no dead-man switch to take back."""

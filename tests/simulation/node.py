"""One incarnation of a node: production's shard, executor, mailbox and lease in one process.

It stands for `orchestrator/node.py`, `takeover.py` and DBOS: workflows wait in the database, are
taken by a node, and handed on when it dies. `Membership` is production's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from domain.errors import OwnershipLost, StoreUnavailable
from domain.orders import OrderReport, Trade
from orchestrator.bookkeeper import Bookkeeper
from orchestrator.membership import Membership
from ports.clock import Clock
from ports.exchange import WalletMoved
from ports.failpoints import Failpoint
from simulation.database import Database
from simulation.exchange import SimulatedExchange
from simulation.fate import Fate
from simulation.loop import Process
from simulation.members import SimulatedNodes
from simulation.store import SimulatedStore
from simulation.tables import NodeRow, ShardRow
from store.nodes import ExecutorId, Nodes
from store.wallets import Wallets
from symbol_manager.execute import PlanExecutor, PlanRecord, decision_id_of
from symbol_manager.lease import Lease
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardPorts, ShardSettings

LEASE_MS = 2_000
#: A node silent for this long has lost its lease, and what it sent last has expired.
DEAD_AFTER_MS = 3_500
HEARTBEAT_S = 0.5
WATCHDOG_S = 1.0
WISHES_S = 0.5
QUEUE_S = 1.0
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
    host: str
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
        self._lease = Lease(ports.clock, LEASE_MS)
        self._membership = Membership(
            cast("Nodes", SimulatedNodes(ports.store, ports.host)),
            ExecutorId(ports.executor),
            ports.clock,
            self._lease,
            ports.exchange,
        )
        self._executor = PlanExecutor(ports.exchange, ports.store, self._lease, no_failpoints)
        self._bookkeeper = Bookkeeper(
            ports.exchange, cast("Wallets", ports.store), SETTINGS.reconcile_every_ms / 1000
        )
        self._shards: dict[int, Shard] = {}
        #: Workflows that were started here, with their turns.
        self._taken: set[tuple[int, int]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._cancels_on_stop = False

    async def main(self) -> None:
        while True:
            try:
                await self._membership.join(self._ports.executor, capacity=1)
                break
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
        for work in (
            self._keep_lease,
            partial(self._every, WATCHDOG_S, self._watch),
            partial(self._every, WISHES_S, self._read_wishes),
            partial(self._every, QUEUE_S, self._take_workflows),
            self._watch_account,
        ):
            self._spawn(work)
        if self._ports.keeps_books:
            self._spawn(self._bookkeeper.keep)
        await self._stopping.wait()
        await self._leave()

    def ask_to_stop(self, *, cancel_orders: bool) -> None:
        """End as after SIGTERM."""
        self._cancels_on_stop = cancel_orders
        self._stopping.set()

    async def _leave(self) -> None:
        shards = list(self._shards.values())
        for shard in shards:
            shard.stop(cancel_orders=self._cancels_on_stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_S):
                for shard in shards:
                    await shard.ended.wait()
        await self._membership.leave()

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        async def guarded() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - nothing may fail unforeseen
                self._ports.fail(f"{self._ports.executor} crashed: {error!r}")

        self._tasks.append(asyncio.create_task(guarded()))

    async def _keep_lease(self) -> None:
        with suppress(OwnershipLost):
            await self._membership.keep(HEARTBEAT_S, lambda: True)
        self._ports.process.kill()

    async def _watch(self) -> None:
        if self._stopping.is_set():
            return
        ports = self._ports

        def is_dead(node: NodeRow) -> bool:
            silent_ms = ports.clock.boot_ms() - node.heartbeat_ms
            known = node.host == ports.host and ports.has_ended(node.executor)
            return node.executor != ports.executor and (known or silent_ms > DEAD_AFTER_MS)

        await self._transact(lambda: ports.database.take_over(is_dead))

    async def _take_workflows(self) -> None:
        if self._stopping.is_set():
            return
        database, executor = self._ports.database, self._ports.executor
        for row in await self._transact(lambda: database.dequeue(executor)):
            if (row.shard, row.turn) not in self._taken:
                self._taken.add((row.shard, row.turn))
                self._spawn(partial(self._run_shard, row))

    async def _run_shard(self, row: ShardRow) -> None:
        ports = self._ports
        wishes = await self._until_answered(lambda: self._wishes_of(row.shard))
        if row.shard in self._shards:
            return
        runner = Shard(
            shard=row.shard,
            symbol=row.symbol,
            workflow_id=row.workflow_id,
            mailbox=Mailbox(wishes),
            ports=ShardPorts(
                store=ports.store,
                exchange=ports.exchange,
                executor=self._executor,
                run_plan=self._run_plan,
                clock=ports.clock,
                failpoints=no_failpoints,
            ),
            settings=SETTINGS,
        )
        self._shards[row.shard] = runner
        try:
            await runner.run()
        except (OwnershipLost, asyncio.CancelledError):
            return
        finally:
            del self._shards[row.shard]
            runner.ended.set()
        await self._until_answered(lambda: ports.database.finish(row.shard, ports.executor))

    async def _run_plan(self, plan: PlanRecord) -> object:
        """As DBOS would: maybe later, maybe once more after it is done, maybe not to its end."""
        fate = self._ports.fate
        if fate.strikes(fate.weather().plan_broken):
            await asyncio.sleep(fate.dice.uniform(0.0, PLAN_BREAKS_MAX_S))
            raise StoreUnavailable("the plan's workflow broke off")
        if fate.strikes(fate.weather().plan_slow):
            await asyncio.sleep(fate.dice.uniform(0.0, PLAN_WAITS_MAX_S))
        result = await self._executor.submit(decision_id_of(plan))
        if fate.strikes(fate.weather().plan_again):
            again = await self._executor.submit(decision_id_of(plan))
            if again != {"plan": "stale: not sent"}:
                self._ports.fail(f"plan {plan['decision_id']} was sent a second time")
        return result

    def _wishes_of(self, shard: int) -> Wishes:
        database = self._ports.database
        return Wishes(database.shards[shard].desired, database.is_killed)

    async def _read_wishes(self) -> None:
        def read() -> dict[int, Wishes]:
            return {number: self._wishes_of(number) for number in self._ports.database.shards}

        wishes = await self._transact(read)
        for number, shard in self._shards.items():
            shard.mailbox.put_wishes(wishes[number])

    async def _watch_account(self) -> None:
        async for event in self._ports.exchange.watch_account():
            if isinstance(event, WalletMoved):
                self._bookkeeper.ask_now()
                continue
            for shard in self._shards.values():
                is_of_another = isinstance(event, OrderReport | Trade) and (
                    event.symbol != shard.symbol
                )
                if not is_of_another:
                    shard.mailbox.put_order_event(event)

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

"""One process that runs shards: its heartbeat, its feeds, and the workflows' handlers.

Everything periodic here is level-triggered: it reads what is and makes it so, however often.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from orchestrator.bookkeeper import Bookkeeper
from orchestrator.changes import Changes
from orchestrator.dead_man import Armed, Feeder
from orchestrator.guard import Guard
from orchestrator.last_resort import LastResort
from orchestrator.membership import Membership
from orchestrator.plans import Plans
from orchestrator.reach import Reach
from orchestrator.residents import Residents
from orchestrator.rounds import ROUND_FAILURES, every
from orchestrator.rows import KillSwitchRow, NodeRows, RunRows, SymbolRows
from orchestrator.takeover import Watchdog, Work
from orchestrator.trading_rules import TradingRules
from orchestrator.upkeep import Upkeep
from orchestrator.workflows import Document, Workflows
from ports.clock import Clock
from ports.exchange import ExchangePort, WalletMoved
from ports.failpoints import Failpoint, Failpoints
from ports.store import ShardStore, Status
from risk.reservations import PortfolioLimits
from store.nodes import ExecutorId, Process
from symbol_manager.execute import PlanExecutor
from symbol_manager.lease import Lease
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardPorts, ShardSettings
from symbol_manager.view import ShardView

WATCHDOG_EVERY_S = 1.0
WISHES_EVERY_S = 0.25
#: How long a node without symbols stands by the last word of their quotes.
QUOTES_FORGOTTEN_S = 60.0
#: How long a graceful stop waits for shards to finish their plan or cancel their orders.
STOP_WAIT_S = 20.0

log = structlog.get_logger("orchestrator")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    executor_id: ExecutorId
    heartbeat_s: float
    dead_after_s: float
    rules_every_s: float
    cancel_on_stop: bool
    shard: ShardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """What a node is wired to."""

    store: ShardStore
    registry: SymbolRows
    kill_switch: KillSwitchRow
    nodes: NodeRows
    runs: RunRows
    work: Work
    exchange: ExchangePort
    clock: Clock
    lease: Lease
    membership: Membership
    changes: Changes
    #: Absent where nobody looks after old rows.
    upkeep: Upkeep | None
    failpoints: Failpoints
    #: Whether a process is known to have ended.
    is_gone: Callable[[Process], bool]
    #: Where balances move without trades.
    bookkeeper: Bookkeeper | None = None
    #: Of the venue's dead-man switch.
    feeder: Feeder | None = None


class Node:
    """Implements `orchestrator.workflows.Handlers`."""

    def __init__(self, settings: NodeSettings, ports: NodePorts) -> None:
        self._settings = settings
        self._ports = ports
        self._changes = ports.changes
        self._rules = TradingRules(
            ports.exchange, settings.rules_every_s, lambda: self._residents.shards
        )
        self._executor = PlanExecutor(
            ports.exchange, ports.store, ports.lease, ports.failpoints, self._rules.doubt
        )
        self._plans = Plans(self._executor)
        self._reach = Reach(ports.clock, QUOTES_FORGOTTEN_S, lambda: self._residents.shards)
        self._last_resort = LastResort(
            ports.exchange, ports.clock, ports.lease, lambda: self._residents.shards
        )
        self._guard = Guard(ports.registry, ports.runs, ports.clock)
        self._watchdog = Watchdog(
            ports.nodes,
            ports.work,
            settings.executor_id,
            ports.is_gone,
            ports.membership.silent_s,
            settings.dead_after_s,
        )
        #: Workflows at work here; a late resume may have one twice for a moment.
        self._busy: Counter[str] = Counter()
        self._has_news = asyncio.Event()
        self._residents = Residents(
            settings.executor_id,
            ports.registry,
            ports.kill_switch,
            ports.runs,
            ShardPorts(
                store=ports.store,
                exchange=ports.exchange,
                executor=self._executor,
                run_plan=self._plans.run,
                clock=ports.clock,
                failpoints=ports.failpoints,
            ),
            settings.shard,
            guard=self._guard,
            before_release=self._before_release,
            on_begin=self._rules.doubt,
            on_end=self._has_news.set,
        )

    def bind(self, workflows: Workflows) -> None:
        """Give the node the workflows that were registered for it."""
        self._plans.bind(workflows.execute_plan)

    def take_up(
        self, *, keep_history_days: float, cancel_on_stop: bool, portfolio: PortfolioLimits
    ) -> None:
        """Go on with other settings."""
        self._settings = replace(self._settings, cancel_on_stop=cancel_on_stop)
        self._changes.limits = portfolio
        if self._ports.upkeep is not None:
            self._ports.upkeep.keep_history_days = keep_history_days

    @property
    def views(self) -> Mapping[int, ShardView]:
        """Every shard run here, as it was after its last loop."""
        return {s.shard: s.view for s in self._residents.shards if s.view is not None}

    @property
    def switches(self) -> Mapping[str, Armed]:
        """The dead-man switches armed here, by symbol."""
        return {} if self._ports.feeder is None else self._ports.feeder.armed

    @property
    def is_lease_held(self) -> bool:
        """Whether this process may send orders now."""
        return self._ports.lease.is_held

    def reaches_exchange(self) -> bool:
        """Whether the account's stream is up, and prices are fresh of any symbol that runs here."""
        return self._reach.is_given()

    @contextmanager
    def busy_with(self, workflow_id: str) -> Iterator[None]:
        self._busy[workflow_id] += 1
        try:
            yield
        finally:
            self._busy[workflow_id] -= 1
            self._busy += Counter()  # which drops what is at zero

    async def serve(self) -> None:
        """Run until cancelled.

        Raises
        ------
        OwnershipLost
            If this node was declared dead: the process must end at once.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self._ports.membership.keep(self._settings.heartbeat_s, self.reaches_exchange),
                name="heartbeat",
            )
            tasks.create_task(self._watch_over(), name="watchdog")
            tasks.create_task(every(WISHES_EVERY_S, self._residents.read_wishes), name="wishes")
            tasks.create_task(self._watch_account(), name="account stream")
            tasks.create_task(self._rules.keep(), name="trading rules")
            tasks.create_task(self._last_resort.keep(), name="last resort")
            if self._ports.upkeep is not None:
                tasks.create_task(self._ports.upkeep.keep(), name="upkeep")
            if self._ports.bookkeeper is not None:
                tasks.create_task(self._ports.bookkeeper.keep(), name="bookkeeper")
            if self._ports.feeder is not None:
                tasks.create_task(self._ports.feeder.keep(self._owned_symbols), name="feeder")

    async def stop(self) -> int:
        """End every shard's current plan, cancel its orders if so configured, hand the shards on.

        A fenced node has nothing left to end: its shards cannot send.

        Returns
        -------
        int
            Orders that rest on at the exchange, as far as is known here.
        """
        self._residents.close()
        shards = self._residents.shards
        if self._ports.feeder is not None:
            self._ports.feeder.close()
        if not self.is_lease_held:
            return 0
        with suppress(*ROUND_FAILURES):
            me = self._settings.executor_id
            await self._ports.nodes.drain(me, is_draining=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_S):
                await self._residents.stop(cancel_orders=self._settings.cancel_on_stop)
                await self._plans.ended()
        if left := self._residents.shards:
            log.warning("shards_still_running", shards=sorted(runner.shard for runner in left))
        with suppress(*ROUND_FAILURES):  # then the others find out by themselves
            await self._watchdog.make_rounds(trusts_silence=False)
        return sum(sum(shard.view.live_orders.values()) for shard in shards if shard.view)

    async def run_shard(self, shard: int, workflow_id: str) -> Document:
        """The body of the `run_shard` workflow: it returns only when the symbol is removed."""
        runner = await self._residents.run(shard, workflow_id)
        if runner is not None:
            await self._take_switch_back(runner)
        return {"shard": shard, "status": Status.REMOVED.value}

    async def _before_release(self, runner: Shard) -> None:
        """Its orders rest while no node runs; another may own the symbol once it is released."""
        if self._residents.is_stopping and not self._settings.cancel_on_stop:
            await self._take_switch_back(runner)

    async def _take_switch_back(self, runner: Shard) -> None:
        """Unless another node has the symbol, or it was added again after its removal."""

        async def is_ours() -> bool:
            return all(
                (seen.shard, seen.owner) == (runner.shard, self._settings.executor_id)
                for seen in await self._ports.registry.active_symbols()
                if seen.symbol == runner.symbol
            )

        if self._ports.feeder is not None:
            await self._ports.feeder.disarm(runner.symbol, is_ours)

    def _owned_symbols(self) -> list[str]:
        """Those that run here and were compared with the exchange by this node."""
        return [runner.symbol for runner in self._residents.shards if runner.view is not None]

    def executing(self, batch: Document) -> AbstractContextManager[None]:
        return self._plans.executing(batch)

    async def submit_plans(self, batch: Document) -> Document:
        return await self._plans.submit(batch)

    async def prepare_change(self, change: Document, workflow_id: str) -> Document:
        return await self._guard.run_step(
            workflow_id,
            lambda: self._changes.prepare(change),
            instead=lambda starts: self._changes.give_up(change, workflow_id, starts),
            is_leaving=lambda: self._residents.is_stopping,
        )

    async def record_change(
        self, change: Document, prepared: Document, workflow_id: str
    ) -> Document:
        recorded = await self._guard.run_step(
            workflow_id,
            lambda: self._changes.record(change, prepared, workflow_id),
            instead=lambda starts: self._changes.give_up(change, workflow_id, starts),
            is_leaving=lambda: self._residents.is_stopping,
        )
        self._has_news.set()
        return recorded

    async def await_change(
        self, change: Document, recorded: Document, workflow_id: str
    ) -> Document:
        return await self._guard.run_step(
            workflow_id,
            lambda: self._changes.converge(change, recorded),
            instead=lambda starts: self._changes.leave(recorded, starts),
            is_leaving=lambda: self._residents.is_stopping,
            only_waits=True,
        )

    async def _watch_over(self) -> None:
        self._ports.failpoints(Failpoint.START_BEFORE_TAKE_OVER)
        await self._watch()
        self._ports.failpoints(Failpoint.START_AFTER_TAKE_OVER)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_next_round_s()):
                    await self._has_news.wait()
            self._has_news.clear()
            await self._watch()

    def _until_next_round_s(self) -> float:
        """Sooner where a node is taken for dead sooner, unless it says something until then."""
        dead_after_s = self._settings.dead_after_s
        return min(WATCHDOG_EVERY_S, self._ports.membership.until_silent_s(dead_after_s))

    async def _watch(self) -> None:
        """One round: miss nothing that dead nodes, or this one, left undone."""
        if self._residents.is_stopping:
            return
        is_steady = self._ports.membership.was_steady_for(self._settings.dead_after_s)
        try:
            await self._watchdog.make_rounds(trusts_silence=is_steady)
            await self._residents.release_ended()
            await self._watchdog.restart_idle(self._busy)
        except ROUND_FAILURES as failure:
            log.warning("round_failed", task="watchdog", error=str(failure))

    async def _watch_account(self) -> None:
        async with aclosing(self._ports.exchange.watch_account()) as events:
            async for event in events:
                self._reach.note(event)
                if isinstance(event, WalletMoved):
                    if self._ports.bookkeeper is not None:
                        self._ports.bookkeeper.ask_now()
                    continue
                self._residents.hand_out(event)

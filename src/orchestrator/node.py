"""One process that runs shards: its heartbeat, its feeds, and the workflows' handlers.

Everything periodic here is level-triggered: it reads what is and makes it so, however often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from contextvars import Context
from dataclasses import dataclass

import structlog
from dbos import SetWorkflowID, error
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost, StoreUnavailable
from domain.orders import OrderReport, Trade
from orchestrator.changes import Changes
from orchestrator.membership import Membership
from orchestrator.takeover import take_over
from orchestrator.workflows import Document, Workflows, run_shard_again
from ports.clock import Clock
from ports.exchange import ExchangePort
from ports.failpoints import Failpoint, Failpoints
from ports.store import ShardStore, Status
from store.engine import transaction, until_store_answers
from store.registry import Registry
from store.retention import purge_history
from symbol_manager.execute import PlanExecutor, PlanRecord, decision_id_of
from symbol_manager.lease import Lease
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardPorts, ShardSettings
from symbol_manager.view import ShardView

WATCHDOG_EVERY_S = 2.0
WISHES_EVERY_S = 0.25
PURGE_EVERY_S = 3_600.0
#: A shard that keeps failing for reasons nobody foresaw is left halted after this many tries.
CRASHES_MAX = 5
CRASH_WAIT_S = 1.0
#: A shard that ran this long before it crashed starts counting anew.
CRASHES_FORGOTTEN_MS = 600_000
#: How long a graceful stop waits for shards to finish their plan or cancel their orders.
STOP_WAIT_S = 20.0

#: What may fail in a round of something periodic; the next round does what this one did not.
_ROUND_FAILURES = (StoreUnavailable, SQLAlchemyError, error.DBOSException)

log = structlog.get_logger("orchestrator")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    executor_id: str
    heartbeat_s: float
    dead_after_s: float
    keep_history_days: float
    cancel_on_stop: bool
    shard: ShardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """What a node is wired to."""

    engine: AsyncEngine
    store: ShardStore
    registry: Registry
    exchange: ExchangePort
    clock: Clock
    lease: Lease
    membership: Membership
    failpoints: Failpoints


class Node:
    """Implements `orchestrator.workflows.Handlers`."""

    def __init__(self, settings: NodeSettings, ports: NodePorts) -> None:
        self._settings = settings
        self._ports = ports
        self._changes = Changes(ports.registry, ports.exchange, ports.failpoints)
        self._executor = PlanExecutor(ports.exchange, ports.store, ports.lease, ports.failpoints)
        self._shards: dict[int, Shard] = {}
        self._stopping = False
        self._workflows: Workflows | None = None

    def bind(self, workflows: Workflows) -> None:
        """Give the node the workflows that were registered for it."""
        self._workflows = workflows

    @property
    def views(self) -> Mapping[int, ShardView]:
        """Every shard run here, as it was after its last loop."""
        return {shard: s.view for shard, s in self._shards.items() if s.view is not None}

    @property
    def is_lease_held(self) -> bool:
        """Whether this process may send orders now."""
        return self._ports.lease.is_held

    async def serve(self) -> None:
        """Run until cancelled.

        Raises
        ------
        OwnershipLost
            If this node was declared dead: the process must end at once.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self._ports.membership.keep(self._settings.heartbeat_s), name="heartbeat"
            )
            tasks.create_task(self._watch_over(), name="watchdog")
            tasks.create_task(_every(WISHES_EVERY_S, self._read_wishes), name="wishes")
            tasks.create_task(_every(PURGE_EVERY_S, self._purge), name="purge")
            tasks.create_task(self._watch_account(), name="account stream")

    async def stop(self) -> int:
        """End every shard's current plan, and cancel its orders if so configured.

        A fenced node has nothing left to end: its shards cannot send.

        Returns
        -------
        int
            Orders that rest on at the exchange, as far as is known here.
        """
        self._stopping = True
        shards = list(self._shards.values())
        if not self.is_lease_held:
            return 0
        for shard in self._shards.values():
            shard.stop(cancel_orders=self._settings.cancel_on_stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_S):
                await asyncio.gather(*(shard.ended.wait() for shard in self._shards.values()))
        if self._shards:
            log.warning("shards_still_running", shards=sorted(self._shards))
        return sum(sum(shard.view.live_orders.values()) for shard in shards if shard.view)

    async def run_shard(self, shard: int, workflow_id: str) -> Document:
        """The body of the `run_shard` workflow: it returns only when the symbol is removed."""
        registry = self._ports.registry
        registered = await until_store_answers(lambda: registry.symbol(shard))
        killed = await until_store_answers(registry.is_killed)
        if registered.status is Status.REMOVED:
            return {"shard": shard, "status": Status.REMOVED.value}
        if self._stopping or shard in self._shards:
            # A late resume started it a second time: the one that runs goes on alone.
            raise asyncio.CancelledError
        runner = Shard(
            shard=shard,
            symbol=registered.symbol,
            workflow_id=workflow_id,
            mailbox=Mailbox(Wishes(registered.desired, killed)),
            ports=self._shard_ports(),
            settings=self._settings.shard,
        )
        self._shards[shard] = runner
        try:
            await self._run_guarded(runner)
        except OwnershipLost as failure:
            log.info("ownership_lost", symbol=registered.symbol, reason=str(failure))
            raise asyncio.CancelledError from None
        finally:
            del self._shards[shard]
            runner.ended.set()
        return {"shard": shard, "status": Status.REMOVED.value}

    async def submit_plan(self, plan: Document) -> Document:
        return {"orders": await self._executor.submit(decision_id_of(plan))}

    async def prepare_change(self, change: Document) -> Document:
        return await self._changes.prepare(change)

    async def record_change(
        self, change: Document, prepared: Document, workflow_id: str
    ) -> Document:
        return await self._changes.record(change, prepared, workflow_id)

    async def await_change(self, change: Document, recorded: Document) -> Document:
        return await self._changes.converge(change, recorded)

    async def _run_guarded(self, runner: Shard) -> None:
        """Keep one symbol's unforeseen crash away from the others.

        It is tried again a few times, then only after an operator paused and resumed it.
        """
        crashes = 0
        while True:
            started_ms = self._ports.clock.boot_ms()
            try:
                await runner.run()
            except (OwnershipLost, asyncio.CancelledError):
                raise
            except Exception as error:  # the border of one symbol's task: others go on
                if self._ports.clock.boot_ms() - started_ms > CRASHES_FORGOTTEN_MS:
                    crashes = 0
                crashes += 1
                log.exception("shard_crashed", symbol=runner.symbol, crashes=crashes)
                await self._halt(runner.shard, f"crash {crashes} of {CRASHES_MAX}: {error!r}")
                await asyncio.sleep(CRASH_WAIT_S * crashes)
                if crashes == CRASHES_MAX:
                    await self._quarantine(runner, error)
                    crashes = 0
            else:
                return

    async def _quarantine(self, runner: Shard, error: Exception) -> None:
        """Wait until an operator wishes something else of the symbol, or the node stops."""
        log.error("shard_quarantined", symbol=runner.symbol)
        await self._halt(runner.shard, f"quarantined; pause and resume to try again: {error!r}")
        wishes = runner.mailbox.wishes
        while runner.mailbox.wishes == wishes:
            if self._stopping:
                raise asyncio.CancelledError
            await asyncio.sleep(WISHES_EVERY_S)

    async def _halt(self, shard: int, reason: str) -> None:
        with suppress(StoreUnavailable):
            async with transaction(self._ports.engine) as connection:
                await connection.execute(
                    text("""
                        UPDATE shards SET status = 'halted', status_reason = :reason
                         WHERE shard = :shard AND owner = :me
                    """),
                    {
                        "shard": shard,
                        "reason": reason[:500],
                        "me": self._settings.executor_id,
                    },
                )

    def _shard_ports(self) -> ShardPorts:
        ports = self._ports
        return ShardPorts(
            store=ports.store,
            exchange=ports.exchange,
            executor=self._executor,
            run_plan=self._run_plan,
            clock=ports.clock,
            failpoints=ports.failpoints,
        )

    async def _run_plan(self, plan: PlanRecord) -> object:
        """Start `execute_plan` outside any workflow's context: it is nobody's child."""
        workflows = self._workflows
        if workflows is None:
            raise RuntimeError("the node was not bound to its workflows")

        async def start() -> object:
            with SetWorkflowID(str(plan["decision_id"])):
                return await workflows.execute_plan(plan)

        return await asyncio.create_task(start(), context=Context())

    async def _watch_over(self) -> None:
        self._ports.failpoints(Failpoint.START_BEFORE_TAKE_OVER)
        await self._watch()
        self._ports.failpoints(Failpoint.START_AFTER_TAKE_OVER)
        await _every(WATCHDOG_EVERY_S, self._watch)

    async def _watch(self) -> None:
        """One round of the watchdog: hand on what dead nodes left, and miss nothing."""
        if self._stopping:
            return
        try:
            await take_over(
                self._ports.engine,
                self._settings.executor_id,
                self._ports.membership.process,
                self._settings.dead_after_s,
            )
            for orphan in await self._ports.registry.orphans():
                log.error("shard_without_workflow", symbol=orphan.symbol, shard=orphan.shard)
                await self._ports.registry.enqueue(run_shard_again(orphan))
        except _ROUND_FAILURES as failure:
            log.warning("round_failed", task="watchdog", error=str(failure))

    async def _read_wishes(self) -> None:
        if not self._shards:
            return
        killed = await self._ports.registry.is_killed()
        for registered in await self._ports.registry.active_symbols():
            runner = self._shards.get(registered.shard)
            if runner is not None:
                runner.mailbox.put_wishes(Wishes(registered.desired, killed))
                if registered.awaits_reconcile:
                    runner.mailbox.ask_reconcile()

    async def _purge(self) -> None:
        await purge_history(self._ports.engine, self._settings.keep_history_days)

    async def _watch_account(self) -> None:
        async with aclosing(self._ports.exchange.watch_account()) as events:
            async for event in events:
                for runner in self._recipients(event):
                    runner.mailbox.put_order_event(event)

    def _recipients(self, event: object) -> Sequence[Shard]:
        """An order's event goes to its symbol, news of the stream itself to everybody."""
        if isinstance(event, OrderReport | Trade):
            return [s for s in self._shards.values() if s.symbol == event.symbol]
        return list(self._shards.values())


async def _every(period_s: float, act: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await act()
        except _ROUND_FAILURES as failure:
            log.warning("round_failed", task=act.__name__, error=str(failure))
        await asyncio.sleep(period_s)

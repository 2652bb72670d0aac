"""The loop of one symbol: take what came in, make it durable, decide, execute, look again.

A restart, a lost stream and a quiet minute all run the same path: compare with the exchange, then
plan the difference between the orders wanted and the orders there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

import structlog

from domain.errors import (
    InvariantViolation,
    KillSwitchEngaged,
    OwnershipLost,
    StoreUnavailable,
    VenueError,
)
from domain.ids import decision_id
from domain.market import BookTop
from domain.orders import OrderReport, Trade
from domain.plans import RiskApproved
from grid.grid import Grid
from ports.clock import Clock
from ports.exchange import ExchangePort
from ports.failpoints import Failpoint, Failpoints
from ports.store import Changes, Decision, Desired, ShardStore, Status
from symbol_manager.decide import Permissions, decide, limits_of, to_book
from symbol_manager.doubts import Backoff, Doubts
from symbol_manager.execute import Held, PlanExecutor, PlanRecord, plan_record
from symbol_manager.mailbox import Batch, Mailbox
from symbol_manager.reconcile import (
    absorb_report,
    absorb_survey,
    base_shortfall,
    doubtful_orders,
    look_up,
    missing_orders,
    other_installation,
    settle_parked,
    survey,
)
from symbol_manager.state import ShardState
from symbol_manager.view import ShardView, view_of

#: How often the loop looks around when nothing comes in.
IDLE_WAIT_S = 0.5
LOOK_UP_EVERY_MS = 500
#: A trade whose order is not known waits this long for the order's report.
PARKED_WAIT_MS = 2_000
RETRY_FIRST_S = 0.5
RETRY_LONGEST_S = 15.0

RunPlan = Callable[[PlanRecord], Awaitable[object]]

log = structlog.get_logger("symbol_manager")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSettings:
    """Bounds of the loop that do not depend on the grid."""

    #: No entries while the venue's time of the last price is older than this.
    stale_after_ms: int = 10_000
    reconcile_every_ms: int = 60_000
    #: No entries for this long after the venue said that funds are short.
    funds_lock_ms: int = 30_000
    orders_per_minute: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPorts:
    """What a shard is wired to."""

    store: ShardStore
    exchange: ExchangePort
    executor: PlanExecutor
    run_plan: RunPlan
    clock: Clock
    failpoints: Failpoints


class Shard:
    """One symbol's owner in this process."""

    def __init__(
        self,
        *,
        shard: int,
        symbol: str,
        workflow_id: str,
        mailbox: Mailbox,
        ports: ShardPorts,
        settings: ShardSettings,
    ) -> None:
        self.shard = shard
        self.symbol = symbol
        self.mailbox = mailbox
        self._workflow_id = workflow_id
        self._ports = ports
        self._settings = settings
        self._stop_with_cancel: bool | None = None
        self._log = log.bind(symbol=symbol, workflow_id=workflow_id)
        self.view: ShardView | None = None
        #: Set when nothing of this shard runs any more in this process.
        self.ended = asyncio.Event()

    def stop(self, *, cancel_orders: bool) -> None:
        """Let the current plan end, cancel own orders if asked to, then leave the loop."""
        self._stop_with_cancel = cancel_orders
        self.mailbox.wake()

    async def run(self) -> None:
        """Trade until the symbol is removed.

        Raises
        ------
        OwnershipLost
            If the symbol cannot be claimed: another node runs it, or this one was declared dead.
        asyncio.CancelledError
            After `stop`: the workflow stays pending and is resumed by the next process.
        """
        quotes = asyncio.create_task(self._watch_quotes(), name=f"quotes {self.symbol}")
        try:
            await self._run_until_removed()
        finally:
            quotes.cancel()
            with suppress(asyncio.CancelledError):
                await quotes

    async def _run_until_removed(self) -> None:
        wait_s = RETRY_FIRST_S
        while True:
            tenure: Tenure | None = None
            try:
                tenure = await self._take_office()
                wait_s = RETRY_FIRST_S
                await tenure.serve()
                return
            except OwnershipLost as error:
                if tenure is None:
                    raise
                # The lease ran out for a while, or the epoch is newer: claiming anew tells.
                self._log.warning("tenure_lost", error=str(error))
            except StoreUnavailable as error:
                self._log.warning("store_unavailable", error=str(error))
            except VenueError as error:
                self._log.warning("exchange_unavailable", error=str(error))
                if tenure is not None:
                    await tenure.halt(f"exchange: {error}")
            except InvariantViolation as error:
                self._log.error("invariant_violated", error=str(error))
                if tenure is not None:
                    await tenure.halt(f"invariant: {error}")
            if self._stop_with_cancel is not None:
                raise asyncio.CancelledError
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RETRY_LONGEST_S)

    async def _take_office(self) -> Tenure:
        ports = self._ports
        ports.failpoints(Failpoint.SHARD_BEFORE_CLAIM)
        claim = await ports.store.claim(self.shard, self._workflow_id)
        ports.failpoints(Failpoint.SHARD_AFTER_CLAIM)
        loaded = await ports.store.load(claim)
        grid = Grid.of(claim.spec, claim.instrument, claim.anchor, claim.ladder_version)
        self._log.info("claimed", epoch=claim.ownership.epoch, orders=len(loaded.orders))
        return Tenure(self, ports, self._settings, ShardState(claim, grid, loaded))

    @property
    def stop_with_cancel(self) -> bool | None:
        return self._stop_with_cancel

    async def _watch_quotes(self) -> None:
        async with aclosing(self._ports.exchange.watch_quotes(self.symbol)) as events:
            async for event in events:
                self.mailbox.put_quote(event)


class Tenure:
    """One epoch of a shard: everything in memory dies with it."""

    def __init__(
        self, owner: Shard, ports: ShardPorts, settings: ShardSettings, state: ShardState
    ) -> None:
        self._owner = owner
        self._ports = ports
        self._settings = settings
        self._state = state
        self._mailbox = owner.mailbox
        self._doubts = Doubts(ports.clock, ports.exchange.capabilities)
        self._backoff = Backoff(ports.clock, funds_lock_ms=settings.funds_lock_ms)
        self._limits = limits_of(state, settings.orders_per_minute)
        self._book: BookTop | None = None
        self._causes: list[str] = ["start"]
        self._sequence = 0
        self._status: tuple[Status, str] | None = None
        self._halt_reason = ""
        self._reconciled_trade_id = state.claim.reconciled_trade_id
        self._reconcile_at_ms = 0
        self._look_up_at_ms = 0
        self._recent_sends_ms: list[int] = []
        for order in state.active_orders():
            self._doubts.raise_for(order.intent.client_order_id)

    async def serve(self) -> None:
        """Reconcile, then trade until removed or stopped."""
        await self._reconcile()
        self._ports.failpoints(Failpoint.SHARD_AFTER_RECONCILE)
        while True:
            await self._absorb(self._mailbox.take())
            await self._keep_in_touch()
            await self._plan_and_execute()
            await self._publish()
            if self._is_done():
                return
            await self._mailbox.wait(IDLE_WAIT_S)

    async def halt(self, reason: str) -> None:
        """Say why nothing goes on; the next tenure starts from Postgres and the exchange."""
        with suppress(StoreUnavailable):
            await self._ports.store.set_status(
                self._state.claim.ownership, Status.HALTED, reason[:500]
            )

    async def _absorb(self, batch: Batch) -> None:
        if batch.quote is not None:
            book = to_book(batch.quote, self._state.claim.instrument)
            if book is not None and book != self._book:
                self._book = book
        changes = Changes()
        for event in batch.order_events:
            match event:
                case OrderReport():
                    await absorb_report(
                        event, self._state, self._ports.exchange, self._ports.store, changes
                    )
                case Trade():
                    self._state.absorb_trade(event, changes)
        if self._state.parked:
            soon = self._ports.clock.boot_ms() + PARKED_WAIT_MS
            self._reconcile_at_ms = min(self._reconcile_at_ms, soon)
        await self._record(changes)
        if batch.must_reconcile:
            self._reconcile_at_ms = 0

    async def _keep_in_touch(self) -> None:
        """Compare with the exchange when it is time, look doubtful orders up in between."""
        now_ms = self._ports.clock.boot_ms()
        if now_ms >= self._reconcile_at_ms:
            await self._reconcile()
        if now_ms >= self._look_up_at_ms:
            self._look_up_at_ms = now_ms + LOOK_UP_EVERY_MS
            changes = Changes()
            for order in doubtful_orders(self._state, self._doubts):
                with suppress(VenueError):  # proves nothing; asked again at the next look-up
                    await look_up(order, self._state, self._doubts, self._ports.exchange, changes)
            await self._record(changes)

    async def _reconcile(self) -> None:
        state, exchange, store = self._state, self._ports.exchange, self._ports.store
        changes = Changes(is_reconciled=True)
        found = await survey(exchange, state.claim.symbol, self._reconciled_trade_id)
        await absorb_survey(found, state, exchange, store, changes)
        for order in missing_orders(found, state):
            await look_up(order, state, self._doubts, exchange, changes)
        settle_parked(state, self._doubts, changes)
        await self._record(changes)
        self._reconciled_trade_id = changes.reconciled_trade_id or self._reconciled_trade_id
        self._reconcile_at_ms = self._ports.clock.boot_ms() + self._settings.reconcile_every_ms
        nonce = other_installation(found, state, exchange)
        held = await store.held_inventory(state.claim.account, state.claim.instrument.base)
        missing = base_shortfall(found, held, state.claim.instrument.base)
        if nonce is not None:
            self._halt_reason = f"another installation ({nonce}) trades this symbol"
        elif missing:
            base = state.claim.instrument.base
            self._halt_reason = f"the account holds {missing} {base} less than the slots"
        else:
            self._halt_reason = ""

    async def _record(self, changes: Changes) -> None:
        if not changes:
            return
        claim = self._state.claim
        fills = list(changes.fills)
        if fills:
            self._ports.failpoints(Failpoint.SHARD_BEFORE_RECORD_FILLS)
        await self._ports.store.record(claim.ownership, claim.instrument, changes)
        if fills:
            self._ports.failpoints(Failpoint.SHARD_AFTER_RECORD_FILLS)
        self._causes += [f"trade {trade_id}" for trade_id in fills]
        self._causes += [
            f"order {client_order_id} {order.status.value}"
            for client_order_id, order in changes.orders.items()
        ]

    async def _plan_and_execute(self) -> None:
        ports, state = self._ports, self._state
        now_ms = ports.clock.boot_ms()
        self._recent_sends_ms = [
            at_ms for at_ms in self._recent_sends_ms if at_ms > now_ms - 60_000
        ]
        approved = decide(
            state,
            self._book,
            self._limits,
            permissions=self._permissions(),
            waiting=self._backoff.waiting(),
            sent_last_minute=len(self._recent_sends_ms),
            new_id=ports.exchange.ids.encode,
        )
        if not approved.plan:
            return
        await self._execute(approved)
        self._recent_sends_ms += [now_ms] * len(approved.plan.places)

    async def _execute(self, approved: RiskApproved) -> None:
        ports, state = self._ports, self._state
        claim = state.claim
        self._sequence += 1
        decision = Decision(
            decision_id=decision_id(claim.key, claim.ownership.epoch, self._sequence),
            ownership=claim.ownership,
            sequence=self._sequence,
            book=self._book,
            causes=tuple(self._causes[-100:]) or ("price",),
            approved=approved,
        )
        ports.failpoints(Failpoint.PLAN_BEFORE_COMMIT)
        try:
            committed = await ports.store.commit_decision(decision, claim.instrument)
        except KillSwitchEngaged:
            return
        ports.failpoints(Failpoint.PLAN_AFTER_COMMIT)
        self._causes = []
        state.intend(approved.plan)
        ports.executor.hold(Held(committed, state, self._doubts, self._backoff))
        try:
            await ports.run_plan(plan_record(committed, state))
        finally:
            ports.executor.release(committed.decision_id)
        ports.failpoints(Failpoint.PLAN_BEFORE_RETURN)

    def _permissions(self) -> Permissions:
        wishes = self._mailbox.wishes
        wants_none = (
            wishes.is_killed
            or wishes.desired is Desired.REMOVED
            or self._owner.stop_with_cancel is True
        )
        return Permissions(
            orders=not wants_none,
            entries=not (
                wants_none
                or wishes.desired is Desired.PAUSED
                or self._halt_reason
                or self._is_stale()
                or self._backoff.entries_locked
            ),
            placing=self._owner.stop_with_cancel is None,
        )

    def _is_stale(self) -> bool:
        if self._book is None:
            return True
        age_ms = self._ports.clock.now_ms() - self._book.exchange_ms
        return age_ms > self._settings.stale_after_ms

    def _is_done(self) -> bool:
        """Removed for good; or, after `stop`, raise once nothing is left to cancel."""
        if self._owner.stop_with_cancel is not None:
            if not self._owner.stop_with_cancel or not self._state.active_orders():
                raise asyncio.CancelledError
            return False
        return self._status is not None and self._status[0] is Status.REMOVED

    async def _publish(self) -> None:
        status = self._current_status()
        if status != self._status:
            await self._ports.store.set_status(self._state.claim.ownership, *status)
            self._status = status
        self._owner.view = view_of(self._state, self._book, *status)

    def _current_status(self) -> tuple[Status, str]:
        wishes = self._mailbox.wishes
        has_orders = bool(self._state.active_orders())
        if wishes.desired is Desired.REMOVED:
            return (Status.REMOVING, "cancelling") if has_orders else (Status.REMOVED, "")
        if wishes.is_killed:
            return (
                (Status.HALTED, "kill switch: cancelling")
                if has_orders
                else (Status.STOPPED, "kill switch")
            )
        if self._halt_reason:
            return Status.HALTED, self._halt_reason
        if self._book is None:
            return Status.STARTING, "no price yet"
        if self._is_stale():
            return Status.HALTED, "no fresh price from the exchange"
        if wishes.desired is Desired.PAUSED:
            return Status.PAUSED, ""
        if self._backoff.entries_locked:
            return Status.RUNNING, "entries wait: funds are short"
        return Status.RUNNING, ""

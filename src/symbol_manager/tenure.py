"""One epoch of a shard: take what came in, make it durable, decide, execute, look again.

A start, a lost stream and a quiet minute all run the same path: compare with the exchange, then
plan the difference between the orders wanted and the orders there. Everything in memory here dies
with the tenure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from domain.errors import (
    AuthenticationRefused,
    KillSwitchEngaged,
    OwnershipLost,
    StoreUnavailable,
    VenueError,
)
from domain.ids import decision_id
from domain.market import BookTop
from domain.orders import OrderReport, Trade
from domain.plans import RiskApproved
from ports.clock import Clock
from ports.exchange import ExchangePort
from ports.failpoints import Failpoint, Failpoints
from ports.store import Changes, Decision, Desired, ShardStore, Status
from symbol_manager.decide import Permissions, decide, limits_of, to_book
from symbol_manager.doubts import Backoff, Doubts
from symbol_manager.execute import Held, PlanExecutor, PlanRecord, plan_record
from symbol_manager.mailbox import Batch, Mailbox, Wishes
from symbol_manager.reconcile import (
    absorb_report,
    absorb_survey,
    base_shortfall,
    doubtful_orders,
    is_unconfirmed,
    look_up,
    other_installation,
    settle_parked,
    survey,
)
from symbol_manager.state import ShardState
from symbol_manager.view import ShardView, view_of

#: How often the loop looks around when nothing comes in.
IDLE_WAIT_S = 0.5
#: Doubtful orders asked about in one round, so that cancels never wait for many time-outs.
LOOK_UPS_A_ROUND = 4
#: How soon to compare again what may only have been in flight, or what was not answered.
COMPARE_AGAIN_MS = 2_000
#: Comparisons that may fail in a row before entries are pulled.
FAILED_COMPARISONS_MAX = 3
#: A plan that was not sent this long after its decision no longer places anything.
PLAN_AGE_MAX_MS = 10_000
CAUSES_MAX = 100
_MINUTE_MS = 60_000

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


@dataclass(slots=True)
class Stop:
    """Whether this process wants the shard to end, and its orders with it."""

    is_asked: bool = False
    cancels_orders: bool = False

    def ask(self, *, cancel_orders: bool) -> None:
        self.is_asked, self.cancels_orders = True, cancel_orders


@dataclass(slots=True, kw_only=True)
class Tenure:
    """What one epoch knows and does."""

    state: ShardState
    mailbox: Mailbox
    ports: ShardPorts
    settings: ShardSettings
    stop: Stop
    #: Shared by all tenures of the shard.
    sent_ms: list[int]
    show: Callable[[ShardView], None]
    #: Whether the exchange was compared with, so that what is here can be relied on.
    has_compared: bool = False
    _is_over: bool = False
    _book: BookTop | None = None
    _causes: list[str] = field(default_factory=lambda: ["start"])
    _sequence: int = 0
    _status: tuple[Status, str] | None = None
    _halt_reason: str = ""
    _was_short: bool = False
    _failed_comparisons: int = 0
    _reconcile_at_ms: int = 0
    _reconciled_trade_id: str | None = None
    _wishes: Wishes = field(init=False)
    _log: Any = field(init=False)
    _doubts: Doubts = field(init=False)
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        clock = self.ports.clock
        self._wishes = self.mailbox.wishes
        self._log = log.bind(symbol=self.state.claim.symbol, epoch=self.state.claim.ownership.epoch)
        self._doubts = Doubts(clock, self.ports.exchange.capabilities)
        self._backoff = Backoff(clock, funds_lock_ms=self.settings.funds_lock_ms)
        self._reconciled_trade_id = self.state.claim.reconciled_trade_id
        if self.mailbox.latest_quote is not None:
            self._book = to_book(self.mailbox.latest_quote, self.state.claim.instrument)
        for order in self.state.active_orders():
            if is_unconfirmed(order):
                self._doubts.raise_for(order.intent.client_order_id)

    async def serve(self) -> None:
        """Compare with the exchange, then trade until removed or stopped.

        Where all orders are to go, the cancels of what is known come first: they must not wait for
        an exchange that answers nothing else.
        """
        try:
            if not self._permissions().orders:
                await self._plan_and_execute()
            await self._compare()
            self.ports.failpoints(Failpoint.SHARD_AFTER_RECONCILE)
            while True:
                await self._absorb(self.mailbox.take())
                await self._keep_in_touch()
                await self._plan_and_execute()
                await self._publish()
                if self._is_done():
                    return
                await self.mailbox.wait(IDLE_WAIT_S)
        finally:
            self._is_over = True

    async def halt(self, reason: str) -> None:
        """Say why nothing goes on; the next tenure starts from Postgres and the exchange."""
        with suppress(StoreUnavailable, OwnershipLost):
            await self.ports.store.set_status(
                self.state.claim.ownership, Status.HALTED, reason[:500]
            )

    async def _absorb(self, batch: Batch) -> None:
        if batch.quote is not None:
            self._book = to_book(batch.quote, self.state.claim.instrument) or self._book
        if batch.wishes != self._wishes:
            self._causes.append(str(batch.wishes))
            self._log.info("wishes", wishes=str(batch.wishes))
            self._wishes = batch.wishes
        changes = Changes()
        for event in batch.order_events:
            match event:
                case OrderReport():
                    await absorb_report(
                        event, self.state, self.ports.exchange, self.ports.store, changes
                    )
                case Trade():
                    self.state.absorb_trade(event, changes)
        if self.state.parked:
            self._compare_within(COMPARE_AGAIN_MS)
        await self._record(changes)
        if batch.must_reconcile:
            self._reconcile_at_ms = 0

    async def _keep_in_touch(self) -> None:
        """Compare with the exchange when it is time, look doubtful orders up in between."""
        if self.ports.clock.boot_ms() >= self._reconcile_at_ms:
            try:
                await self._compare()
            except AuthenticationRefused:
                raise
            except VenueError as error:
                self._failed_comparisons += 1
                wait_ms = COMPARE_AGAIN_MS * self._failed_comparisons
                self._reconcile_at_ms = self.ports.clock.boot_ms() + wait_ms
                self._log.warning("comparison_failed", error=str(error))
                if self._failed_comparisons >= FAILED_COMPARISONS_MAX:
                    self._halt_reason = f"exchange: {error}"[:500]
        await self._look_up_doubtful()

    async def _look_up_doubtful(self) -> None:
        changes = Changes()
        made = 0
        with suppress(VenueError):  # proves nothing; the others have their turn in the next round
            for order in doubtful_orders(self.state, self._doubts):
                if made == LOOK_UPS_A_ROUND:
                    break
                if not self._doubts.is_due(order.intent.client_order_id):
                    continue
                made += 1
                await look_up(
                    order,
                    self.state,
                    self._doubts,
                    self.ports.exchange,
                    self.ports.store,
                    changes,
                )
        await self._record(changes)

    async def _compare(self) -> None:
        """Ask the exchange first and change what is known only when all answers are there."""
        state, exchange, store = self.state, self.ports.exchange, self.ports.store
        found = await survey(exchange, state.claim.symbol, self._reconciled_trade_id)
        changes = Changes(is_reconciled=True)
        await absorb_survey(found, state, self._doubts, exchange, store, changes)
        await settle_parked(state, self._doubts, store, changes)
        await self._record(changes)
        self._reconciled_trade_id = changes.reconciled_trade_id or self._reconciled_trade_id
        held = await store.held_inventory(state.claim.account, state.claim.instrument.base)
        base = state.claim.instrument.base
        missing = base_shortfall(found, held, base)
        nonce = other_installation(found, state, exchange)
        self._halt_reason = ""
        if nonce is not None:
            self._halt_reason = f"another installation ({nonce}) trades this symbol"
        elif missing and self._was_short:
            self._halt_reason = f"the account holds {missing} {base} less than the slots"
        self._reconcile_at_ms = self.ports.clock.boot_ms() + self.settings.reconcile_every_ms
        if missing and not self._was_short:
            # A fill between two of the answers looks the same: look again before halting.
            self._compare_within(COMPARE_AGAIN_MS)
        self._was_short = bool(missing)
        self.has_compared = True
        self._failed_comparisons = 0

    def _compare_within(self, wait_ms: int) -> None:
        """Compare no later than after `wait_ms`."""
        soon_ms = self.ports.clock.boot_ms() + wait_ms
        self._reconcile_at_ms = min(self._reconcile_at_ms, soon_ms)

    async def _record(self, changes: Changes) -> None:
        if not changes:
            return
        claim = self.state.claim
        fills = list(changes.fills)
        if fills:
            self.ports.failpoints(Failpoint.SHARD_BEFORE_RECORD_FILLS)
        await self.ports.store.record(claim.ownership, claim.instrument, changes)
        if fills:
            self.ports.failpoints(Failpoint.SHARD_AFTER_RECORD_FILLS)
        for fill in changes.fills.values():
            self._log.info(
                "fill",
                origin=fill.origin.value,
                side=fill.trade.side.value,
                quantity=str(fill.trade.quantity),
                price=str(fill.trade.price),
            )
        self._causes += [f"trade {trade_id}" for trade_id in fills]
        self._causes += [
            f"order {client_order_id} {order.status.value}"
            for client_order_id, order in changes.orders.items()
        ]

    async def _plan_and_execute(self) -> None:
        now_ms = self.ports.clock.boot_ms()
        self.sent_ms[:] = [at_ms for at_ms in self.sent_ms if at_ms > now_ms - _MINUTE_MS]
        approved = decide(
            self.state,
            self._book,
            limits_of(self.state, self.settings.orders_per_minute),
            permissions=self._permissions(),
            waiting=self._backoff.waiting(),
            sent_last_minute=len(self.sent_ms),
            new_id=self.ports.exchange.ids.encode,
        )
        if approved.plan:
            self.sent_ms += [now_ms] * len(approved.plan.places)
            await self._execute(approved)

    async def _execute(self, approved: RiskApproved) -> None:
        ports, state = self.ports, self.state
        claim = state.claim
        self._sequence += 1
        decision = Decision(
            decision_id=decision_id(claim.key, claim.ownership.epoch, self._sequence),
            ownership=claim.ownership,
            sequence=self._sequence,
            book=self._book,
            causes=tuple(self._causes[-CAUSES_MAX:]) or ("price",),
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
        guard = self._guard(has_places=bool(approved.plan.places))
        ports.executor.hold(Held(committed, state, self._doubts, self._backoff, guard))
        try:
            await ports.run_plan(plan_record(committed, state))
        finally:
            ports.executor.release(committed.decision_id)
        ports.failpoints(Failpoint.PLAN_BEFORE_RETURN)

    def _guard(self, *, has_places: bool) -> Callable[[], None]:
        """What must still hold when a request's socket is about to be written."""
        decided_ms = self.ports.clock.boot_ms()

        def guard() -> None:
            if self._is_over:
                raise OwnershipLost("the tenure that decided this is over")
            if has_places and self.mailbox.wishes.is_killed:
                raise OwnershipLost("the kill switch was thrown")
            if has_places and self.ports.clock.boot_ms() - decided_ms > PLAN_AGE_MAX_MS:
                raise OwnershipLost("the decision is too old to act on")

        return guard

    def _permissions(self) -> Permissions:
        wishes = self.mailbox.wishes
        wants_none = (
            wishes.is_killed or wishes.desired is Desired.REMOVED or self.stop.cancels_orders
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
            placing=not self.stop.is_asked,
        )

    def _is_stale(self) -> bool:
        if self._book is None:
            return True
        age_ms = self.ports.clock.now_ms() - self._book.exchange_ms
        return age_ms > self.settings.stale_after_ms

    def _is_done(self) -> bool:
        """Removed for good; or, after a stop, raise once nothing is left to cancel."""
        if self.stop.is_asked:
            if not self.stop.cancels_orders or not self._has_orders():
                raise asyncio.CancelledError
            return False
        return self._status is not None and self._status[0] is Status.REMOVED

    def _has_orders(self) -> bool:
        """Whether anything of ours may rest or may not be booked yet."""
        return bool(self.state.active_orders() or self.state.strays or self.state.parked)

    async def _publish(self) -> None:
        status = self._current_status()
        if status != self._status:
            await self.ports.store.set_status(self.state.claim.ownership, *status)
            self._status = status
            self._log.info("status", status=status[0].value, reason=status[1])
        self.show(view_of(self.state, self._book, *status))

    def _current_status(self) -> tuple[Status, str]:
        wishes = self.mailbox.wishes
        if wishes.desired is Desired.REMOVED:
            return (Status.REMOVING, "cancelling") if self._has_orders() else (Status.REMOVED, "")
        if wishes.is_killed:
            return (
                (Status.HALTED, "kill switch: cancelling")
                if self._has_orders()
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

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

from domain.errors import KillSwitchEngaged, OwnershipLost, StoreUnavailable
from domain.ids import decision_id
from domain.market import BookTop
from domain.orders import OrderReport, Trade
from domain.plans import RiskApproved
from ext.engine import QuietBand, TickScale
from grid.check import why_idle
from grid.desired import Stance
from grid.phase import is_flat, next_phase
from grid.quiet import quiet_band
from grid.volatility import next_ladder
from ports.clock import Clock
from ports.exchange import ExchangePort
from ports.failpoints import Failpoint, Failpoints
from ports.store import Changes, Decision, Desired, ShardStore, Status
from risk.limits import RiskLimits
from symbol_manager.candles import Candles
from symbol_manager.compare import Comparison
from symbol_manager.course import Circumstances, stance_of, status_of
from symbol_manager.decide import decide, limits_of, to_book
from symbol_manager.doubts import Backoff, Doubts
from symbol_manager.execute import Held, PlanExecutor, PlanRecord, plan_record
from symbol_manager.freshness import STALE, Freshness
from symbol_manager.mailbox import Batch, Mailbox, Wishes
from symbol_manager.reconcile import absorb_report, is_unconfirmed
from symbol_manager.rules import RulesChange, rules_change
from symbol_manager.state import ShardState
from symbol_manager.view import ShardView, view_of

#: How often the loop looks around when nothing comes in.
IDLE_WAIT_S = 0.5
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
    #: These two are shared by all tenures of the shard.
    freshness: Freshness
    sent_ms: list[int]
    show: Callable[[ShardView], None]
    #: Why it began, for its first decision.
    cause: str = "start"
    _is_over: bool = False
    _book: BookTop | None = None
    _causes: list[str] = field(init=False)
    _sequence: int = 0
    _status: tuple[Status, str] | None = None
    _wishes: Wishes = field(init=False)
    _log: Any = field(init=False)
    _doubts: Doubts = field(init=False)
    _backoff: Backoff = field(init=False)
    _comparison: Comparison = field(init=False)
    _limits: RiskLimits = field(init=False)
    _candles: Candles | None = field(init=False, default=None)
    #: Prices at which there is nothing to do, under one stance; forgotten when anything changes.
    _quiet: tuple[QuietBand, Stance] | None = field(init=False, default=None)
    #: Why the last decision that found nothing to do found nothing to open either.
    _idle_reason: str = ""
    _scale: TickScale = field(init=False)
    #: What the venue's trading rules have that those in force have not.
    _rules: RulesChange | None = field(init=False)

    def __post_init__(self) -> None:
        clock = self.ports.clock
        self._wishes = self.mailbox.wishes
        self._causes = [self.cause]
        self._scale = TickScale(self.state.claim.instrument.tick_size)
        self._rules = rules_change(self.state, self.mailbox.latest_instrument)
        self._log = log.bind(symbol=self.state.claim.symbol, epoch=self.state.claim.ownership.epoch)
        self._doubts = Doubts(clock, self.ports.exchange.capabilities)
        self._backoff = Backoff(clock, funds_lock_ms=self.settings.funds_lock_ms)
        self._comparison = Comparison(
            state=self.state,
            doubts=self._doubts,
            exchange=self.ports.exchange,
            store=self.ports.store,
            clock=clock,
            every_ms=self.settings.reconcile_every_ms,
            record=self._record,
            log=self._log,
        )
        self._limits = limits_of(self.state.grid, self.settings.orders_per_minute)
        volatility = self.state.claim.spec.volatility
        if volatility is not None:
            symbol = self.state.claim.symbol
            self._candles = Candles(self.ports.exchange, clock, symbol, volatility)
        if self.mailbox.latest_quote is not None:
            self._book = to_book(self.mailbox.latest_quote, self.state.claim.instrument)
        for order in self.state.active_orders():
            if is_unconfirmed(order):
                self._doubts.raise_for(order.intent.client_order_id)

    @property
    def has_compared(self) -> bool:
        """Whether the exchange was compared with, so that what is here can be relied on."""
        return self._comparison.is_made

    @property
    def is_outdated(self) -> bool:
        """Whether the symbol has got another grid since it was claimed."""
        return self.mailbox.wishes.spec_version > self.state.claim.spec_version

    @property
    def successor_cause(self) -> str:
        """What the next tenure begins with, where this one ended for it."""
        if self.is_outdated:
            return f"spec {self.mailbox.wishes.spec_version}"
        return "trading rules"

    async def serve(self) -> bool:
        """Compare with the exchange, then trade until removed, stopped or outdated.

        Where all orders are to go, the cancels of what is known come first: they must not wait for
        an exchange that answers nothing else.

        Returns
        -------
        bool
            Whether the symbol is removed; else another grid or new trading rules wait for the next
            tenure.
        """
        try:
            await self._cancel_first()
            await self._comparison.make()
            self.ports.failpoints(Failpoint.SHARD_AFTER_RECONCILE)
            while True:
                await self._absorb(self.mailbox.take())
                if self.is_outdated:
                    return False
                await self._cancel_first()
                await self._comparison.keep_in_touch()
                if await self._follow_rules():
                    return False
                await self._follow_volatility()
                if not self._is_quiet():
                    await self._advance()
                    await self._plan_and_execute()
                await self._publish()
                if self._is_done():
                    return True
                await self.mailbox.wait(IDLE_WAIT_S, self._quiet_prices())
        finally:
            self._is_over = True

    async def _cancel_first(self) -> None:
        """Before the exchange is asked anything, where no order is to rest."""
        if stance_of(self._circumstances()) is Stance.NOTHING:
            await self._plan_and_execute()

    async def halt(self, reason: str) -> None:
        """Say why nothing goes on; the next tenure starts from Postgres and the exchange."""
        with suppress(StoreUnavailable, OwnershipLost):
            await self.ports.store.set_status(
                self.state.claim.ownership, Status.HALTED, reason[:500]
            )

    async def _absorb(self, batch: Batch) -> None:
        if batch.quote is not None:
            self._book = to_book(batch.quote, self.state.claim.instrument) or self._book
        if batch.wishes != self._wishes and not self.is_outdated:
            self._causes.append(str(batch.wishes))
            self._log.info("wishes", wishes=str(batch.wishes))
            self._wishes = batch.wishes
        if batch.instrument is not None:
            self._rules = rules_change(self.state, batch.instrument)
        changes = Changes()
        for event in batch.order_events:
            match event:
                case OrderReport():
                    await absorb_report(
                        event, self.state, self.ports.exchange, self.ports.store, changes
                    )
                case Trade():
                    self.state.absorb_trade(event, changes)
        if self.state.parked or changes.findings:
            self._comparison.ask_soon()
        await self._record(changes)
        if batch.must_reconcile:
            self._comparison.ask_now(must_be_complete=batch.must_be_complete)

    async def _advance(self) -> None:
        """Enter the grid's next phase, once it is durable."""
        state = self.state
        if self._book is None or self._price_reason():
            return
        phase = next_phase(state.phase, state.grid, state.slots, self._book, state.profit_units)
        if phase == state.phase:
            return
        await self._record(Changes(phase=phase, spec_version=state.claim.spec_version))
        state.enter(phase)
        self._limits = limits_of(state.grid, self.settings.orders_per_minute)
        self._causes.append(f"{phase.stage} {phase.reason}".strip())
        self._log.info("phase", stage=phase.stage.value, reason=phase.reason, shift=phase.shift)

    async def _follow_rules(self) -> bool:
        """Commit new trading rules once no order counts in the steps of those in force.

        Everything in memory counts in them: whoever takes office next starts from the new ones.
        """
        change = self._rules
        if change is None or change.obstacle or self.stop.is_asked:
            return False
        if change.must_cancel and self._has_orders():
            return False
        await self._record(Changes(instrument=change.instrument))
        self._log.info("trading_rules", changed=change.what)
        return True

    async def _follow_volatility(self) -> None:
        """Climb onto a new ladder if the candles that closed ask for one."""
        if self._candles is None:
            return
        state = self.state
        candles = await self._candles.fresh()
        ladder = next_ladder(
            state.claim.spec,
            state.claim.instrument,
            state.ladder,
            state.ladders_in_use(),
            candles,
        )
        if ladder is None:
            return
        await self._record(Changes(ladder=ladder, spec_version=state.claim.spec_version))
        state.climb(ladder)
        # What rules forbade under the ladders before they may allow now, and the other way round.
        self._rules = rules_change(state, self.mailbox.latest_instrument)
        self._causes.append(f"ladder {ladder.version}")
        self._log.info("ladder", version=ladder.version, spacing=ladder.spacing.model_dump_json())

    async def _record(self, changes: Changes) -> None:
        if not changes:
            return
        self._quiet = None
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

    def _is_quiet(self) -> bool:
        """Whether the last decision found nothing to do, and would find nothing now."""
        book, quiet = self._book, self._quiet
        if book is None or quiet is None or book.bid_ticks is None or book.ask_ticks is None:
            return False
        band, stance = quiet
        return stance is stance_of(self._circumstances()) and band.is_quiet(
            book.bid_ticks, book.ask_ticks
        )

    def _quiet_prices(self) -> tuple[TickScale, QuietBand] | None:
        """Quotes that need not be looked at one by one; after a stale price every one must be."""
        if self._quiet is None or self._price_reason() or not self._is_quiet():
            return None
        return self._scale, self._quiet[0]

    def _settle_down(self, stance: Stance) -> None:
        """A decision found nothing to do: remember for which prices that holds."""
        state = self.state
        if self._book is None or self._backoff.waiting() or self._backoff.entries_locked:
            return
        if stance is Stance.TRADE and not state.has_entries():
            self._idle_reason = why_idle(state.grid, self._book)
        band = quiet_band(
            state.grid,
            state.phase,
            state.slots,
            self._book,
            state.live_orders(),
            stance=stance,
            profit_at=state.profit_units,
        )
        self._quiet = None if band is None else (band, stance)

    async def _plan_and_execute(self) -> None:
        self._quiet, self._idle_reason = None, ""
        now_ms = self.ports.clock.boot_ms()
        self.sent_ms[:] = [at_ms for at_ms in self.sent_ms if at_ms > now_ms - _MINUTE_MS]
        stance = stance_of(self._circumstances())
        approved = self._decide(stance, may_place=not self.stop.is_asked)
        is_held_back = bool(approved.plan.places) and not self._comparison.ids_are_new
        if is_held_back:
            # The cancels do not wait for an answer that may take its time, or never come.
            approved = self._decide(stance, may_place=False)
        if approved.plan:
            self.sent_ms += [now_ms] * len(approved.plan.places)
            await self._execute(approved)
        elif not (approved.refused or is_held_back):
            self._settle_down(stance)
        if is_held_back:
            await self._comparison.prove_ids_new()

    def _decide(self, stance: Stance, *, may_place: bool) -> RiskApproved:
        return decide(
            self.state,
            self._book,
            self._limits,
            stance=stance,
            may_place=may_place,
            may_open=not self._backoff.entries_locked,
            waiting=self._backoff.waiting(),
            sent_last_minute=len(self.sent_ms),
            new_id=self.ports.exchange.ids.encode,
        )

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
        guard = self._guard(has_places=bool(approved.plan.places))
        ports.failpoints(Failpoint.PLAN_BEFORE_COMMIT)
        try:
            committed = await ports.store.commit_decision(decision, claim.instrument)
        except KillSwitchEngaged:
            return
        ports.failpoints(Failpoint.PLAN_AFTER_COMMIT)
        self._causes = []
        state.intend(approved.plan)
        ports.executor.begin(Held(committed, state, self._doubts, self._backoff, guard))
        try:
            await ports.run_plan(plan_record(committed, state))
        finally:
            await ports.executor.release(committed.decision_id)
        if self._backoff.take_position_doubt():
            self._comparison.ask_soon()
        ports.failpoints(Failpoint.PLAN_BEFORE_RETURN)

    def _guard(self, *, has_places: bool) -> Callable[[], None]:
        """What must still hold when a request's socket is about to be written."""
        decided_ms, term = self.ports.clock.boot_ms(), self.ports.executor.term

        def guard() -> None:
            if self._is_over:
                raise OwnershipLost("the tenure that decided this is over")
            if has_places and self.mailbox.wishes.is_killed:
                raise OwnershipLost("the kill switch was thrown")
            if has_places and self.ports.executor.term != term:
                raise OwnershipLost("the lease ran out since this was decided")
            if has_places and self.ports.clock.boot_ms() - decided_ms > PLAN_AGE_MAX_MS:
                raise OwnershipLost("the decision is too old to act on")

        return guard

    def _circumstances(self) -> Circumstances:
        state, book = self.state, self._book
        return Circumstances(
            wishes=self.mailbox.wishes,
            phase=state.phase,
            cancels_for_stop=self.stop.cancels_orders,
            halt_reason=self._comparison.halt_reason,
            rules_reason=self._rules.reason if self._rules else "",
            has_price=book is not None,
            price_reason=self._price_reason(),
            entries_locked=self._backoff.entries_locked,
            idle_reason=self._idle_reason,
            has_orders=self._has_orders(),
            is_flat=self.mailbox.wishes.desired is Desired.CLOSED
            and book is not None
            and is_flat(state.grid, state.slots, book),
        )

    def _price_reason(self) -> str:
        """Why the price must not be acted on; empty if it may."""
        return (
            STALE if self._book is None else self.freshness.reason_against(self._book.exchange_ms)
        )

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
        status = status_of(self._circumstances())
        if status != self._status:
            await self.ports.store.set_status(self.state.claim.ownership, *status)
            self._status = status
            self._log.info("status", status=status[0].value, reason=status[1])
        self.show(view_of(self.state, self._book, *status))

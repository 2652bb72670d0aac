"""A tenure over a store and an exchange in memory, driven round by round by a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal

from domain.ids import OrderTag, Side
from domain.market import Quote
from domain.orders import Intent, OrderReport
from ports.store import Desired, Status
from support.fake_exchange import FakeExchange, keeps
from symbol_manager.execute import PlanExecutor, PlanRecord, decision_id_of
from symbol_manager.freshness import Freshness
from symbol_manager.lease import Lease
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.state import ShardState
from symbol_manager.tenure import ShardPorts, ShardSettings, Stop, Tenure
from symbol_manager.view import ShardView
from unit.symbol_manager.factories import (
    CAPABILITIES,
    PATIENCE_S,
    FakeClock,
    PassedFailpoints,
    RecordingStore,
    make_report,
    make_state,
    until,
)

RECONCILE_EVERY_MS = 60_000


@dataclass
class Bench:
    """One shard; entries belong into slots -1 to -3."""

    state: ShardState = field(default_factory=make_state)
    exchange: FakeExchange = field(default_factory=lambda: FakeExchange(capabilities=CAPABILITIES))
    clock: FakeClock = field(default_factory=FakeClock)
    store: RecordingStore = field(default_factory=RecordingStore)
    stop: Stop = field(default_factory=Stop)
    mailbox: Mailbox = field(
        default_factory=lambda: Mailbox(Wishes(Desired.RUNNING, is_killed=False))
    )
    price: Decimal = Decimal("99.5")
    orders_per_minute: int = 600
    sent_ms: list[int] = field(default_factory=list)
    views: list[ShardView] = field(default_factory=list)
    lease: Lease = field(init=False)
    freshness: Freshness = field(init=False)
    _serving: asyncio.Task[bool] | None = None

    def __post_init__(self) -> None:
        self.lease = Lease(self.clock, 3_600_000)
        self.freshness = Freshness(
            self.mailbox,
            self.clock,
            stale_after_ms=ShardSettings().stale_after_ms,
            clock_skew_ms=CAPABILITIES.clock_skew_ms,
        )
        self.tick()

    def tick(self, *, age_ms: int = 0) -> None:
        self.mailbox.put_quote(self._quote(age_ms))

    def tick_quietly(self, price: str) -> bool:
        """Offer a quote as an exchange does first; whether it was kept without waking the shard."""
        self.price = Decimal(price)
        return keeps(self.mailbox.lull, self._quote())

    def _quote(self, age_ms: int = 0) -> Quote:
        tick = self.state.claim.instrument.tick_size
        return Quote(
            symbol="BTC/USDT",
            bid=self.price - tick,
            ask=self.price + tick,
            exchange_ms=self.clock.ms - age_ms,
        )

    def wish(self, desired: Desired = Desired.RUNNING, *, is_killed: bool = False) -> None:
        self.store.is_killed = is_killed
        self.mailbox.put_wishes(Wishes(desired, is_killed))

    def rest(self, *intents: Intent) -> None:
        """Have these orders open at the exchange."""
        for intent in intents:
            self.exchange.orders[intent.client_order_id] = make_report(intent)

    def fill(self, report: OrderReport) -> None:
        """Fill an open order at its price and say so."""
        self.exchange.trade(report.client_order_id, str(report.quantity), silent=True)
        self.mailbox.put_order_event(self.exchange.orders[report.client_order_id])
        self.mailbox.put_order_event(self.exchange.trades[-1])

    def ports(self) -> ShardPorts:
        self.lease.renew(self.clock.ms)
        executor = PlanExecutor(self.exchange, self.store, self.lease, PassedFailpoints())

        async def run_plan(record: PlanRecord) -> object:
            return await executor.submit(decision_id_of(record))

        return ShardPorts(
            store=self.store,
            exchange=self.exchange,
            executor=executor,
            run_plan=run_plan,
            clock=self.clock,
            failpoints=PassedFailpoints(),
        )

    def tenure(self) -> Tenure:
        return Tenure(
            state=self.state,
            mailbox=self.mailbox,
            ports=self.ports(),
            settings=ShardSettings(
                reconcile_every_ms=RECONCILE_EVERY_MS, orders_per_minute=self.orders_per_minute
            ),
            stop=self.stop,
            freshness=self.freshness,
            sent_ms=self.sent_ms,
            show=self.views.append,
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """A tenure that has been through its first round."""
        rounds = len(self.views)
        self._serving = asyncio.create_task(self.tenure().serve())
        try:
            await self.until_round(rounds + 1)
            yield
        finally:
            self._serving.cancel()
            with suppress(asyncio.CancelledError):
                await self._serving

    async def round(self, after_ms: int = 0) -> None:
        """Let time pass, then have the shard look around once."""
        self.clock.ms += after_ms
        rounds = len(self.views)
        self.tick()
        await self.until_round(rounds + 1)

    async def rounds(self, count: int, *, every_ms: int) -> None:
        for _ in range(count):
            await self.round(every_ms)

    async def until_ended(self) -> bool:
        """Wait for the tenure's end and say, or raise, what it ended with."""
        assert self._serving is not None
        self.mailbox.wake()
        async with asyncio.timeout(PATIENCE_S):
            return await self._serving

    @property
    def status(self) -> tuple[Status, str]:
        return self.views[-1].status, self.views[-1].reason

    def entries(self) -> set[int]:
        """Slots with an open buy order at the exchange."""
        return {self.tag(report).slot.number for report in self.open_orders(Side.BUY)}

    def open_orders(self, side: Side) -> list[OrderReport]:
        return [report for report in self.exchange.open_orders() if report.side is side]

    def tag(self, report: OrderReport) -> OrderTag:
        tag = self.exchange.ids.decode(report.client_order_id)
        assert tag is not None
        return tag

    async def until_round(self, number: int) -> None:
        assert self._serving is not None
        serving = self._serving
        await until(lambda: len(self.views) >= number or serving.done())
        if len(self.views) < number:
            self._serving.result()

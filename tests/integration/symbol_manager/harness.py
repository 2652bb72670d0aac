"""A whole shard over the real store and an exchange in memory; plans run without workflows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost, StoreUnavailable
from domain.ids import ClientOrderId, Side, VenueOrderId
from domain.instrument import Instrument
from domain.orders import OrderReport, Trade, VenueStatus
from domain.plans import CommittedPlan
from grid.phase import Phase
from grid.spec import GridSpec
from integration.store.factories import (
    EXECUTOR,
    add_symbol,
    execute,
    join_node,
    new_symbol,
    select,
    start_workflow,
    value,
)
from orchestrator.workflows import run_shard_id
from ports.exchange import Outcomes, SendGuard
from ports.store import Changes, Desired, Ownership, Status
from store.registry import Registry
from store.repository import Repository
from support.fake_exchange import FakeExchange
from symbol_manager.execute import PlanExecutor, PlanRecord, decision_id_of
from symbol_manager.lease import Lease
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardPorts, ShardSettings
from telemetry.clock import SystemClock
from unit.symbol_manager.factories import PassedFailpoints

#: Long for a loaded machine; every wait ends as soon as what it waits for is so.
PATIENCE_S = 15.0

_CONFIRMED = frozenset({"open", "partially_filled"})


async def eventually(
    condition: Callable[[], Awaitable[object]], *, timeout_s: float = PATIENCE_S
) -> None:
    """Poll until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


@dataclass
class WatchedExchange(FakeExchange):
    """Writes down what was sent, and what Postgres knew of it at that moment."""

    engine: AsyncEngine | None = None
    sent: list[ClientOrderId] = field(default_factory=list)
    #: Status in Postgres of each order at the moment of its sending.
    stored_at_sending: list[str | None] = field(default_factory=list)
    #: The entry of this slot fills right after the balances were read.
    fills_after_balances: int | None = None

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        assert self.engine is not None
        stored = dict(
            tuple(row)
            for row in await select(self.engine, "SELECT client_order_id, status FROM orders")
        )
        for place in plan.plan.places:
            self.sent.append(place.intent.client_order_id)
            self.stored_at_sending.append(stored.get(place.intent.client_order_id))
        return await super().submit(plan, instrument, guard)

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        balances = await super().fetch_balances()
        if self.fills_after_balances is not None:
            self.fill(self.fills_after_balances)
            self.fills_after_balances = None
        return balances

    def by_slot(self, side: Side) -> dict[int, OrderReport]:
        """Open orders of one side."""
        found = {}
        for report in self.open_orders():
            tag = self.ids.decode(report.client_order_id)
            if tag is not None and report.side is side:
                number = tag.slot.number
                assert number not in found, "two live orders of one slot and side"
                found[number] = report
        return found

    def order(self, slot: int, side: Side = Side.BUY) -> ClientOrderId:
        return self.by_slot(side)[slot].client_order_id

    def fill(self, slot: int, side: Side = Side.BUY, *, silent: bool = False) -> None:
        """Fill what is left of a slot's resting order."""
        report = self.by_slot(side)[slot]
        left = report.quantity - report.filled
        self.trade(report.client_order_id, str(left), silent=silent)

    def end(self, slot: int, status: VenueStatus) -> None:
        """End a resting entry without our asking; no event tells of it."""
        report = self.by_slot(Side.BUY)[slot]
        self.orders[report.client_order_id] = replace(report, status=status)

    def trade_unreported(self, venue_order_id: VenueOrderId, quantity: str) -> None:
        """A fill of an order that the venue had already reported as ended."""
        (report,) = (r for r in self.orders.values() if r.venue_order_id == venue_order_id)
        trade = Trade(
            symbol=report.symbol,
            trade_id=str(next(self._ids)),
            venue_order_id=venue_order_id,
            side=report.side,
            price=report.price,
            quantity=Decimal(quantity),
            fee=Decimal(0),
            fee_asset="USDT",
            is_maker=True,
            traded_ms=0,
        )
        self.trades.append(trade)
        self.balances["BTC"] += trade.quantity
        self.orders[report.client_order_id] = replace(report, filled=report.filled + trade.quantity)


class FailingStore(Repository):
    """Postgres goes away before or after the next commits of orders and fills."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, EXECUTOR)
        self.fail_before_commit = 0
        self.fail_after_commit = 0
        self.statuses: list[Status] = []

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        if self.fail_before_commit and (changes.fills or changes.orders):
            self.fail_before_commit -= 1
            raise StoreUnavailable("before the commit")
        await super().record(ownership, instrument, changes)
        if self.fail_after_commit and (changes.fills or changes.orders):
            self.fail_after_commit -= 1
            raise StoreUnavailable("after the commit")

    async def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        await super().set_status(ownership, status, reason)
        self.statuses.append(status)


class Rig:
    """One symbol, its exchange, and the shard that runs now."""

    def __init__(self, engine: AsyncEngine, shard: int, wishes: Wishes) -> None:
        self.engine = engine
        self.shard = shard
        self.exchange = WatchedExchange(engine=engine)
        self.store = FailingStore(engine)
        self.mailbox = Mailbox(wishes)
        self.key = new_symbol().key
        self.runner: Shard | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def build(
        cls, engine: AsyncEngine, spec: GridSpec | None = None, phase: Phase | None = None
    ) -> Rig:
        await Registry(engine).installation_nonce()
        new = new_symbol()
        if spec is not None:
            start_price = spec.trigger_price or new.start_price
            new = replace(new, spec=spec.model_dump(mode="json"), start_price=start_price)
        shard = await add_symbol(engine, replace(new, phase=phase or new.phase))
        await join_node(engine)
        await start_workflow(engine, run_shard_id(new_symbol().key, shard))
        rig = cls(engine, shard, Wishes(Desired.RUNNING, is_killed=False))
        rig.tick()
        return rig

    def tick(self, bid: str = "99.49", ask: str = "99.51") -> None:
        """The same price again: entries belong into slots -1 to -3, an exit fits at level 0."""
        self.exchange.set_price(bid, ask, time.time_ns() // 1_000_000)

    def start(self, *, reconcile_every_ms: int = 300) -> None:
        clock = SystemClock()
        lease = Lease(clock, 600_000)
        lease.renew(clock.boot_ms())
        failpoints = PassedFailpoints()
        executor = PlanExecutor(self.exchange, self.store, lease, failpoints)

        async def run_plan(record: PlanRecord) -> object:
            return await executor.submit(decision_id_of(record))

        self.mailbox = Mailbox(self.mailbox.wishes)
        self.runner = Shard(
            shard=self.shard,
            symbol="BTC/USDT",
            workflow_id=run_shard_id(self.key, self.shard),
            mailbox=self.mailbox,
            ports=ShardPorts(
                store=self.store,
                exchange=self.exchange,
                executor=executor,
                run_plan=run_plan,
                clock=clock,
                failpoints=failpoints,
            ),
            settings=ShardSettings(reconcile_every_ms=reconcile_every_ms),
        )
        self._tasks = [
            asyncio.create_task(self.runner.run()),
            asyncio.create_task(self._feed(self.mailbox)),
        ]

    async def crash(self) -> None:
        """Everything in memory is gone at once."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError, OwnershipLost):
                await task
        self._tasks = []

    async def until_ended(self) -> BaseException | None:
        """Why the shard's loop ended; `None` if the symbol is removed."""
        (running, _) = self._tasks
        done, _ = await asyncio.wait([running], timeout=PATIENCE_S)
        assert done, "the shard still runs"
        return asyncio.CancelledError() if running.cancelled() else running.exception()

    def stop(self, *, cancel_orders: bool) -> None:
        assert self.runner is not None
        self.runner.stop(cancel_orders=cancel_orders)

    async def wish(self, desired: Desired = Desired.RUNNING, *, is_killed: bool = False) -> None:
        await execute(self.engine, "UPDATE shards SET desired = :desired", desired=desired.value)
        self.mailbox.put_wishes(Wishes(desired, is_killed))

    async def until_entries(self, *slots: int) -> None:
        async def has_them() -> bool:
            return set(self.exchange.by_slot(Side.BUY)) == set(slots) and await self.is_settled()

        await eventually(has_them)

    async def until_exits(self, *slots: int, timeout_s: float = PATIENCE_S) -> None:
        async def has_them() -> bool:
            return set(self.exchange.by_slot(Side.SELL)) == set(slots) and await self.is_settled()

        await eventually(has_them, timeout_s=timeout_s)

    async def until_status(self, status: Status) -> None:
        async def has_it() -> bool:
            return (await Registry(self.engine).symbol(self.shard)).status is status

        await eventually(has_it)

    async def until_epoch(self, epoch: int) -> None:
        async def is_it() -> bool:
            return bool(await value(self.engine, "SELECT epoch FROM shards") == epoch)

        await eventually(is_it)

    async def is_settled(self) -> bool:
        """Whether Postgres knows every live order as the exchange does."""
        stored = await select(
            self.engine,
            "SELECT client_order_id, status FROM orders WHERE status IN"
            " ('intended', 'sent', 'unknown', 'open', 'partially_filled')",
        )
        known = {row.client_order_id for row in stored if row.status in _CONFIRMED}
        shown = {report.client_order_id for report in self.exchange.open_orders()}
        return len(known) == len(stored) and known == shown

    async def assert_books_agree(self) -> None:
        """Fills equal the exchange's trades, and the ledger explains every balance."""
        fills = await select(self.engine, "SELECT trade_id FROM fills WHERE origin = 'own'")
        assert {row.trade_id for row in fills} == {t.trade_id for t in self.exchange.trades}
        for asset, opening in (("BTC", Decimal(0)), ("USDT", Decimal(1_000_000))):
            booked = await value(
                self.engine,
                "SELECT coalesce(sum(amount), 0) FROM ledger WHERE asset = :asset",
                asset=asset,
            )
            assert opening + booked == self.exchange.balances[asset]
        held = await value(self.engine, "SELECT coalesce(sum(inventory), 0) FROM slots")
        assert held == self.exchange.balances["BTC"]
        assert len(set(self.exchange.sent)) == len(self.exchange.sent)

    async def _feed(self, mailbox: Mailbox) -> None:
        async for event in self.exchange.watch_account():
            mailbox.put_order_event(event)

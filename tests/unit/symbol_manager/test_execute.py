"""A committed plan is sent at once, under its lease only; each outcome moves its order."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from domain.errors import OwnershipLost
from domain.ids import DecisionId, Side
from domain.instrument import Instrument
from domain.orders import (
    Absent,
    Cancelled,
    Intended,
    Open,
    Order,
    OrderState,
    Rejected,
    Sent,
    Unknown,
    VenueStatus,
)
from domain.plans import CommittedPlan, Plan
from ports.exchange import (
    Accepted,
    NotSent,
    Outcome,
    Outcomes,
    Refused,
    SendGuard,
    Undetermined,
)
from ports.failpoints import Failpoint
from ports.store import Changes, Ownership
from support.fake_exchange import FakeExchange
from symbol_manager.doubts import Backoff, Doubts
from symbol_manager.execute import Held, PlanExecutor, decision_id_of, plan_record
from symbol_manager.lease import Lease
from symbol_manager.reconcile import doubtful_orders
from symbol_manager.state import ShardState
from unit.symbol_manager.factories import (
    CAPABILITIES,
    OWNERSHIP,
    FakeClock,
    PassedFailpoints,
    RecordingStore,
    cancelling,
    make_intent,
    make_report,
    make_state,
    placing,
    slot_id,
    until,
    venue_id,
)

ENTRY = make_intent(-1)
OTHER = make_intent(-2)
ENTRY_SIDE = (slot_id(-1), Side.BUY)
DECISION = DecisionId("sim-BTC-USDT:1:1")
FUNDS_LOCK_MS = 30_000


@dataclass
class AnsweringExchange(FakeExchange):
    """Answers every action as the test says."""

    answer: Outcome = field(default_factory=lambda: Undetermined("no reply"))
    submitted: list[Plan] = field(default_factory=list)

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        self.submitted.append(plan.plan)
        return Outcomes(
            tuple(self._send(guard, lambda: self.answer) for _ in plan.plan.cancels),
            tuple(self._send(guard, lambda: self.answer) for _ in plan.plan.places),
        )


@dataclass
class SilentExchange(AnsweringExchange):
    """Takes a plan and never answers."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    is_cut_off: bool = False

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.is_cut_off = True
            raise
        raise AssertionError("never answers")


@dataclass
class Desk:
    """An executor and everything it touches."""

    clock: FakeClock = field(default_factory=FakeClock)
    exchange: AnsweringExchange = field(default_factory=AnsweringExchange)
    store: RecordingStore = field(default_factory=RecordingStore)
    failpoints: PassedFailpoints = field(default_factory=PassedFailpoints)

    def __post_init__(self) -> None:
        self.lease = Lease(self.clock, 1_000)
        self.lease.renew(self.clock.ms)
        self.doubts = Doubts(self.clock, CAPABILITIES)
        self.backoff = Backoff(self.clock, funds_lock_ms=FUNDS_LOCK_MS)
        self.executor = PlanExecutor(self.exchange, self.store, self.lease, self.failpoints)

    def begin(self, plan: Plan, state: ShardState, guard: SendGuard = lambda: None) -> None:
        state.intend(plan)
        committed = CommittedPlan(
            decision_id=DECISION, shard=OWNERSHIP.shard, epoch=OWNERSHIP.epoch, plan=plan
        )
        self.executor.begin(Held(committed, state, self.doubts, self.backoff, guard))

    def advance(self) -> None:
        self.clock.ms += 1

    async def place(self, answer: Outcome) -> Order:
        state = make_state()
        self.begin(placing(ENTRY), state)
        self.exchange.answer = answer
        await self.executor.submit(DECISION)
        return state.order(ENTRY.client_order_id)

    async def cancel(self, answer: Outcome) -> Order:
        state = resting()
        self.begin(cancelling(ENTRY), state)
        self.exchange.answer = answer
        await self.executor.submit(DECISION)
        return state.order(ENTRY.client_order_id)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def resting() -> ShardState:
    return make_state(orders=[Order(intent=ENTRY, state=Open(venue_id(ENTRY)))])


async def test_submit_plan_of_another_process_sends_nothing(desk: Desk) -> None:
    assert await desk.executor.submit(DECISION) == {"plan": "stale: not sent"}
    assert desk.exchange.submitted == []
    assert desk.store.recorded == []


async def test_submit_plan_run_again_sends_nothing(desk: Desk) -> None:
    await desk.place(Accepted(make_report(ENTRY)))
    assert await desk.executor.submit(DECISION) == {"plan": "stale: not sent"}
    assert desk.exchange.submitted == [placing(ENTRY)]


async def test_begin_executes_before_the_step_runs_and_once(desk: Desk) -> None:
    state = make_state()
    desk.exchange.answer = Accepted(make_report(ENTRY))
    desk.begin(placing(ENTRY), state)
    await until(lambda: len(desk.store.recorded) == 1)
    assert desk.exchange.submitted == [placing(ENTRY)]

    assert await desk.executor.submit(DECISION) == {ENTRY.client_order_id: "open"}
    assert desk.exchange.submitted == [placing(ENTRY)]
    assert len(desk.store.recorded) == 1


async def test_release_plan_that_was_not_sent_yet_keeps_it_from_leaving(desk: Desk) -> None:
    state = make_state()
    desk.begin(placing(ENTRY), state)
    await desk.executor.release(DECISION)
    await desk.executor.release(DECISION)
    assert await desk.executor.submit(DECISION) == {"plan": "stale: not sent"}
    assert desk.exchange.submitted == []
    assert state.order(ENTRY.client_order_id).state == Intended()


async def test_release_plan_on_its_way_cuts_it_off_and_leaves_it_to_be_looked_up(
    desk: Desk,
) -> None:
    """Its workflow never ran: nobody knows what of it arrived."""
    desk.exchange = exchange = SilentExchange()
    desk.executor = PlanExecutor(exchange, desk.store, desk.lease, desk.failpoints)
    state = make_state()
    desk.begin(placing(ENTRY), state)
    await exchange.reached.wait()

    await desk.executor.release(DECISION)
    assert exchange.is_cut_off
    assert await desk.executor.submit(DECISION) == {"plan": "stale: not sent"}
    order = state.order(ENTRY.client_order_id)
    assert order.state == Sent()
    assert doubtful_orders(state, desk.doubts) == [order]
    assert desk.store.recorded == []


async def test_submit_that_is_cancelled_leaves_the_send_to_its_release(desk: Desk) -> None:
    desk.exchange = exchange = SilentExchange()
    desk.executor = PlanExecutor(exchange, desk.store, desk.lease, desk.failpoints)
    desk.begin(placing(ENTRY), make_state())
    step = asyncio.create_task(desk.executor.submit(DECISION))
    await exchange.reached.wait()
    step.cancel()
    with suppress(asyncio.CancelledError):
        await step
    assert not exchange.is_cut_off
    await desk.executor.release(DECISION)
    assert exchange.is_cut_off


async def test_submit_of_a_plan_that_is_released_meanwhile_says_so(desk: Desk) -> None:
    """Its workflow may have plans of other shards to wait for: it is not cancelled."""
    desk.exchange = exchange = SilentExchange()
    desk.executor = PlanExecutor(exchange, desk.store, desk.lease, desk.failpoints)
    desk.begin(placing(ENTRY), make_state())
    step = asyncio.create_task(desk.executor.submit(DECISION))
    await exchange.reached.wait()
    await desk.executor.release(DECISION)
    assert await step == {"plan": "cut off"}


async def test_release_failed_send_that_no_step_awaited_is_silent(desk: Desk) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    desk.clock.ms += 1_000
    desk.begin(placing(ENTRY), make_state())
    sending = asyncio.all_tasks() - {asyncio.current_task()}
    await until(lambda: bool(sending) and all(task.done() for task in sending))
    sending.clear()
    await desk.executor.release(DECISION)
    gc.collect()
    assert complaints == []


async def test_submit_after_the_lease_ran_out_sends_nothing(desk: Desk) -> None:
    desk.begin(placing(ENTRY), make_state())
    desk.clock.ms += 1_000
    with pytest.raises(OwnershipLost):
        await desk.executor.submit(DECISION)
    assert desk.exchange.submitted == []
    assert desk.failpoints.points == []


async def test_submit_lease_that_runs_out_while_signing_keeps_everything_from_leaving(
    desk: Desk,
) -> None:
    state = resting()
    desk.begin(Plan(cancelling(ENTRY).cancels, placing(OTHER).places), state)
    desk.exchange.answer = Accepted(make_report(ENTRY, VenueStatus.CANCELLED))
    desk.clock.ms += 999
    desk.exchange.while_signing = desk.advance
    await desk.executor.submit(DECISION)
    assert state.order(ENTRY.client_order_id).is_live
    assert state.order(OTHER.client_order_id).state == Absent(
        "not sent: the lease of this process has run out"
    )


async def test_submit_what_the_tenures_guard_forbids_is_not_sent(desk: Desk) -> None:
    def guard() -> None:
        raise OwnershipLost("too old")

    state = make_state()
    desk.begin(placing(ENTRY), state, guard)
    desk.exchange.answer = Accepted(make_report(ENTRY))
    assert await desk.executor.submit(DECISION) == {ENTRY.client_order_id: "absent"}
    assert state.order(ENTRY.client_order_id).state == Absent("not sent: too old")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Accepted(make_report(ENTRY)), Open(venue_id(ENTRY)), id="accepted"),
        pytest.param(
            Refused("would_cross", "post only"), Rejected("would_cross: post only"), id="refused"
        ),
        pytest.param(NotSent("rate budget"), Absent("not sent: rate budget"), id="not sent"),
        pytest.param(Undetermined("timeout"), Unknown("timeout"), id="undetermined"),
    ],
)
async def test_submit_place_outcome_becomes_the_state(
    desk: Desk, answer: Outcome, expected: OrderState
) -> None:
    order = await desk.place(answer)
    assert order.state == expected
    (changes,) = desk.store.recorded
    assert changes == Changes(orders={ENTRY.client_order_id: order})
    assert desk.failpoints.points == [
        Failpoint.PLAN_BEFORE_SEND,
        Failpoint.PLAN_AFTER_SEND,
        Failpoint.PLAN_AFTER_OUTCOMES,
    ]


@pytest.mark.parametrize(
    ("answer", "is_doubted", "is_waiting", "is_locked"),
    [
        pytest.param(Accepted(make_report(ENTRY)), False, False, False, id="accepted"),
        pytest.param(Refused("filter", "tick"), False, True, False, id="refused"),
        pytest.param(Refused("insufficient_funds", "no"), False, True, True, id="funds short"),
        pytest.param(NotSent("rate budget"), False, True, False, id="not sent"),
        pytest.param(Undetermined("timeout"), True, False, False, id="undetermined"),
    ],
)
async def test_submit_place_outcome_decides_what_waits(
    desk: Desk, answer: Outcome, is_doubted: bool, is_waiting: bool, is_locked: bool
) -> None:
    await desk.place(answer)
    assert (ENTRY.client_order_id in desk.doubts) is is_doubted
    assert (desk.backoff.waiting() == {ENTRY_SIDE}) is is_waiting
    assert desk.backoff.entries_locked is is_locked
    assert not desk.backoff.take_position_doubt()


async def test_submit_refusal_to_reduce_doubts_the_position_once(desk: Desk) -> None:
    await desk.place(Refused("reduce_only", "ReduceOnly Order is rejected."))
    assert desk.backoff.waiting() == {ENTRY_SIDE}
    assert not desk.backoff.entries_locked
    assert desk.backoff.take_position_doubt()
    assert not desk.backoff.take_position_doubt()


async def test_submit_accepted_place_ends_the_wait_of_its_slot_side(desk: Desk) -> None:
    desk.backoff.refuse(ENTRY_SIDE)
    await desk.place(Accepted(make_report(ENTRY)))
    assert desk.backoff.waiting() == set()


@pytest.mark.parametrize(
    ("answer", "state", "is_doubted"),
    [
        pytest.param(
            Accepted(make_report(ENTRY, VenueStatus.CANCELLED, 3)),
            Cancelled(venue_id(ENTRY), 3),
            False,
            id="accepted",
        ),
        pytest.param(NotSent("rate budget"), Open(venue_id(ENTRY)), True, id="not sent"),
        pytest.param(Refused("not_found", "unknown"), Open(venue_id(ENTRY)), True, id="refused"),
        pytest.param(Undetermined("timeout"), Open(venue_id(ENTRY)), True, id="no reply"),
    ],
)
async def test_submit_cancel_outcome_ends_or_doubts(
    desk: Desk, answer: Outcome, state: OrderState, is_doubted: bool
) -> None:
    order = await desk.cancel(answer)
    assert order == Order(intent=ENTRY, state=state, cancel_requested=True)
    assert (ENTRY.client_order_id in desk.doubts) is is_doubted


async def test_submit_result_names_the_status_of_every_order(desk: Desk) -> None:
    state = resting()
    plan = Plan(cancelling(ENTRY).cancels, placing(OTHER).places)
    desk.begin(plan, state)
    assert await desk.executor.submit(DECISION) == {
        ENTRY.client_order_id: "open",
        OTHER.client_order_id: "unknown",
    }


async def test_submit_outcomes_of_a_lost_epoch_are_not_recorded(desk: Desk) -> None:
    class FencedExchange(AnsweringExchange):
        async def submit(
            self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
        ) -> Outcomes:
            outcomes = await super().submit(plan, instrument, guard)
            desk.store.current = Ownership(OWNERSHIP.shard, OWNERSHIP.epoch + 1)
            return outcomes

    desk.executor = PlanExecutor(FencedExchange(), desk.store, desk.lease, desk.failpoints)
    desk.begin(placing(ENTRY), make_state())
    with pytest.raises(OwnershipLost):
        await desk.executor.submit(DECISION)
    assert desk.store.recorded == []


def test_plan_record_is_readable_and_names_its_decision() -> None:
    state = resting()
    plan = Plan(cancelling(ENTRY).cancels, placing(OTHER).places)
    state.intend(plan)
    committed = CommittedPlan(decision_id=DECISION, shard=3, epoch=1, plan=plan)
    record = plan_record(committed, state)
    assert decision_id_of(record) == DECISION
    assert record == {
        "decision_id": "sim-BTC-USDT:1:1",
        "shard": 3,
        "epoch": 1,
        "symbol": "BTC/USDT",
        "cancels": [{"client_order_id": ENTRY.client_order_id, "reason": "test"}],
        "places": [
            {
                "client_order_id": OTHER.client_order_id,
                "side": "buy",
                "price": "98.00",
                "quantity": "0.10000",
                "reason": "test",
            }
        ],
    }


@pytest.mark.parametrize(
    ("reason", "is_doubted"), [("filter", True), ("insufficient_funds", False), ("other", False)]
)
async def test_refusal_by_a_filter_casts_doubt_on_the_trading_rules(
    reason: str, is_doubted: bool
) -> None:
    desk = Desk(exchange=AnsweringExchange(answer=Refused(reason, "no")))
    doubted: list[str] = []
    desk.executor = PlanExecutor(
        desk.exchange, desk.store, desk.lease, desk.failpoints, lambda: doubted.append(reason)
    )
    await desk.place(desk.exchange.answer)
    assert doubted == [reason] * is_doubted

"""Send a committed plan and record what came of it: the one step of `execute_plan`.

The only module that submits to the exchange port. It begins as soon as the intents are committed,
while the workflow is being started, and the step waits for its end: a crash in between leaves the
same as one before the step, intents whose fate is looked up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from domain.ids import DecisionId
from domain.orders import Absent, Rejected, Unknown
from domain.plans import Cancel, CommittedPlan, Place
from ports.exchange import (
    Accepted,
    ExchangePort,
    NotSent,
    Outcome,
    Outcomes,
    Refused,
    SendGuard,
    Undetermined,
)
from ports.failpoints import Failpoint, Failpoints
from ports.store import Changes, Ownership, ShardStore
from symbol_manager.doubts import Backoff, Doubts
from symbol_manager.lease import Lease
from symbol_manager.state import ShardState, slot_side

#: What a workflow stores of a plan: readable, and nothing secret.
PlanRecord = dict[str, object]
#: The status of each of its orders by client order id, or what kept it from being executed here.
PlanResult = dict[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A committed plan on its way to the exchange, with the memory it will change."""

    plan: CommittedPlan
    state: ShardState
    doubts: Doubts
    backoff: Backoff
    #: Asked with each request right before its socket is written.
    guard: SendGuard


class PlanExecutor:
    """Plans committed by this process under its current epochs.

    A workflow that another process started, or that is run again after a crash, finds nothing held
    here and sends nothing: reconciliation settles its intents.
    """

    def __init__(
        self,
        exchange: ExchangePort,
        store: ShardStore,
        lease: Lease,
        failpoints: Failpoints,
        doubt_rules: Callable[[], None] = lambda: None,
    ) -> None:
        self._exchange = exchange
        self._store = store
        self._lease = lease
        self._failpoints = failpoints
        #: Called when an order did not fit the venue's trading rules.
        self._doubt_rules = doubt_rules
        self._executing: dict[DecisionId, asyncio.Task[PlanResult]] = {}
        #: Those whose step has begun: a second one is of a workflow that was run again.
        self._awaited: set[DecisionId] = set()

    @property
    def term(self) -> int:
        """Of the lease: what was decided in another one is not to be placed."""
        return self._lease.term

    def begin(self, held: Held) -> None:
        """Start to execute a plan that was committed this instant; its workflow's step awaits that.

        The commit that made the intents durable has just checked the epoch and the kill switch.
        """
        self._executing[held.plan.decision_id] = asyncio.create_task(self._execute(held))

    async def release(self, decision_id: DecisionId) -> None:
        """Forget a plan; what of it is still under way is cut off, and looked up later."""
        self._awaited.discard(decision_id)
        executing = self._executing.pop(decision_id, None)
        if executing is not None and not executing.done():
            executing.cancel()
            await asyncio.wait([executing])
        elif executing is not None and not executing.cancelled():
            executing.exception()  # whoever awaited it has seen it

    async def submit(self, decision_id: DecisionId) -> PlanResult:
        """Wait until the outcomes are recorded; the status of each order by its id."""
        executing = self._executing.get(decision_id)
        if executing is None or decision_id in self._awaited:
            return {"plan": "stale: not sent"}
        self._awaited.add(decision_id)
        await asyncio.wait([executing])
        return {"plan": "cut off"} if executing.cancelled() else executing.result()

    async def _execute(self, held: Held) -> PlanResult:
        outcomes = await self._send(held)
        self._failpoints(Failpoint.PLAN_AFTER_SEND)
        if any(isinstance(o, Refused) and o.reason == "filter" for o in outcomes.places):
            self._doubt_rules()
        changes = _apply(outcomes, held)
        ownership = Ownership(held.plan.shard, held.plan.epoch)
        await self._store.record(ownership, held.state.claim.instrument, changes)
        self._failpoints(Failpoint.PLAN_AFTER_OUTCOMES)
        plan = held.plan.plan
        touched = [action.client_order_id for action in plan.cancels]
        touched += [place.intent.client_order_id for place in plan.places]
        return {str(name): held.state.order(name).status.value for name in touched}

    async def _send(self, held: Held) -> Outcomes:
        self._lease.check()
        self._failpoints(Failpoint.PLAN_BEFORE_SEND)
        held.state.mark_sent(held.plan.plan)

        def guard() -> None:
            self._lease.check()
            held.guard()

        return await self._exchange.submit(held.plan, held.state.claim.instrument, guard)


def plan_record(plan: CommittedPlan, state: ShardState) -> PlanRecord:
    """The plan as its workflow's input shows it."""
    instrument = state.claim.instrument
    return {
        "decision_id": plan.decision_id,
        "shard": plan.shard,
        "epoch": plan.epoch,
        "symbol": state.claim.symbol,
        "cancels": [
            {"client_order_id": cancel.client_order_id, "reason": cancel.reason}
            for cancel in plan.plan.cancels
        ],
        "places": [
            {
                "client_order_id": place.intent.client_order_id,
                "side": place.intent.side.value,
                "price": str(instrument.ticks_to_price(place.intent.price_ticks)),
                "quantity": str(instrument.lots_to_quantity(place.intent.quantity_lots)),
                "reason": place.reason,
            }
            for place in plan.plan.places
        ],
    }


def decision_id_of(record: Mapping[str, object]) -> DecisionId:
    return DecisionId(str(record["decision_id"]))


def _apply(outcomes: Outcomes, held: Held) -> Changes:
    changes = Changes()
    plan = held.plan.plan
    for cancel, outcome in zip(plan.cancels, outcomes.cancels, strict=True):
        _apply_cancel(cancel, outcome, held, changes)
    for place, outcome in zip(plan.places, outcomes.places, strict=True):
        _apply_place(place, outcome, held, changes)
    return changes


def _apply_cancel(cancel: Cancel, outcome: Outcome, held: Held, into: Changes) -> None:
    match outcome:
        case Accepted(report):
            held.state.absorb_report(report, into)
        case Refused() | Undetermined() | NotSent():
            # It ended by itself, the answer is lost, or nothing may be sent for now: a look-up,
            # which keeps its distance, tells whether to ask again.
            held.doubts.raise_for(cancel.client_order_id)


def _apply_place(place: Place, outcome: Outcome, held: Held, into: Changes) -> None:
    client_order_id = place.intent.client_order_id
    order = held.state.order(client_order_id)
    match outcome:
        case Accepted(report):
            held.state.absorb_report(report, into)
            held.backoff.succeed(slot_side(order))
        case Refused(reason, message):
            held.state.set_state(client_order_id, Rejected(f"{reason}: {message}"), into)
            held.backoff.refuse(slot_side(order))
            if reason == "insufficient_funds":
                held.backoff.lock_entries()
            elif reason == "reduce_only":
                held.backoff.doubt_position()
        case NotSent(message):
            held.state.set_state(client_order_id, Absent(f"not sent: {message}"), into)
            held.backoff.refuse(slot_side(order))
        case Undetermined(message):
            held.state.set_state(client_order_id, Unknown(message), into)
            held.doubts.raise_for(client_order_id)

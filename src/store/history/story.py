"""Why an order exists and what became of it, put together from all that is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from store.history.orders import (
    DecisionRecord,
    FillRecord,
    OrderRecord,
    decision,
    decisions_cancelling,
    fills_of,
    order,
    order_before,
)
from store.history.workflows import WorkflowDetail, workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An order, what it was decided on, how it was sent and what happened to it."""

    order: OrderRecord
    decision: DecisionRecord | None
    #: The order its slot had before: an exit's entry, for example.
    before: OrderRecord | None
    #: The workflow that sent it; `None` if it never started or its history is purged.
    plan: WorkflowDetail | None
    fills: tuple[FillRecord, ...]
    #: Oldest first.
    events: tuple[Event, ...]


async def why(engine: AsyncEngine, order_id: str) -> Story | None:
    """The story of an order by its client id or its id at the venue; `None` for an unknown id."""
    subject = await order(engine, order_id)
    if subject is None:
        return None
    plan = await workflow(engine, subject.decision_id)
    fills = await fills_of(engine, subject.client_order_id)
    cancels = await decisions_cancelling(engine, subject)
    return Story(
        order=subject,
        decision=await decision(engine, subject.decision_id),
        before=await order_before(engine, subject),
        plan=plan,
        fills=fills,
        events=_events(subject, plan, fills, cancels),
    )


def narrate(story: Story) -> tuple[str, ...]:
    """The story in words, a sentence a line."""
    return tuple(
        line
        for part in (
            [_what(story.order), _place(story.order)],
            _decided(story),
            _sent(story.plan),
            [f"{event.at:%Y-%m-%d %H:%M:%S.%f} {event.what}" for event in story.events],
        )
        for line in part
    )


def _what(subject: OrderRecord) -> str:
    held = f", {_exact(subject.filled)} filled" if subject.filled else ""
    why_so = f" ({subject.status_reason})" if subject.status_reason else ""
    return (
        f"{subject.client_order_id}: {subject.side} {_exact(subject.quantity)} {subject.symbol} "
        f"at {_exact(subject.price)}, now {subject.status}{why_so}{held}."
    )


def _place(subject: OrderRecord) -> str:
    venue = subject.venue_order_id or "none that we know of"
    return (
        f"It is the {subject.purpose} of slot {subject.slot} (ladder {subject.ladder_version}), "
        f"generation {subject.generation} of that side; its id at the venue: {venue}."
    )


def _decided(story: Story) -> list[str]:
    lines = [f"Why: {story.order.reason}."]
    decided = story.decision
    if decided is not None:
        lines.append(
            f"Decision {decided.decision_id}, caused by {', '.join(decided.causes) or 'nothing'}, "
            f"saw bid {_exact(decided.bid)} and ask {_exact(decided.ask)}; it cancelled "
            f"{len(decided.cancels)} and placed {len(decided.places)} orders, and the risk gate "
            f"kept back {len(decided.refused)}."
        )
    if story.before is not None:
        before = story.before
        lines.append(
            f"Before it, the slot had {before.client_order_id}: {before.purpose} "
            f"{before.side} {_exact(before.quantity)} at {_exact(before.price)}, {before.status} "
            f"with {_exact(before.filled)} filled."
        )
    return lines


def _sent(plan: WorkflowDetail | None) -> list[str]:
    if plan is None:
        return ["No workflow of its plan is recorded."]
    steps = ", ".join(
        f"{step.name} {'failed' if step.error is not None else 'done'}" for step in plan.steps
    )
    return [f"Its plan's workflow: {plan.workflow.status}; steps: {steps or 'none yet'}."]


def _events(
    subject: OrderRecord,
    plan: WorkflowDetail | None,
    fills: tuple[FillRecord, ...],
    cancels: tuple[DecisionRecord, ...],
) -> tuple[Event, ...]:
    events = [Event(at=subject.intended_at, what="intent committed")]
    if plan is not None:
        for step in plan.steps:
            if step.started_at is not None:
                events.append(Event(at=step.started_at, what=f"step {step.name} began"))
            if step.completed_at is not None:
                events.append(Event(at=step.completed_at, what=f"step {step.name} ended"))
    for fill in fills:
        role = "maker" if fill.is_maker else "taker"
        events.append(
            Event(
                at=fill.traded_at,
                what=f"trade {fill.trade_id}: {_exact(fill.quantity)} at {_exact(fill.price)} "
                f"as {role}, fee {_exact(fill.fee)} {fill.fee_asset}",
            )
        )
    for cancelling in cancels:
        reason = next(
            cancel["reason"]
            for cancel in cancelling.cancels
            if cancel["client_order_id"] == subject.client_order_id
        )
        events.append(
            Event(
                at=cancelling.decided_at,
                what=f"cancel decided by {cancelling.decision_id}, "
                f"caused by {', '.join(cancelling.causes)}: {reason}",
            )
        )
    if subject.ended_at is not None:
        events.append(Event(at=subject.ended_at, what=subject.status))
    return tuple(sorted(events, key=lambda event: event.at))


def _exact(number: Decimal | None) -> str:
    """Without exponent and trailing zeros."""
    return "none" if number is None else f"{number.normalize():f}"

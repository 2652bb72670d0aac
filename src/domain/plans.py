"""What a decision wants done, and the two gates it passes before anything is sent.

``Plan`` → (risk) → ``RiskApproved`` → (committed with its intents) → ``CommittedPlan`` → exchange.
Only the last can be executed, so an unchecked or unrecorded order is a type error.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.ids import ClientOrderId, DecisionId, Side, SlotId
from domain.orders import Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    intent: Intent
    #: Why, for the history: ``entry below price`` or the like.
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    client_order_id: ClientOrderId
    slot: SlotId
    side: Side
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    cancels: tuple[Cancel, ...] = ()
    places: tuple[Place, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cancels or self.places)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An order the risk gate kept back, the rule it broke and the numbers."""

    place: Place
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class RiskApproved:
    """A plan that passed the gate; only `risk.gate` makes one."""

    plan: Plan
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedPlan:
    """A risk-approved plan whose intents are in Postgres; only the store makes one."""

    decision_id: DecisionId
    shard: int
    epoch: int
    plan: Plan

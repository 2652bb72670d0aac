"""What is written of every plan: its decision and its outcomes, of all shards together.

Shards that decide while a statement is on its way share the next one, and its commit. None waits
for another's lock or fails by another's row: what a common statement leaves undone its shard does
alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import TextClause
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import KillSwitchEngaged, OwnershipLost, StoreUnavailable
from domain.instrument import Instrument
from domain.orders import Order
from domain.plans import Place
from ports.store import Decision, Ownership
from store import statements as sql
from store.engine import Alone, is_undone
from store.grouped import Grouped
from store.rows import order_values

#: A JSON object as a statement takes it.
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Decided:
    """A decision's rows."""

    decision: Row
    places: Sequence[Row]
    cancels: Sequence[Row]


@dataclass(frozen=True, slots=True)
class _Answered:
    """The rows of a plan's orders."""

    ownership: Ownership
    outcomes: Sequence[Row]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a statement made of a decision."""

    is_owned: bool
    is_allowed: bool


class PlanWriter:
    """Commits decisions and records outcomes for every shard of a process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._alone = Alone(engine)
        self._decisions = Grouped(self._commit_at_once)
        self._outcomes = Grouped(self._record_at_once)

    async def commit(self, decision: Decision, instrument: Instrument) -> None:
        """Raises `OwnershipLost`, `KillSwitchEngaged` or `StoreUnavailable`."""
        decided = _decided(decision, instrument)
        verdict = await self._decisions(decided)
        if verdict is None:
            (verdict,) = await self._commit([decided], sql.COMMIT_DECISIONS)
        if not verdict.is_owned:
            raise OwnershipLost(f"decision {decision.decision_id}: a newer epoch owns it")
        if not verdict.is_allowed:
            raise KillSwitchEngaged(f"decision {decision.decision_id} places orders")

    async def record(
        self, ownership: Ownership, orders: Iterable[Order], instrument: Instrument
    ) -> None:
        """What became of orders; raises `OwnershipLost` or `StoreUnavailable`."""
        owner: Row = {"shard": ownership.shard, "epoch": ownership.epoch}
        answered = _Answered(
            ownership, [owner | order_values(order, instrument) for order in orders]
        )
        is_recorded = await self._outcomes(answered)
        if not is_recorded:
            (is_recorded,) = await self._record([answered], sql.RECORD_OUTCOMES)
        if not is_recorded:
            raise OwnershipLost(f"shard {ownership.shard}: a newer epoch owns it")

    async def _commit_at_once(self, group: Sequence[_Decided]) -> Sequence[_Verdict | None]:
        """None for a decision that must be tried alone."""
        try:
            verdicts = await self._commit(group, sql.COMMIT_DECISIONS_AT_ONCE)
        except (DBAPIError, StoreUnavailable) as failure:
            if not is_undone(failure):
                raise
            return [None] * len(group)
        return [verdict if verdict.is_owned else None for verdict in verdicts]

    async def _commit(self, group: Sequence[_Decided], statement: TextClause) -> Sequence[_Verdict]:
        values = {
            "decisions": _json(decided.decision for decided in group),
            "places": _json(row for decided in group for row in decided.places),
            "cancels": _json(row for decided in group for row in decided.cancels),
        }
        rows = await self._alone.execute(statement, values)
        verdicts = {row.decision_id: _Verdict(row.is_owned, row.is_allowed) for row in rows}
        return [verdicts[decided.decision["decision_id"]] for decided in group]

    async def _record_at_once(self, group: Sequence[_Answered]) -> Sequence[bool]:
        try:
            return await self._record(group, sql.RECORD_OUTCOMES_AT_ONCE)
        except (DBAPIError, StoreUnavailable) as failure:
            if not is_undone(failure):
                raise
            return [False] * len(group)

    async def _record(self, group: Sequence[_Answered], statement: TextClause) -> Sequence[bool]:
        owners = [answered.ownership for answered in group]
        values = {
            "owners": _json({"shard": owner.shard, "epoch": owner.epoch} for owner in owners),
            "outcomes": _json(row for answered in group for row in answered.outcomes),
        }
        rows = await self._alone.execute(statement, values)
        recorded = {Ownership(row.shard, row.epoch) for row in rows}
        return [owner in recorded for owner in owners]


def _decided(decision: Decision, instrument: Instrument) -> _Decided:
    plan = decision.approved.plan
    book = decision.book
    bid = book.bid_ticks if book else None
    ask = book.ask_ticks if book else None
    name: Row = {"decision_id": decision.decision_id}
    places = [name | _place_values(place, instrument) for place in plan.places]
    cancels: list[Row] = [
        {"client_order_id": cancel.client_order_id, "reason": cancel.reason}
        for cancel in plan.cancels
    ]
    return _Decided(
        name
        | {
            "shard": decision.ownership.shard,
            "epoch": decision.ownership.epoch,
            "sequence": decision.sequence,
            "bid": None if bid is None else instrument.ticks_to_price(bid),
            "ask": None if ask is None else instrument.ticks_to_price(ask),
            "exchange_ms": book.exchange_ms if book else None,
            "causes": decision.causes,
            "cancels": cancels,
            "places": [
                {"client_order_id": place.intent.client_order_id, "reason": place.reason}
                for place in plan.places
            ],
            "refused": [
                {
                    "slot": refusal.place.intent.tag.slot.number,
                    "side": refusal.place.intent.side.value,
                    "rule": refusal.rule,
                    "detail": refusal.detail,
                }
                for refusal in decision.approved.refused
            ],
        },
        places,
        [name | cancel for cancel in cancels],
    )


def _place_values(place: Place, instrument: Instrument) -> dict[str, object]:
    intent = place.intent
    return {
        "client_order_id": intent.client_order_id,
        "ladder_version": intent.tag.slot.version,
        "slot": intent.tag.slot.number,
        "purpose": intent.tag.purpose.name.lower(),
        "side": intent.side.value,
        "generation": intent.tag.generation,
        "price": instrument.ticks_to_price(intent.price_ticks),
        "quantity": instrument.lots_to_quantity(intent.quantity_lots),
        "post_only": intent.post_only,
        "reduce_only": intent.reduce_only,
        "reason": place.reason,
    }


def _json(rows: Iterable[Row]) -> str:
    """An array of them; Decimals as strings, which Postgres reads exactly."""
    return json.dumps(list(rows), default=str)

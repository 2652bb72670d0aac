"""Decisions, the orders they led to, and the trades that filled those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.history.reading import fetch, fetch_one


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order from its intent on."""

    client_order_id: str
    venue_order_id: str | None
    symbol: str
    shard: int
    decision_id: str
    slot: int
    ladder_version: int
    purpose: str
    side: str
    generation: int
    price: Decimal
    quantity: Decimal
    filled: Decimal
    post_only: bool
    #: Why it was decided.
    reason: str
    status: str
    status_reason: str
    cancel_requested: bool
    intended_at: datetime
    updated_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRecord:
    """A trade of the account, keyed by the venue's trade id."""

    account: str
    symbol: str
    trade_id: str
    shard: int
    venue_order_id: str
    client_order_id: str | None
    #: ``own``, ``external`` (a person's) or ``parked``.
    origin: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    traded_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One batch of orders and what it was decided on; its id is also its plan's workflow's."""

    decision_id: str
    symbol: str
    shard: int
    epoch: int
    sequence: int
    bid: Decimal | None
    ask: Decimal | None
    #: Venue time of that book.
    exchange_at: datetime | None
    causes: Sequence[str]
    cancels: Sequence[Mapping[str, Any]]
    places: Sequence[Mapping[str, Any]]
    refused: Sequence[Mapping[str, Any]]
    decided_at: datetime


_ORDER = """
    SELECT o.client_order_id, o.venue_order_id, s.symbol, o.shard, o.decision_id, o.slot,
           o.ladder_version, o.purpose, o.side, o.generation, o.price, o.quantity, o.filled,
           o.post_only, o.reason, o.status, o.status_reason, o.cancel_requested, o.intended_at,
           o.updated_at, o.ended_at
      FROM orders o JOIN shards s USING (shard)
"""

_ORDERS = text(
    _ORDER
    + """
     WHERE (CAST(:symbol AS text) IS NULL OR s.symbol = :symbol)
       AND (NOT :live_only
            OR o.status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled'))
     ORDER BY o.intended_at DESC, o.client_order_id
     LIMIT :limit
"""
)

_ONE_ORDER = text(
    _ORDER
    + """
     WHERE o.client_order_id = :id OR o.venue_order_id = :id
     ORDER BY o.client_order_id = :id DESC, o.intended_at DESC
     LIMIT 1
"""
)

_ORDER_BEFORE = text(
    _ORDER
    + """
     WHERE (o.shard, o.ladder_version, o.slot) = (:shard, :ladder_version, :slot)
       AND o.intended_at < :intended_at
     ORDER BY o.intended_at DESC
     LIMIT 1
"""
)

_FILL = """
    SELECT account, symbol, trade_id, shard, venue_order_id, client_order_id, origin, side, price,
           quantity, fee, fee_asset, is_maker, traded_at, recorded_at
      FROM fills
"""

_FILLS = text(
    _FILL
    + """
     WHERE CAST(:symbol AS text) IS NULL OR symbol = :symbol
     ORDER BY traded_at DESC, trade_id DESC
     LIMIT :limit
"""
)

_FILLS_OF = text(_FILL + " WHERE client_order_id = :client_order_id ORDER BY traded_at, trade_id")

_DECISION = """
    SELECT d.decision_id, s.symbol, d.shard, d.epoch, d.sequence, d.bid, d.ask,
           to_timestamp(d.exchange_ms / 1000.0) AS exchange_at,
           d.causes, d.cancels, d.places, d.refused, d.decided_at
      FROM decisions d JOIN shards s USING (shard)
"""

_DECISIONS = text(
    _DECISION
    + """
     WHERE (CAST(:symbol AS text) IS NULL OR s.symbol = :symbol)
       AND (CAST(:since AS timestamptz) IS NULL OR d.decided_at >= :since)
     ORDER BY d.decided_at DESC
     LIMIT :limit
"""
)

_ONE_DECISION = text(_DECISION + " WHERE d.decision_id = :decision_id")

_CANCELLING = text(
    _DECISION
    + """
     WHERE d.shard = :shard AND d.decided_at >= :since
       AND d.cancels @> jsonb_build_array(
               jsonb_build_object('client_order_id', CAST(:client_order_id AS text)))
     ORDER BY d.decided_at
"""
)


async def orders(
    engine: AsyncEngine, symbol: str | None = None, *, live_only: bool = True, limit: int = 100
) -> tuple[OrderRecord, ...]:
    """Orders, the newest first."""
    return await fetch(
        engine, OrderRecord, _ORDERS, symbol=symbol, live_only=live_only, limit=limit
    )


async def order(engine: AsyncEngine, order_id: str) -> OrderRecord | None:
    """The order with that client id, or else with that id at the venue."""
    return await fetch_one(engine, OrderRecord, _ONE_ORDER, id=order_id)


async def order_before(engine: AsyncEngine, later: OrderRecord) -> OrderRecord | None:
    """The order its slot had before, on either side."""
    return await fetch_one(
        engine,
        OrderRecord,
        _ORDER_BEFORE,
        shard=later.shard,
        ladder_version=later.ladder_version,
        slot=later.slot,
        intended_at=later.intended_at,
    )


async def fills(
    engine: AsyncEngine, symbol: str | None = None, *, limit: int = 100
) -> tuple[FillRecord, ...]:
    """Trades, the newest first."""
    return await fetch(engine, FillRecord, _FILLS, symbol=symbol, limit=limit)


async def fills_of(engine: AsyncEngine, client_order_id: str) -> tuple[FillRecord, ...]:
    """The trades of one order, the oldest first."""
    return await fetch(engine, FillRecord, _FILLS_OF, client_order_id=client_order_id)


async def decisions(
    engine: AsyncEngine,
    symbol: str | None = None,
    *,
    since: datetime | None = None,
    limit: int = 100,
) -> tuple[DecisionRecord, ...]:
    """Decisions, the newest first."""
    return await fetch(engine, DecisionRecord, _DECISIONS, symbol=symbol, since=since, limit=limit)


async def decision(engine: AsyncEngine, decision_id: str) -> DecisionRecord | None:
    return await fetch_one(engine, DecisionRecord, _ONE_DECISION, decision_id=decision_id)


async def decisions_cancelling(
    engine: AsyncEngine, cancelled: OrderRecord
) -> tuple[DecisionRecord, ...]:
    """The decisions that asked for an order's cancel, the oldest first."""
    return await fetch(
        engine,
        DecisionRecord,
        _CANCELLING,
        shard=cancelled.shard,
        since=cancelled.intended_at,
        client_order_id=cancelled.client_order_id,
    )

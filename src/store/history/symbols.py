"""The registry as it is now, and what reconciliation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.history.reading import fetch, fetch_one


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRecord:
    """A symbol as it was added, as it is wanted and as it is."""

    shard: int
    account: str
    symbol: str
    base: str
    quote: str
    desired: str
    status: str
    reason: str
    spec: Mapping[str, Any]
    spec_version: int
    #: Where the grid is in its life: waiting, running, closing or ended.
    stage: str
    start_price: Decimal
    #: Of the ladder that takes entries now: version, price of level 0 and spacing.
    ladder_version: int
    anchor: Decimal
    spacing: Mapping[str, Any]
    epoch: int
    #: Name of the node that runs it; `None` while none does.
    node: str | None
    live_orders: int
    #: Own trades so far.
    fills: int
    #: Base held by its slots, and what it cost in quote.
    inventory: Decimal
    cost: Decimal
    pairs: int
    grid_profit: Decimal
    last_decision_at: datetime | None
    bid: Decimal | None
    ask: Decimal | None
    requested_by: str
    #: The trading rules in force, as the venue published them.
    rules_version: int
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    created_at: datetime
    updated_at: datetime
    reconciled_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRecord:
    """Something reconciliation did not expect."""

    finding: int
    shard: int
    symbol: str
    kind: str
    subject: str
    detail: Mapping[str, Any]
    found_at: datetime


_SYMBOLS = text("""
    SELECT s.shard, s.account, s.symbol, i.base, i.quote, s.desired, s.status,
           s.status_reason AS reason, s.spec, s.spec_version, s.phase ->> 'stage' AS stage,
           s.start_price, s.ladder_version, l.anchor, l.spacing, s.epoch, n.name AS node,
           (SELECT count(*) FROM orders
             WHERE orders.shard = s.shard
               AND status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled')
           ) AS live_orders,
           (SELECT count(*) FROM fills WHERE fills.shard = s.shard AND origin = 'own') AS fills,
           held.inventory, held.cost, closed.pairs, closed.grid_profit,
           d.decided_at AS last_decision_at, d.bid, d.ask,
           i.version AS rules_version, i.tick_size, i.lot_size, i.min_quantity, i.min_notional,
           i.maker_fee, i.taker_fee,
           s.requested_by, s.created_at, s.updated_at, s.reconciled_at, s.ended_at
      FROM shards s
      JOIN instruments i
        ON (i.account, i.symbol, i.version) = (s.account, s.symbol, s.instrument_version)
      JOIN ladders l ON (l.shard, l.version) = (s.shard, s.ladder_version)
      LEFT JOIN nodes n ON n.executor_id = s.owner
      CROSS JOIN LATERAL (
          SELECT coalesce(sum(inventory), 0) AS inventory, coalesce(sum(cost), 0) AS cost
            FROM slots WHERE slots.shard = s.shard) held
      CROSS JOIN LATERAL (
          SELECT count(*) AS pairs, coalesce(sum(profit), 0) AS grid_profit
            FROM pairs WHERE pairs.shard = s.shard) closed
      LEFT JOIN LATERAL (
          SELECT decided_at, bid, ask FROM decisions
           WHERE decisions.shard = s.shard ORDER BY decided_at DESC LIMIT 1) d ON true
     WHERE (CAST(:symbol AS text) IS NULL OR s.symbol = :symbol)
       AND (:include_removed OR s.status <> 'removed')
     ORDER BY s.status = 'removed', s.symbol, s.shard DESC
""")

_FINDINGS = text("""
    SELECT f.finding, f.shard, s.symbol, f.kind, f.subject, f.detail, f.found_at
      FROM findings f JOIN shards s USING (shard)
     WHERE CAST(:symbol AS text) IS NULL OR s.symbol = :symbol
     ORDER BY f.finding DESC
     LIMIT :limit
""")


async def symbols(
    engine: AsyncEngine, *, include_removed: bool = False
) -> tuple[SymbolRecord, ...]:
    """The active symbols by name, then the removed ones if asked for."""
    return await fetch(engine, SymbolRecord, _SYMBOLS, symbol=None, include_removed=include_removed)


async def symbol(engine: AsyncEngine, name: str) -> SymbolRecord | None:
    """The active symbol of that name, or else the one removed last."""
    return await fetch_one(engine, SymbolRecord, _SYMBOLS, symbol=name, include_removed=True)


async def findings(
    engine: AsyncEngine, symbol: str | None = None, *, limit: int = 100
) -> tuple[FindingRecord, ...]:
    """What reconciliation found, the newest first."""
    return await fetch(engine, FindingRecord, _FINDINGS, symbol=symbol, limit=limit)

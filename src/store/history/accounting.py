"""Inventory and profit, summed up by Postgres in exact `NUMERIC`s."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.history.reading import fetch


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """A slot that holds inventory or is in the middle of a round trip."""

    ladder_version: int
    slot: int
    inventory: Decimal
    cost: Decimal
    average_price: Decimal | None
    #: The part of the inventory that is less than a lot.
    dust: Decimal
    #: Base closed and quote brought in the open round.
    closed: Decimal
    proceeds: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRecord:
    """What a symbol's slots hold."""

    shard: int
    account: str
    symbol: str
    base: str
    quote: str
    status: str
    inventory: Decimal
    #: Quote paid for it, quote fees included.
    cost: Decimal
    average_price: Decimal | None
    dust: Decimal
    slots: tuple[SlotRecord, ...]
    reconciled_at: datetime | None
    #: Of a contract what the venue showed at the last comparison; else `None`.
    venue_quantity: Decimal | None = None
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    #: `None` as well where no price would end the position.
    liquidation_price: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitRecord:
    """What a grid has earned, in quote, after fees in base and quote.

    Fees in a third asset are part of `fees` only.
    """

    shard: int
    account: str
    symbol: str
    base: str
    quote: str
    status: str
    pairs: int
    #: Matched pairs.
    grid: Decimal
    #: Brought by round trips that have not ended, less what that part had cost.
    unpaired: Decimal
    #: Inventory at the mark, less its cost; `None` while no price is known.
    floating: Decimal | None
    #: Of a contract: what its position got, or paid where it is negative.
    funding: Decimal
    total: Decimal | None
    #: Fees paid, by asset.
    fees: Mapping[str, Decimal]
    inventory: Decimal
    cost: Decimal
    mark: Decimal | None
    #: When that price was seen; `None` if the caller gave it.
    mark_at: datetime | None


_POSITIONS = text("""
    SELECT s.shard, s.account, s.symbol, i.base, i.quote, s.status,
           held.inventory, held.cost, round(held.cost / nullif(held.inventory, 0), 8)
               AS average_price,
           held.dust, held.slots, s.reconciled_at, p.quantity AS venue_quantity,
           p.entry_price, p.mark_price, p.liquidation_price, p.initial_margin,
           p.maintenance_margin
      FROM shards s
      JOIN instruments i
        ON (i.account, i.symbol, i.version) = (s.account, s.symbol, s.instrument_version)
      LEFT JOIN positions p ON p.shard = s.shard
      CROSS JOIN LATERAL (
          SELECT coalesce(sum(inventory), 0) AS inventory, coalesce(sum(cost), 0) AS cost,
                 coalesce(sum(mod(inventory, i.lot_size)), 0) AS dust,
                 coalesce(jsonb_agg(jsonb_build_object(
                     'ladder_version', ladder_version, 'slot', slot,
                     'inventory', CAST(inventory AS text), 'cost', CAST(cost AS text),
                     'average_price',
                     CAST(round(cost / nullif(inventory, 0), 8) AS text),
                     'dust', CAST(mod(inventory, i.lot_size) AS text),
                     'closed', CAST(closed AS text), 'proceeds', CAST(proceeds AS text))
                     ORDER BY ladder_version, slot), '[]') AS slots
            FROM slots
           WHERE slots.shard = s.shard AND (inventory <> 0 OR closed <> 0)) held
     WHERE (CAST(:symbol AS text) IS NULL OR s.symbol = :symbol)
       AND (s.status <> 'removed' OR held.inventory <> 0)
     ORDER BY s.symbol, s.shard
""")

#: The mark is the given price, else the middle of the last decision's book, else the last fill's.
_PROFITS = text("""
    SELECT s.shard, s.account, s.symbol, i.base, i.quote, s.status,
           closed.pairs, closed.grid, held.unpaired,
           held.inventory * mark.price - held.cost AS floating, moved.funding,
           closed.grid + held.unpaired + held.inventory * mark.price - held.cost + moved.funding
               AS total,
           paid.fees, held.inventory, held.cost, mark.price AS mark, mark.at AS mark_at
      FROM shards s
      JOIN instruments i
        ON (i.account, i.symbol, i.version) = (s.account, s.symbol, s.instrument_version)
      CROSS JOIN LATERAL (
          SELECT count(*) AS pairs, coalesce(sum(profit), 0) AS grid
            FROM pairs WHERE pairs.shard = s.shard) closed
      CROSS JOIN LATERAL (
          SELECT coalesce(sum(inventory), 0) AS inventory, coalesce(sum(cost), 0) AS cost,
                 coalesce(sum(proceeds - closed_cost), 0) AS unpaired
            FROM slots WHERE slots.shard = s.shard) held
      CROSS JOIN LATERAL (
          SELECT coalesce(sum(amount), 0) AS funding FROM ledger
           WHERE ledger.account = s.account AND ledger.symbol = s.symbol AND kind = 'funding'
             AND booked_at >= s.created_at AND booked_at < coalesce((
                 SELECT min(created_at) FROM shards later
                  WHERE later.symbol_key = s.symbol_key AND later.shard > s.shard), 'infinity')
          ) moved
      CROSS JOIN LATERAL (
          SELECT coalesce(jsonb_object_agg(fee_asset, CAST(fee AS text)), '{}') AS fees
            FROM (SELECT fee_asset, sum(fee) AS fee FROM fills
                   WHERE fills.shard = s.shard AND origin = 'own'
                   GROUP BY fee_asset) by_asset) paid
      LEFT JOIN LATERAL (
          SELECT decided_at, coalesce((bid + ask) / 2, bid, ask) AS price FROM decisions
           WHERE decisions.shard = s.shard AND coalesce(bid, ask) IS NOT NULL
           ORDER BY decided_at DESC LIMIT 1) decided ON true
      LEFT JOIN LATERAL (
          SELECT traded_at, price FROM fills
           WHERE fills.shard = s.shard ORDER BY traded_at DESC LIMIT 1) traded ON true
      CROSS JOIN LATERAL (
          SELECT CAST(CAST(:marks AS jsonb) ->> s.symbol AS numeric) AS price) given
      CROSS JOIN LATERAL (
          SELECT coalesce(given.price, decided.price, traded.price) AS price,
                 CASE WHEN given.price IS NULL
                      THEN coalesce(decided.decided_at, traded.traded_at) END AS at) mark
     WHERE CAST(:symbol AS text) IS NULL OR s.symbol = :symbol
     ORDER BY s.symbol, s.shard
""")


async def positions(engine: AsyncEngine, symbol: str | None = None) -> tuple[PositionRecord, ...]:
    """The inventory of each symbol, also of removed ones that still hold some."""
    return await fetch(engine, _position, _POSITIONS, symbol=symbol)


async def profits(
    engine: AsyncEngine,
    symbol: str | None = None,
    *,
    marks: Mapping[str, Decimal] | None = None,
) -> tuple[ProfitRecord, ...]:
    """The profit of each symbol ever added.

    Parameters
    ----------
    marks : mapping of symbol to price, optional
        Present prices. Where none is given the mark is the middle of the book that the symbol's
        last decision saw, or else the price of its last fill.
    """
    given = {name: str(price) for name, price in (marks or {}).items()}
    return await fetch(engine, _profit, _PROFITS, symbol=symbol, marks=json.dumps(given))


def _position(*, slots: list[dict[str, Any]], **columns: Any) -> PositionRecord:
    return PositionRecord(slots=tuple(_slot(**slot) for slot in slots), **columns)


def _slot(*, ladder_version: int, slot: int, **amounts: str | None) -> SlotRecord:
    exact: dict[str, Any] = {
        name: None if amount is None else Decimal(amount) for name, amount in amounts.items()
    }
    return SlotRecord(ladder_version=ladder_version, slot=slot, **exact)


def _profit(*, fees: dict[str, str], **columns: Any) -> ProfitRecord:
    return ProfitRecord(fees={asset: Decimal(fee) for asset, fee in fees.items()}, **columns)

"""The rows of a run as the auditor reads them from Postgres."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from audit import database as audited
from domain.contracts import IncomeKind
from domain.instrument import Instrument
from simulation.clock import EPOCH_MS
from simulation.tables import ShardRow, Tables


def snapshot(tables: Tables) -> audited.Database:
    opened_ms = EPOCH_MS + 1 + min((row.created_ms for row in tables.shards.values()), default=0)
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for (_, _, _, asset, _), amount in tables.ledger.items():
        booked[asset] += amount
    funding: dict[str, Decimal] = defaultdict(Decimal)
    for (_, symbol, _, _, kind), amount in tables.ledger.items():
        if kind == IncomeKind.FUNDING:
            funding[audited.exchange_symbol(symbol)] += amount
    return audited.Database(
        nonce=tables.nonce,
        is_killed=tables.is_killed,
        shards=tuple(_shard(row) for row in tables.shards.values()),
        ladders=tuple(_ladders(tables)),
        intents=tuple(_intents(tables)),
        fills=tuple(_fills(tables)),
        slots=tuple(_slots(tables)),
        pairs=tuple(_pairs(tables)),
        openings=tuple(
            audited.Opening(
                asset=asset,
                amount=opening.amount,
                recorded_ms=opened_ms,
                income_ms=opening.income_ms,
            )
            for asset, opening in tables.openings.items()
        ),
        booked=booked,
        funding=funding,
        workflows={},
    )


def _shard(row: ShardRow) -> audited.Shard:
    return audited.Shard(
        shard=row.shard,
        symbol=audited.exchange_symbol(row.symbol),
        base=row.instrument.base,
        quote=row.instrument.quote,
        desired=row.desired.value,
        status=row.status.value,
        status_reason=row.reason,
        stage=row.phase.stage.value,
        created_ms=EPOCH_MS + row.created_ms,
        ended_ms=None if row.ended_ms is None else EPOCH_MS + row.ended_ms,
    )


def _ladders(tables: Tables) -> list[audited.Ladder]:
    return [
        audited.Ladder(
            shard=shard,
            version=row.ladder.version,
            anchor=row.ladder.anchor,
            spacing=row.ladder.spacing.model_dump(mode="json"),
            tick_sizes=tuple(each.tick_size for each in _rules_of(tables, tables.shards[shard])),
            made_ms=EPOCH_MS + row.made_ms,
        )
        for (shard, _), row in tables.ladders.items()
    ]


def _rules_of(tables: Tables, row: ShardRow) -> list[Instrument]:
    """All versions that the symbol has had."""
    return [
        instrument
        for (account, symbol, _), instrument in tables.instruments.items()
        if (account, symbol) == (row.account, row.symbol)
    ]


def _intents(tables: Tables) -> list[audited.Intent]:
    intents = []
    for name, row in tables.orders.items():
        tag, instrument = row.intent.tag, row.made_under
        intents.append(
            audited.Intent(
                client_order_id=name,
                shard=tag.shard,
                ladder_version=tag.slot.version,
                slot=tag.slot.number,
                purpose=tag.purpose.name.lower(),
                side=tag.side.value,
                generation=tag.generation,
                price=instrument.ticks_to_price(row.intent.price_ticks),
                quantity=instrument.lots_to_quantity(row.intent.quantity_lots),
                reduce_only=row.intent.reduce_only,
                status=row.order.status.value,
                filled=instrument.lots_to_quantity(row.order.filled_lots),
                lot_size=instrument.lot_size,
                committed_ms=EPOCH_MS + row.committed_ms,
            )
        )
    return intents


def _fills(tables: Tables) -> list[audited.Fill]:
    return [
        audited.Fill(
            symbol=audited.exchange_symbol(row.fill.trade.symbol),
            trade_id=row.fill.trade.trade_id,
            shard=row.shard,
            venue_order_id=row.fill.trade.venue_order_id,
            client_order_id=row.fill.client_order_id,
            origin=row.fill.origin.value,
            side=row.fill.trade.side.value,
            price=row.fill.trade.price,
            quantity=row.fill.trade.quantity,
            fee=row.fill.trade.fee,
            fee_asset=row.fill.trade.fee_asset,
            realised=row.fill.trade.realised,
        )
        for row in tables.fills.values()
    ]


def _slots(tables: Tables) -> list[audited.Slot]:
    slots = []
    for (shard, slot_id), slot in tables.slots.items():
        instrument = tables.shards[shard].instrument
        slots.append(
            audited.Slot(
                shard=shard,
                ladder_version=slot_id.version,
                slot=slot_id.number,
                inventory=instrument.units_to_base(slot.inventory_units),
                cost=instrument.units_to_quote(slot.cost_units),
                closed_cost=instrument.units_to_quote(slot.closed_cost_units),
                proceeds=instrument.units_to_quote(slot.proceeds_units),
            )
        )
    return slots


def _pairs(tables: Tables) -> list[audited.Pair]:
    pairs = []
    for number, row in enumerate(tables.pairs.values()):
        pair, instrument = row.pair, tables.shards[row.shard].instrument
        pairs.append(
            audited.Pair(
                pair=number,
                shard=row.shard,
                ladder_version=pair.slot.version,
                slot=pair.slot.number,
                cost=instrument.units_to_quote(pair.cost_units),
                proceeds=instrument.units_to_quote(pair.proceeds_units),
                profit=instrument.units_to_quote(pair.profit_units),
            )
        )
    return pairs

"""Judges a run from the venue's ledger and the database's rows.

The auditor's own invariants are fed from memory. Beside them here are those that need to know the
run: what a kill may leave behind, and that the shard came to rest where its grid wants it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from audit import database as audited
from audit.exchange import LedgerFold
from audit.invariants import Evidence, check_all
from domain.market import Quote
from domain.orders import OrderStatus
from grid.grid import Grid
from ports.store import Claim, Desired, Ownership, Status
from simulation.clock import EPOCH_MS
from simulation.database import Database, ShardRow
from simulation.venue import SimulatedVenue, accepted_orders
from symbol_manager.decide import Permissions, decide, limits_of, to_book
from symbol_manager.state import ShardState

_DOUBTFUL = frozenset({OrderStatus.INTENDED, OrderStatus.SENT, OrderStatus.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """While the kill switch was engaged, in ms since boot."""

    engaged_ms: int
    rearmed_ms: int | None
    #: How long after it an order may still be accepted.
    allowed_ms: int

    def forbids(self, at_ms: int) -> bool:
        until_ms = self.rearmed_ms
        return at_ms > self.engaged_ms + self.allowed_ms and (until_ms is None or at_ms < until_ms)


def audit(database: Database, venue: SimulatedVenue) -> list[str]:
    """I1, I2, I3, I4, I7 and I8, as `gridkeeper audit` checks them.

    But for its rule of thumb that a running symbol has a live order: a grid whose budget is spent
    has none, and `check_rest` knows what is wanted exactly.
    """
    fold = LedgerFold()
    fold.add(venue.ledger)
    results = check_all(Evidence(fold.snapshot(), _snapshot(database)))
    return [
        f"{violation.invariant} {violation}"
        for result in results
        for violation in result.violations
        if not violation.subject.startswith("orders of")
    ]


def check_kills(kills: Sequence[Kill], ledger: Sequence[Mapping[str, Any]]) -> list[str]:
    """I6: nothing is accepted once a kill had its time to get through."""
    return [
        f"I6 order {record['client_order_id']}: accepted at {at_ms} ms, killed at {kill.engaged_ms}"
        for record in accepted_orders(ledger)
        for kill in kills
        if kill.forbids(at_ms := record["written_ms"] - EPOCH_MS)
    ]


def check_rest(database: Database, venue: SimulatedVenue, orders_per_minute: int) -> list[str]:
    """I7: what rests is what is wanted, nothing is in doubt, and no order is a stranger's."""
    violations = []
    for row in database.shards.values():
        violations += _check_status(row, database)
        stored = {
            name: order.order
            for name, order in database.orders.items()
            if order.intent.tag.shard == row.shard and order.order.is_live
        }
        violations += [
            f"I7 order {name}: still {order.status.value}"
            for name, order in stored.items()
            if order.status in _DOUBTFUL
        ]
        resting = {report.client_order_id for report in venue.open_orders()}
        if resting != set(stored):
            violations.append(f"I7 resting {sorted(resting)}, known {sorted(stored)}")
        violations += _check_wanted(row, database, venue.quote, orders_per_minute)
        if row.status in {Status.REMOVED, Status.STOPPED} and resting:
            violations.append(f"I7 {row.status.value}, but {sorted(resting)} rest")
    return violations


def _check_status(row: ShardRow, database: Database) -> list[str]:
    expected = {
        Desired.RUNNING: Status.RUNNING,
        Desired.PAUSED: Status.PAUSED,
        Desired.REMOVED: Status.REMOVED,
    }[row.desired]
    if database.is_killed and expected is not Status.REMOVED:
        expected = Status.STOPPED
    if row.status is expected and not row.reason:
        return []
    if row.status is Status.STOPPED is expected:
        return []
    return [f"I7 status: {row.status.value} ({row.reason}), wanted {expected.value}"]


def _check_wanted(
    row: ShardRow, database: Database, quote: Quote, orders_per_minute: int
) -> list[str]:
    """A decision from the stored rows alone, with nothing remembered, has nothing to do."""
    claim = _claim_of(row, database)
    grid = Grid.of(claim.spec, claim.instrument, claim.anchor, claim.ladder_version)
    state = ShardState(claim, grid, database.load(claim))
    wanted = row.desired is not Desired.REMOVED and not database.is_killed
    approved = decide(
        state,
        to_book(quote, claim.instrument),
        limits_of(state, orders_per_minute),
        permissions=Permissions(
            orders=wanted, entries=wanted and row.desired is Desired.RUNNING, placing=True
        ),
        waiting=(),
        sent_last_minute=0,
        new_id=lambda tag: state.claim.key,  # type: ignore[arg-type,return-value]  # never sent
    )
    return [f"I7 the grid wants {approved.plan}"] if approved.plan else []


def _claim_of(row: ShardRow, database: Database) -> Claim:
    return Claim(
        ownership=Ownership(row.shard, row.epoch),
        key=row.key,
        account=row.account,
        symbol=row.symbol,
        spec=row.spec,
        anchor=row.anchor,
        ladder_version=row.ladder_version,
        instrument=row.instrument,
        nonce=database.nonce,
        reconciled_trade_id=row.reconciled_trade_id,
    )


def _snapshot(database: Database) -> audited.Database:
    """The rows as the auditor reads them from Postgres."""
    opened_ms = EPOCH_MS + 1 + min(row.created_ms for row in database.shards.values())
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for (_, _, _, asset, _), amount in database.ledger.items():
        booked[asset] += amount
    return audited.Database(
        nonce=database.nonce,
        is_killed=database.is_killed,
        shards=tuple(_shard(row) for row in database.shards.values()),
        intents=tuple(_intents(database)),
        fills=tuple(_fills(database)),
        slots=tuple(_slots(database)),
        pairs=tuple(_pairs(database)),
        openings=tuple(
            audited.Opening(asset=asset, amount=amount, recorded_ms=opened_ms)
            for asset, amount in database.openings.items()
        ),
        booked=booked,
        workflows={},
    )


def _shard(row: ShardRow) -> audited.Shard:
    return audited.Shard(
        shard=row.shard,
        symbol=audited.exchange_symbol(row.symbol),
        base=row.instrument.base,
        quote=row.instrument.quote,
        spacing=row.spec.model_dump(mode="json")["spacing"],
        desired=row.desired.value,
        status=row.status.value,
        status_reason=row.reason,
        anchor=row.anchor,
        ladder_version=row.ladder_version,
        tick_sizes=(row.instrument.tick_size,),
        created_ms=EPOCH_MS + row.created_ms,
        ended_ms=None if row.ended_ms is None else EPOCH_MS + row.ended_ms,
    )


def _intents(database: Database) -> list[audited.Intent]:
    intents = []
    for name, row in database.orders.items():
        tag, instrument = row.intent.tag, database.shards[row.intent.tag.shard].instrument
        intents.append(
            audited.Intent(
                client_order_id=name,
                shard=tag.shard,
                ladder_version=tag.ladder_version,
                slot=tag.slot,
                purpose=tag.purpose.name.lower(),
                side=tag.side.value,
                generation=tag.generation,
                price=instrument.ticks_to_price(row.intent.price_ticks),
                quantity=instrument.lots_to_quantity(row.intent.quantity_lots),
                status=row.order.status.value,
                filled=instrument.lots_to_quantity(row.order.filled_lots),
                committed_ms=EPOCH_MS + row.committed_ms,
            )
        )
    return intents


def _fills(database: Database) -> list[audited.Fill]:
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
        )
        for row in database.fills.values()
    ]


def _slots(database: Database) -> list[audited.Slot]:
    slots = []
    for (shard, version, index), slot in database.slots.items():
        instrument = database.shards[shard].instrument
        slots.append(
            audited.Slot(
                shard=shard,
                ladder_version=version,
                slot=index,
                inventory=instrument.units_to_base(slot.inventory_units),
                cost=instrument.units_to_quote(slot.cost_units),
                sold_cost=instrument.units_to_quote(slot.sold_cost_units),
                proceeds=instrument.units_to_quote(slot.proceeds_units),
            )
        )
    return slots


def _pairs(database: Database) -> list[audited.Pair]:
    pairs = []
    for number, row in enumerate(database.pairs.values()):
        pair, instrument = row.pair, database.shards[row.shard].instrument
        pairs.append(
            audited.Pair(
                pair=number,
                shard=row.shard,
                ladder_version=pair.ladder_version,
                slot=pair.slot,
                cost=instrument.units_to_quote(pair.cost_units),
                proceeds=instrument.units_to_quote(pair.proceeds_units),
                profit=instrument.units_to_quote(pair.profit_units),
            )
        )
    return pairs

"""The transactions of a shard: implements `ports.store.ShardStore` on Postgres."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import InvariantViolation, OwnershipLost
from domain.ids import ClientOrderId, SymbolKey, VenueOrderId
from domain.instrument import Instrument
from domain.orders import Order
from domain.plans import CommittedPlan
from grid.spec import GridSpec
from ports.store import Changes, Claim, ClosedPair, Decision, Held, Loaded, Ownership, Status
from store import statements as sql
from store.engine import transaction
from store.plans import PlanWriter
from store.rows import (
    AnyRow,
    fill_values,
    instrument_of,
    instrument_values,
    ladder_of,
    ladder_values,
    ledger_values,
    moment,
    order_of,
    order_values,
    phase_document,
    phase_of,
    position_values,
    slot_of,
    slot_values,
    trade_of,
)

#: Recorded trades held in memory to recognise duplicates without asking Postgres.
REMEMBERED_TRADES = 10_000


class Repository:
    """Implements `ports.store.ShardStore` for one executor."""

    def __init__(self, engine: AsyncEngine, executor_id: str) -> None:
        self._engine = engine
        self._plans = PlanWriter(engine)
        self._executor_id = executor_id

    async def claim(self, shard: int, workflow_id: str) -> Claim:
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                sql.CLAIM,
                {"shard": shard, "executor": self._executor_id, "workflow_id": workflow_id},
            )
            row = found.one_or_none()
            if row is None:
                raise OwnershipLost(f"shard {shard} is removed or run by another node")
            return await claim_of(connection, row)

    async def load(self, claim: Claim) -> Loaded:
        async with transaction(self._engine) as connection:
            loaded = await load_shard(connection, claim)
            await _refuse_stale(connection, claim.ownership)
            return loaded

    async def find_order(
        self, claim: Claim, order_id: ClientOrderId | VenueOrderId
    ) -> tuple[Order, Decimal] | None:
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                sql.ONE_ORDER,
                {"shard": claim.ownership.shard, "order_id": order_id},
            )
            row = found.one_or_none()
            await _refuse_stale(connection, claim.ownership)
            return None if row is None else (await _order(connection, row, claim), row.settled)

    async def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        await self._plans.commit(decision, instrument)
        return CommittedPlan(
            decision_id=decision.decision_id,
            shard=decision.ownership.shard,
            epoch=decision.ownership.epoch,
            plan=decision.approved.plan,
        )

    async def own_trade_ids(self, client_order_id: ClientOrderId) -> frozenset[str]:
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                sql.OWN_TRADE_IDS, {"client_order_id": client_order_id}
            )
            return frozenset(found.scalars())

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        shard = ownership.shard
        if changes == Changes(orders=changes.orders):
            await self._plans.record(ownership, changes.orders.values(), instrument)
            return
        async with self._owned(ownership, changes.spec_version) as connection:
            await _record_fills(connection, shard, instrument, changes)
            # After the fills: whether an order is settled is read from them.
            # Ended ones first: they make room for others on their slot and side.
            orders = sorted(changes.orders.values(), key=lambda order: order.is_live)
            if orders:
                values = [order_values(order, instrument) for order in orders]
                await connection.execute(sql.UPDATE_ORDER, values)
            if changes.slots:
                slots = [slot_values(slot, shard, instrument) for slot in changes.slots.values()]
                await connection.execute(sql.RECORD_SLOT, slots)
            for closed in changes.pairs:
                await connection.execute(sql.RECORD_PAIR, pair_values(closed, shard, instrument))
            for finding in changes.findings:
                await connection.execute(
                    sql.RECORD_FINDING,
                    {
                        "shard": shard,
                        "kind": finding.kind,
                        "subject": finding.subject,
                        "detail": json.dumps(dict(finding.detail)),
                    },
                )
            await _record_terms(connection, shard, changes)

    async def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        async with transaction(self._engine) as connection:
            changed = await connection.execute(
                sql.SET_STATUS,
                {
                    "shard": ownership.shard,
                    "epoch": ownership.epoch,
                    "status": status.value,
                    "reason": reason,
                },
            )
            if changed.one_or_none() is None:
                raise OwnershipLost(
                    f"shard {ownership.shard}: a newer epoch owns it, or it is not to be removed"
                )

    async def held_inventory(self, account: str, base: str) -> Decimal:
        async with transaction(self._engine) as connection:
            held = await connection.execute(sql.HELD_INVENTORY, {"account": account, "base": base})
            return Decimal(held.scalar_one())

    async def held_position(self, account: str, symbol: str) -> Held:
        async with transaction(self._engine) as connection:
            found = await connection.execute(
                sql.HELD_POSITION, {"account": account, "symbol": symbol}
            )
            row = found.one()
            return Held(Decimal(row.slots), Decimal(row.others))

    @asynccontextmanager
    async def _owned(
        self, ownership: Ownership, spec_version: int | None
    ) -> AsyncIterator[AsyncConnection]:
        async with transaction(self._engine) as connection:
            locked = await connection.execute(
                sql.LOCK_OWNED,
                {
                    "shard": ownership.shard,
                    "epoch": ownership.epoch,
                    "spec_version": spec_version,
                },
            )
            if locked.one_or_none() is None:
                raise OwnershipLost(f"shard {ownership.shard}: a newer epoch or spec owns it")
            yield connection


async def _refuse_stale(connection: AsyncConnection, ownership: Ownership) -> None:
    """After a reading: an epoch that still holds proves that no successor wrote any of it."""
    found = await connection.execute(
        sql.IS_OWNED, {"shard": ownership.shard, "epoch": ownership.epoch}
    )
    if not found.scalar_one():
        raise OwnershipLost(f"shard {ownership.shard}: a newer epoch owns it")


async def claim_of(connection: AsyncConnection, row: AnyRow) -> Claim:
    """What a row of `shards` says, with what it refers to."""
    rules = await _rules(connection, row.account, row.symbol, row.instrument_version)
    ladders = await connection.execute(
        sql.LADDERS, {"shard": row.shard, "current": row.ladder_version}
    )
    return Claim(
        ownership=Ownership(row.shard, row.epoch),
        key=SymbolKey(row.symbol_key),
        account=row.account,
        symbol=row.symbol,
        spec=GridSpec.model_validate(row.spec),
        spec_version=row.spec_version,
        ladders=tuple(ladder_of(ladder) for ladder in ladders),
        start_price=row.start_price,
        phase=phase_of(row.phase),
        instrument=rules,
        nonce=row.nonce,
        reconciled_trade_id=row.reconciled_trade_id,
    )


async def load_shard(connection: AsyncConnection, claim: Claim) -> Loaded:
    """What Postgres knows of a shard."""
    shard = {"shard": claim.ownership.shard}
    rows = await connection.execute(sql.SLOTS, shard)
    slots = [slot_of(row, claim.instrument) for row in rows]
    paired = await connection.execute(sql.PAIRED, shard)
    orders = (await connection.execute(sql.UNFINISHED_ORDERS, shard)).all()
    parked = await connection.execute(sql.PARKED_FILLS, shard)
    trade_ids = await connection.execute(
        sql.NEWEST_TRADE_IDS,
        {"account": claim.account, "symbol": claim.symbol, "at_most": REMEMBERED_TRADES},
    )
    return Loaded(
        slots={slot.id: slot for slot in slots},
        paired_units=claim.instrument.quote_to_units(paired.scalar_one()),
        orders=[await _order(connection, row, claim) for row in orders],
        settled={ClientOrderId(row.client_order_id): row.settled for row in orders},
        parked=[trade_of(row) for row in parked],
        trade_ids=frozenset(row.trade_id for row in trade_ids),
    )


async def _record_fills(
    connection: AsyncConnection, shard: int, instrument: Instrument, changes: Changes
) -> None:
    """Many at once: a list of values goes to the server in one pipeline."""
    fills = changes.fills.values()
    if not fills:
        return
    values = [fill_values(fill, instrument.account, shard) for fill in fills]
    recorded = await connection.execute(sql.RECORD_FILL, values)
    if recorded.rowcount != len(values):
        raise InvariantViolation(f"trades {', '.join(changes.fills)}: one is already recorded")
    await connection.execute(
        sql.RECORD_LEDGER,
        [entry for fill in fills for entry in ledger_values(fill.trade, instrument)],
    )


async def _record_terms(connection: AsyncConnection, shard: int, changes: Changes) -> None:
    """What the shard trades by from now on."""
    if changes.ladder:
        await connection.execute(sql.RECORD_LADDER, ladder_values(changes.ladder, shard))
    if changes.instrument:
        await connection.execute(
            sql.RECORD_RULES, instrument_values(changes.instrument) | {"shard": shard}
        )
    if changes.phase:
        await connection.execute(
            sql.RECORD_PHASE, {"shard": shard, "phase": phase_document(changes.phase)}
        )
    if changes.position:
        await connection.execute(sql.RECORD_POSITION, position_values(changes.position, shard))
    if changes.is_reconciled:
        await connection.execute(
            sql.MARK_RECONCILED, {"shard": shard, "trade_id": changes.reconciled_trade_id}
        )


async def _rules(
    connection: AsyncConnection, account: str, symbol: str, version: int
) -> Instrument:
    found = await connection.execute(
        sql.INSTRUMENT, {"account": account, "symbol": symbol, "version": version}
    )
    return instrument_of(found.one())


async def _order(connection: AsyncConnection, row: AnyRow, claim: Claim) -> Order:
    """An order in the ticks and lots of the rules it was made under."""
    rules = claim.instrument
    if row.instrument_version != rules.version:
        rules = await _rules(connection, claim.account, claim.symbol, row.instrument_version)
    return order_of(row, claim.nonce, rules, claim.instrument)


def pair_values(closed: ClosedPair, shard: int, instrument: Instrument) -> dict[str, object]:
    pair = closed.pair
    return {
        "shard": shard,
        "ladder_version": pair.slot.version,
        "slot": pair.slot.number,
        "closing_trade_id": closed.trade.trade_id,
        "quantity": instrument.units_to_base(pair.quantity_units),
        "cost": instrument.units_to_quote(pair.cost_units),
        "proceeds": instrument.units_to_quote(pair.proceeds_units),
        "fee_base": instrument.units_to_base(pair.fee_base_units),
        "fee_quote": instrument.units_to_quote(pair.fee_quote_units),
        "profit": instrument.units_to_quote(pair.profit_units),
        "closed_at": moment(closed.trade.traded_ms),
    }

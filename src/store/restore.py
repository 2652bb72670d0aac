"""Symbols as the exchange tells them, written into an empty database in one transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import RequestRefused
from domain.ids import ClientOrderId, SymbolKey, decision_id
from domain.instrument import Instrument, MarketKind
from domain.orders import Trade
from grid.ladder import LadderVersion
from grid.phase import Phase
from grid.rebuild import Rebuilt, RebuiltOrder, TaggedOrder
from ports.store import ClosedPair, Desired, Fill, Origin
from store.engine import transaction
from store.registry import ENQUEUE
from store.repository import pair_values
from store.reservations import lock_account, note_balances
from store.rows import (
    fill_values,
    instrument_values,
    ladder_values,
    ledger_values,
    moment,
    phase_document,
    slot_values,
)
from store.statements import (
    ADD_ADOPTION,
    ADD_INSTRUMENT,
    ADD_SPEC,
    RECORD_FILL,
    RECORD_FINDING,
    RECORD_LADDER,
    RECORD_LEDGER,
    RECORD_PAIR,
    RECORD_SLOT,
)

#: Years of orders and trades are written at once.
TIMEOUT_S = 600.0
#: What a restored order says where others say why they were decided.
RESTORED = "restored"

#: Nothing was traded with it, and no request waits to be served.
_IS_USED = text("""
    SELECT EXISTS (SELECT FROM shards) OR EXISTS (SELECT FROM fills)
           OR EXISTS (SELECT FROM ledger) OR EXISTS (SELECT FROM opening_balances)
           OR EXISTS (SELECT FROM dbos.workflow_status
                       WHERE name = 'apply_change' AND status IN ('ENQUEUED', 'PENDING'))
""")

_TAKE_OVER = text("""
    INSERT INTO installation (id, nonce, exchange, restored_at, restored_since)
    VALUES (1, :nonce, :exchange, clock_timestamp(), :since)
    ON CONFLICT (id) DO UPDATE
       SET nonce = excluded.nonce, exchange = excluded.exchange,
           restored_at = excluded.restored_at, restored_since = excluded.restored_since
     WHERE coalesce(installation.exchange, excluded.exchange) = excluded.exchange
    RETURNING nonce
""")

_ADD_SHARD = text("""
    INSERT INTO shards (shard, symbol_key, account, symbol, spec, desired, status, start_price,
                        phase, instrument_version, requested_by, leverage, found_position,
                        reconciled_trade_id)
    VALUES (:shard, :symbol_key, :account, :symbol, CAST(:spec AS jsonb), :desired, 'starting',
            :start_price, CAST(:phase AS jsonb), :instrument_version, :requested_by, :leverage,
            :found_position, :last_trade_id)
""")

_CONTINUE_ABOVE = text("SELECT setval(pg_get_serial_sequence('shards', 'shard'), :shard)")

_ADD_DECISION = text("""
    INSERT INTO decisions (decision_id, shard, epoch, sequence, causes, cancels, places, refused)
    VALUES (:decision_id, :shard, 0, 0, CAST(:causes AS jsonb), '[]', '[]', '[]')
""")

_ADD_ORDER = text("""
    INSERT INTO orders (client_order_id, decision_id, shard, ladder_version, slot, purpose, side,
                        generation, instrument_version, price, quantity, post_only, reduce_only,
                        reason, restored, status, venue_order_id, filled, is_settled, ended_at)
    VALUES (:client_order_id, :decision_id, :shard, :ladder_version, :slot, :purpose, :side,
            :generation, :instrument_version, :price, :quantity, :post_only, :reduce_only,
            :reason, true, :status, :venue_order_id, :filled, :is_settled, :ended_at)
""")

_DATE_LADDER = text("""
    UPDATE ladders SET made_at = :made_at WHERE shard = :shard AND version = :version
""")

_ADD_OPENING = text("""
    INSERT INTO opening_balances (account, asset, amount, income_ms)
    VALUES (:account, :asset, :amount, :income_ms)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredSymbol:
    """A symbol with everything that the exchange tells of it."""

    shard: int
    key: SymbolKey
    spec: Mapping[str, object]
    desired: Desired
    start_price: Decimal
    phase: Phase
    #: The current one last, each with the venue time from which on its entries lie on it.
    ladders: Sequence[tuple[LadderVersion, int]]
    instrument: Instrument
    rebuilt: Rebuilt
    last_trade_id: str | None
    leverage: int = 1
    #: Of contracts: what was there before the first trade that is recorded.
    found_position: Decimal = Decimal(0)
    #: Orders of removed shards of the symbol that traded; only that they did is recorded.
    former: Sequence[TaggedOrder] = ()
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredAccount:
    account: str
    nonce: int
    exchange: str
    #: Highest number that any shard may have had.
    last_shard: int
    symbols: Sequence[RestoredSymbol]
    #: What the account holds after the last of the trades: free plus locked, of contracts the
    #: wallet.
    balances: Mapping[str, Decimal]
    #: Of contracts: movements beside trades up to this venue time are part of the balances.
    income_ms: int = 0
    #: Venue time; what ended before is left out.
    since_ms: int | None = None


async def refuse_used(engine: AsyncEngine) -> None:
    """Refuse a database that anything was traded with.

    Raises
    ------
    RequestRefused
        If it knows of symbols, trades or requests.
    """
    async with transaction(engine) as connection:
        await _refuse_used(connection)


async def record_restored(
    engine: AsyncEngine, restored: RestoredAccount, run: Mapping[str, str]
) -> None:
    """Write everything down and start the symbols, in one transaction.

    Raises
    ------
    RequestRefused
        If the database is used, or bound to another exchange.
    """
    async with transaction(engine, TIMEOUT_S) as connection:
        await lock_account(connection, restored.account)
        await _refuse_used(connection)
        taken = await connection.execute(
            _TAKE_OVER,
            {
                "nonce": restored.nonce,
                "exchange": restored.exchange,
                "since": None if restored.since_ms is None else moment(restored.since_ms),
            },
        )
        if taken.one_or_none() is None:
            raise RequestRefused("this database is tied to another exchange than this account's")
        for symbol in restored.symbols:
            await _record_symbol(connection, symbol)
        await connection.execute(_CONTINUE_ABOVE, {"shard": restored.last_shard})
        await _record_balances(connection, restored)
        for symbol in restored.symbols:
            workflow_id = f"{run['name']}:{symbol.key}:{symbol.shard}"
            argument = {"workflow_id": workflow_id, "argument": json.dumps(symbol.shard)}
            await connection.execute(ENQUEUE, dict(run) | argument)


async def _refuse_used(connection: AsyncConnection) -> None:
    found = await connection.execute(_IS_USED)
    if found.scalar_one():
        raise RequestRefused(
            "this database knows of symbols or trades, or a request waits: only an empty one is"
            " rebuilt; name a new data directory or database"
        )


async def _record_symbol(connection: AsyncConnection, symbol: RestoredSymbol) -> None:
    shard, instrument = symbol.shard, symbol.instrument
    spec = json.dumps(dict(symbol.spec))
    await connection.execute(ADD_INSTRUMENT, instrument_values(instrument))
    await connection.execute(
        _ADD_SHARD,
        {
            "shard": shard,
            "symbol_key": symbol.key,
            "account": instrument.account,
            "symbol": instrument.symbol,
            "spec": spec,
            "desired": symbol.desired.value,
            "start_price": symbol.start_price,
            "phase": phase_document(symbol.phase),
            "instrument_version": instrument.version,
            "requested_by": symbol.requested_by,
            "leverage": symbol.leverage,
            "found_position": symbol.found_position,
            "last_trade_id": symbol.last_trade_id,
        },
    )
    for ladder, since_ms in symbol.ladders:
        await connection.execute(RECORD_LADDER, ladder_values(ladder, shard))
        await connection.execute(
            _DATE_LADDER, {"shard": shard, "version": ladder.version, "made_at": moment(since_ms)}
        )
    current, _ = symbol.ladders[-1]
    await connection.execute(
        ADD_SPEC,
        {
            "shard": shard,
            "version": 1,
            "spec": spec,
            "ladder_version": current.version,
            "requested_by": symbol.requested_by,
            "note": RESTORED,
        },
    )
    await _record_history(connection, symbol)


async def _record_history(connection: AsyncConnection, symbol: RestoredSymbol) -> None:
    """Orders under one decision that stands for all that are lost, and what came of them."""
    shard, instrument, rebuilt = symbol.shard, symbol.instrument, symbol.rebuilt
    decision = decision_id(symbol.key, 0, 0)
    await connection.execute(
        _ADD_DECISION,
        {"decision_id": decision, "shard": shard, "causes": json.dumps([RESTORED])},
    )
    orders = [_order_values(order, shard, instrument, decision) for order in rebuilt.orders]
    fills = [
        fill_values(_fill(trade, order.record.report.client_order_id), instrument.account, shard)
        for trade, order in rebuilt.fills
    ]
    booked = [row for trade, _ in rebuilt.fills for row in ledger_values(trade, instrument)]
    for statement, rows in (
        (_ADD_ORDER, orders),
        (RECORD_FILL, fills),
        (RECORD_LEDGER, booked),
        (RECORD_SLOT, [slot_values(s, shard, instrument) for s in rebuilt.slots.values()]),
        (ADD_ADOPTION, [slot_values(s, shard, instrument) for s in rebuilt.began.values()]),
        (
            RECORD_PAIR,
            [pair_values(ClosedPair(*closed), shard, instrument) for closed in rebuilt.pairs],
        ),
        (RECORD_FINDING, [_finding_values(former, shard) for former in symbol.former]),
    ):
        if rows:
            await connection.execute(statement, rows)


async def _record_balances(connection: AsyncConnection, restored: RestoredAccount) -> None:
    """What the account must have begun with for its trades to lead to what it holds now."""
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for symbol in restored.symbols:
        instrument = symbol.instrument
        booked[instrument.quote] += 0
        if instrument.kind is MarketKind.SPOT:
            booked[instrument.base] += 0
        for trade, _ in symbol.rebuilt.fills:
            for row in ledger_values(trade, instrument):
                booked[str(row["asset"])] += Decimal(str(row["amount"]))
    now = {asset: restored.balances.get(asset, Decimal(0)) for asset in booked}
    await note_balances(connection, restored.account, now)
    for asset, amount in booked.items():
        await connection.execute(
            _ADD_OPENING,
            {
                "account": restored.account,
                "asset": asset,
                "amount": now[asset] - amount,
                "income_ms": restored.income_ms,
            },
        )


def _fill(trade: Trade, client_order_id: ClientOrderId) -> Fill:
    return Fill(trade=trade, origin=Origin.OWN, client_order_id=client_order_id)


def _order_values(
    rebuilt: RebuiltOrder, shard: int, instrument: Instrument, decision: str
) -> dict[str, object]:
    tag, record = rebuilt.order.tag, rebuilt.order.record
    return {
        "client_order_id": record.report.client_order_id,
        "decision_id": decision,
        "shard": shard,
        "ladder_version": tag.slot.version,
        "slot": tag.slot.number,
        "purpose": tag.purpose.name.lower(),
        "side": tag.side.value,
        "generation": tag.generation,
        "instrument_version": instrument.version,
        "price": record.report.price,
        "quantity": record.report.quantity,
        "post_only": record.post_only,
        "reduce_only": record.reduce_only,
        "reason": RESTORED,
        "status": rebuilt.status.value,
        "venue_order_id": record.report.venue_order_id,
        "filled": rebuilt.filled,
        "is_settled": not rebuilt.is_live and rebuilt.traded >= rebuilt.filled,
        "ended_at": None if rebuilt.is_live else moment(record.changed_ms),
    }


def _finding_values(former: TaggedOrder, shard: int) -> dict[str, object]:
    report = former.record.report
    detail = {
        "shard": former.tag.shard,
        "side": report.side.value,
        "filled": str(report.filled),
        "venue_order_id": report.venue_order_id,
    }
    return {
        "shard": shard,
        "kind": "order_of_removed_shard",
        "subject": report.client_order_id,
        "detail": json.dumps(detail),
    }

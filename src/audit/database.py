"""Postgres' side: everything an audit compares, read by plain SQL in one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnauditableDatabaseError(Exception):
    """The database holds what this auditor cannot compare with one exchange account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    shard: int
    #: As the exchange writes it: BTCUSDT.
    symbol: str
    base: str
    quote: str
    desired: str
    status: str
    status_reason: str
    #: Of its grid's life.
    stage: str
    created_ms: int
    ended_ms: int | None
    #: Futures: what was there before the first recorded trade.
    found_position: Decimal = Decimal(0)

    def watches(self, symbol: str, at_ms: int) -> bool:
        """Whether a trade at that moment is the shard's to record, whoever made it."""
        return (
            symbol == self.symbol
            and self.created_ms < at_ms
            and (self.ended_ms is None or at_ms < self.ended_ms)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """A row of `ladders`."""

    shard: int
    version: int
    anchor: Decimal
    spacing: Mapping[str, str]
    #: Of every version of the symbol's trading rules.
    tick_sizes: tuple[Decimal, ...]
    #: When the version got these levels; it may have had others before.
    made_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A row of `orders`."""

    client_order_id: str
    shard: int
    ladder_version: int
    slot: int
    purpose: str
    side: str
    generation: int
    price: Decimal
    quantity: Decimal
    reduce_only: bool = False
    status: str
    filled: Decimal
    #: Of the rules it was made under: of a part of a lot, filled under finer ones, it counts none.
    lot_size: Decimal | None = None
    #: When it was committed where Postgres keeps that (`track_commit_timestamp`), else inserted.
    committed_ms: int
    #: Written down from what the exchange told, after the database was lost.
    restored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    symbol: str
    trade_id: str
    shard: int
    venue_order_id: str
    client_order_id: str | None
    origin: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    shard: int
    ladder_version: int
    slot: int
    inventory: Decimal
    cost: Decimal
    closed_cost: Decimal
    proceeds: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A row of `adoptions`: inventory that a slot began with, and no trade of ours brought."""

    shard: int
    ladder_version: int
    slot: int
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    pair: int
    shard: int
    ladder_version: int
    slot: int
    cost: Decimal
    proceeds: Decimal
    profit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    asset: str
    amount: Decimal
    recorded_ms: int
    #: Of a wallet: funding up to here is part of it, on the exchange's clock.
    income_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    name: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """That the database was rebuilt from the exchange."""

    restored_ms: int
    #: What ended before was left out; `None` if nothing was.
    since_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A time during which the kill switch was thrown."""

    request_id: str
    killed_ms: int
    #: `None` while it is.
    rearmed_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One moment of Postgres."""

    nonce: int | None
    is_killed: bool
    shards: tuple[Shard, ...]
    ladders: tuple[Ladder, ...]
    intents: tuple[Intent, ...]
    fills: tuple[Fill, ...]
    slots: tuple[Slot, ...]
    pairs: tuple[Pair, ...]
    openings: tuple[Opening, ...]
    #: Sum of the ledger's amounts, by asset.
    booked: Mapping[str, Decimal]
    #: Of these what is funding, by symbol.
    funding: Mapping[str, Decimal] = field(default_factory=dict)
    #: Those of the acknowledged requests that exist, by id.
    workflows: Mapping[str, Workflow]
    adoptions: tuple[Adoption, ...] = ()
    #: `None` if it never was.
    restoration: Restoration | None = None
    kills: tuple[Kill, ...] = ()


_INSTALLATION = "SELECT nonce, restored_at, restored_since FROM installation"
_SHARDS = """
    SELECT shard, symbol, desired, status, status_reason, phase ->> 'stage' AS stage,
           created_at, ended_at, found_position
      FROM shards ORDER BY shard
"""
_LADDERS = """
    SELECT shard, version, anchor, spacing, made_at,
           ARRAY(SELECT DISTINCT tick_size FROM instruments
                  WHERE instruments.account = shards.account
                    AND instruments.symbol = shards.symbol) AS tick_sizes
      FROM ladders JOIN shards USING (shard) ORDER BY shard, version
"""
#: A decision's row is written once, by the statement that writes its intents.
_INTENTS = """
    SELECT client_order_id, orders.shard, ladder_version, slot, purpose, side, generation, price,
           quantity, reduce_only, status, filled, restored,
           (SELECT lot_size FROM shards JOIN instruments USING (account, symbol)
             WHERE shards.shard = orders.shard AND version = orders.instrument_version) AS lot_size,
           CASE WHEN current_setting('track_commit_timestamp')::boolean
                THEN greatest(intended_at, pg_xact_commit_timestamp(decisions.xmin))
                ELSE intended_at END AS committed_at
      FROM orders JOIN decisions USING (decision_id)
     ORDER BY intended_at, client_order_id
"""
_FILLS = """
    SELECT symbol, trade_id, shard, venue_order_id, client_order_id, origin, side, price, quantity,
           fee, fee_asset, realised
      FROM fills ORDER BY symbol, traded_at, trade_id
"""
_SLOTS = """
    SELECT shard, ladder_version, slot, inventory, cost, closed_cost, proceeds
      FROM slots ORDER BY shard, ladder_version, slot
"""
_ADOPTIONS = """
    SELECT shard, ladder_version, slot, quantity, cost FROM adoptions
     ORDER BY shard, ladder_version, slot
"""
_PAIRS = """
    SELECT pair, shard, ladder_version, slot, cost, proceeds, profit FROM pairs ORDER BY pair
"""
_OPENINGS = "SELECT asset, amount, recorded_at, income_ms FROM opening_balances ORDER BY asset"
_BOOKED = "SELECT asset, sum(amount) AS amount FROM ledger GROUP BY asset"
_FUNDING = "SELECT symbol, sum(amount) AS amount FROM ledger WHERE kind = 'funding' GROUP BY symbol"
_MARKETS = "SELECT DISTINCT strpos(symbol, ':') > 0 AS is_futures FROM shards"
_KILLED = "SELECT EXISTS (SELECT FROM kill_switch WHERE engaged) AS is_killed"
_KILLS = "SELECT request_id, engaged, changed_at FROM kill_switch_log ORDER BY changed_at"
_ACCOUNTS = """
    SELECT account FROM shards UNION SELECT account FROM opening_balances
     UNION SELECT account FROM ledger UNION SELECT account FROM fills
"""
_WORKFLOWS = """
    SELECT workflow_uuid, name, status FROM dbos.workflow_status WHERE workflow_uuid = ANY(%s)
"""


async def read_database(dsn: str, acknowledged: Sequence[str] = ()) -> Database:
    """Read everything in one read-only snapshot.

    Raises
    ------
    UnauditableDatabaseError
        If it holds more than one account.
    """
    connection = await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row)
    async with connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        accounts = [row["account"] for row in await _all(connection, _ACCOUNTS)]
        if len(accounts) > 1:
            raise UnauditableDatabaseError(f"one account expected, found {sorted(accounts)}")
        installations = await _all(connection, _INSTALLATION)
        return Database(
            nonce=installations[0]["nonce"] if installations else None,
            restoration=_restoration(installations[0]) if installations else None,
            is_killed=(await _all(connection, _KILLED))[0]["is_killed"],
            kills=_kills(await _all(connection, _KILLS)),
            shards=tuple(_shard(row) for row in await _all(connection, _SHARDS)),
            ladders=tuple(_ladder(row) for row in await _all(connection, _LADDERS)),
            intents=tuple(_intent(row) for row in await _all(connection, _INTENTS)),
            fills=tuple(_fill(row) for row in await _all(connection, _FILLS)),
            slots=tuple(Slot(**row) for row in await _all(connection, _SLOTS)),
            adoptions=tuple(Adoption(**row) for row in await _all(connection, _ADOPTIONS)),
            pairs=tuple(Pair(**row) for row in await _all(connection, _PAIRS)),
            openings=tuple(_opening(row) for row in await _all(connection, _OPENINGS)),
            booked={row["asset"]: row["amount"] for row in await _all(connection, _BOOKED)},
            funding={
                exchange_symbol(row["symbol"]): row["amount"]
                for row in await _all(connection, _FUNDING)
            },
            workflows=await _workflows(connection, acknowledged),
        )


async def trades_futures(dsn: str) -> bool:
    """Whether the account trades perpetuals.

    Raises
    ------
    UnauditableDatabaseError
        If it trades spot as well.
    """
    connection = await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row)
    async with connection:
        kinds = [row["is_futures"] for row in await _all(connection, _MARKETS)]
    if len(kinds) > 1:
        raise UnauditableDatabaseError("one kind of market expected, found spot and futures")
    return kinds == [True]


def exchange_symbol(symbol: str) -> str:
    return symbol.partition(":")[0].replace("/", "")


async def _all(
    connection: psycopg.AsyncConnection[DictRow], query: str, *values: object
) -> list[DictRow]:
    cursor = await connection.execute(query.encode(), values)
    return await cursor.fetchall()


async def _workflows(
    connection: psycopg.AsyncConnection[DictRow], acknowledged: Sequence[str]
) -> dict[str, Workflow]:
    if not acknowledged:
        return {}
    return {
        row["workflow_uuid"]: Workflow(name=row["name"], status=row["status"])
        for row in await _all(connection, _WORKFLOWS, list(acknowledged))
    }


def _restoration(row: Mapping[str, Any]) -> Restoration | None:
    if row["restored_at"] is None:
        return None
    since: datetime | None = row["restored_since"]
    return Restoration(
        restored_ms=_milliseconds(row["restored_at"]),
        since_ms=None if since is None else _milliseconds(since),
    )


def _kills(rows: Sequence[Mapping[str, Any]]) -> tuple[Kill, ...]:
    """From each first kill to the re-arm; what is killed already cannot be killed more."""
    kills: list[Kill] = []
    for row in rows:
        is_killed = bool(kills) and kills[-1].rearmed_ms is None
        changed_ms = _milliseconds(row["changed_at"])
        if row["engaged"] and not is_killed:
            kills.append(Kill(request_id=row["request_id"], killed_ms=changed_ms, rearmed_ms=None))
        elif is_killed and not row["engaged"]:
            kills[-1] = replace(kills[-1], rearmed_ms=changed_ms)
    return tuple(kills)


def _shard(row: Mapping[str, Any]) -> Shard:
    base, quote = row["symbol"].partition(":")[0].split("/")
    return Shard(
        shard=row["shard"],
        symbol=exchange_symbol(row["symbol"]),
        base=base,
        quote=quote,
        desired=row["desired"],
        status=row["status"],
        status_reason=row["status_reason"],
        stage=row["stage"],
        created_ms=_milliseconds(row["created_at"]),
        ended_ms=None if row["ended_at"] is None else _milliseconds(row["ended_at"]),
        found_position=row["found_position"],
    )


def _ladder(row: Mapping[str, Any]) -> Ladder:
    values = dict(row)
    made_at: datetime = values.pop("made_at")
    tick_sizes = tuple(values.pop("tick_sizes"))
    return Ladder(made_ms=_milliseconds(made_at), tick_sizes=tick_sizes, **values)


def _intent(row: Mapping[str, Any]) -> Intent:
    values = dict(row)
    committed_at: datetime = values.pop("committed_at")
    return Intent(committed_ms=_milliseconds(committed_at), **values)


def _fill(row: Mapping[str, Any]) -> Fill:
    return Fill(**{**row, "symbol": exchange_symbol(row["symbol"])})


def _opening(row: Mapping[str, Any]) -> Opening:
    return Opening(
        asset=row["asset"],
        amount=row["amount"],
        recorded_ms=_milliseconds(row["recorded_at"]),
        income_ms=row["income_ms"],
    )


def _milliseconds(moment: datetime) -> int:
    """Rounded down, as the exchange's clock is."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)

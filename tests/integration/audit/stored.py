"""Writes a made-up installation into a real database, as plain SQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from audit.database import Database
from store.embedded_postgres import EmbeddedPostgres

ACCOUNT = "sim"
DECISION = "sim:1:1"


def moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def insert(connection: psycopg.Connection, table: str, **values: Any) -> None:
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(*table.split(".")),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        list(values.values()),
    )


def keep_commit_times(server: EmbeddedPostgres, switch: str) -> None:
    """Off for rows that claim to be older than their insertion; it takes a restart."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET track_commit_timestamp = {switch}".encode())
    server.stop()
    server.start()


def store(connection: psycopg.Connection, database: Database) -> None:
    """Everything of it, in the tables of the migrations."""
    insert(connection, "installation", id=1, nonce=database.nonce)
    _store_shards(connection, database)
    _store_orders(connection, database)
    for fill in database.fills:
        insert(
            connection,
            "fills",
            account=ACCOUNT,
            symbol=_symbol(database, fill.shard),
            trade_id=fill.trade_id,
            shard=fill.shard,
            venue_order_id=fill.venue_order_id,
            client_order_id=fill.client_order_id,
            origin=fill.origin,
            side=fill.side,
            price=fill.price,
            quantity=fill.quantity,
            fee=fill.fee,
            fee_asset=fill.fee_asset,
            is_maker=True,
            traded_at=moment(0),
        )
    _store_books(connection, database)
    for workflow_id, workflow in database.workflows.items():
        insert(
            connection,
            "dbos.workflow_status",
            workflow_uuid=workflow_id,
            name=workflow.name,
            status=workflow.status,
        )


def _symbol(database: Database, shard: int) -> str:
    return next(f"{row.base}/{row.quote}" for row in database.shards if row.shard == shard)


def _store_shards(connection: psycopg.Connection, database: Database) -> None:
    for shard in database.shards:
        symbol = f"{shard.base}/{shard.quote}"
        ladders = [ladder for ladder in database.ladders if ladder.shard == shard.shard]
        for version, tick_size in enumerate(ladders[-1].tick_sizes, start=1):
            insert(
                connection,
                "instruments",
                account=ACCOUNT,
                symbol=symbol,
                version=version,
                base=shard.base,
                quote=shard.quote,
                kind="spot",
                tick_size=tick_size,
                lot_size="0.00000001",
                min_quantity=1,
                min_notional=1,
                maker_fee=0,
                taker_fee=0,
                base_decimals=8,
                quote_decimals=8,
            )
        connection.execute(
            "INSERT INTO shards (shard, symbol_key, account, symbol, spec, desired, desired_ms,"
            " status, status_reason, start_price, phase, ladder_version, instrument_version,"
            " requested_by, created_at) OVERRIDING SYSTEM VALUE VALUES"
            " (%s, %s, %s, %s, '{}', %s, %s, %s, %s, %s, %s, %s, 1, 'test', %s)",
            (
                shard.shard,
                f"{ACCOUNT}-{shard.base}-{shard.quote}",
                ACCOUNT,
                symbol,
                shard.desired,
                shard.created_ms,
                shard.status,
                shard.status_reason,
                ladders[-1].anchor,
                json.dumps({"stage": shard.stage}),
                ladders[-1].version,
                moment(shard.created_ms),
            ),
        )
        for ladder in ladders:
            insert(
                connection,
                "ladders",
                shard=shard.shard,
                version=ladder.version,
                anchor=ladder.anchor,
                spacing=json.dumps(dict(ladder.spacing)),
                made_at=moment(ladder.made_ms),
            )


def _store_orders(connection: psycopg.Connection, database: Database) -> None:
    insert(
        connection,
        "decisions",
        decision_id=DECISION,
        shard=database.shards[0].shard,
        epoch=1,
        sequence=1,
        causes="[]",
        cancels="[]",
        places="[]",
        refused="[]",
    )
    for intent in database.intents:
        insert(
            connection,
            "orders",
            client_order_id=intent.client_order_id,
            decision_id=DECISION,
            shard=intent.shard,
            ladder_version=intent.ladder_version,
            slot=intent.slot,
            purpose=intent.purpose,
            side=intent.side,
            generation=intent.generation,
            instrument_version=1,
            price=intent.price,
            quantity=intent.quantity,
            post_only=True,
            reason="test",
            status=intent.status,
            filled=intent.filled,
            intended_at=moment(intent.committed_ms),
        )


def _store_books(connection: psycopg.Connection, database: Database) -> None:
    for slot in database.slots:
        insert(
            connection,
            "slots",
            shard=slot.shard,
            ladder_version=slot.ladder_version,
            slot=slot.slot,
            inventory=slot.inventory,
            cost=slot.cost,
            closed=0,
            closed_cost=slot.closed_cost,
            proceeds=slot.proceeds,
            fee_base=0,
            fee_quote=0,
        )
    for adopted in database.adoptions:
        insert(
            connection,
            "adoptions",
            shard=adopted.shard,
            ladder_version=adopted.ladder_version,
            slot=adopted.slot,
            quantity=adopted.quantity,
            cost=adopted.cost,
        )
    for pair in database.pairs:
        insert(
            connection,
            "pairs",
            shard=pair.shard,
            ladder_version=pair.ladder_version,
            slot=pair.slot,
            closing_trade_id=str(pair.pair),
            quantity=1,
            cost=pair.cost,
            proceeds=pair.proceeds,
            fee_base=0,
            fee_quote=0,
            profit=pair.profit,
            closed_at=moment(0),
        )
    for opening in database.openings:
        insert(
            connection,
            "opening_balances",
            account=ACCOUNT,
            asset=opening.asset,
            amount=opening.amount,
            recorded_at=moment(opening.recorded_ms),
        )
    for asset, amount in database.booked.items():
        insert(
            connection,
            "ledger",
            account=ACCOUNT,
            asset=asset,
            kind="trade",
            amount=amount,
            symbol="all",
            trade_id="all",
            booked_at=moment(0),
        )

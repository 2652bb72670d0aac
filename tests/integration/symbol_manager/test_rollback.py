"""A database that is older than the exchange: noticed before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import Side, VenueOrderId
from domain.orders import VenueStatus
from integration.store.factories import execute, select, value
from integration.symbol_manager.harness import Rig, eventually
from ports.store import Status

ENTRIES = (-1, -2, -3)
#: What a shard writes, in the order in which rows may be inserted.
_WRITTEN = ("decisions", "orders", "slots", "fills", "pairs", "ledger", "findings")


class Backup:
    """The rows of a shard at one moment, to be put back later."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self) -> None:
        await execute(self._engine, "CREATE SCHEMA backup")
        for table in _WRITTEN:
            await execute(self._engine, f"CREATE TABLE backup.{table} AS TABLE {table}")

    async def restore(self) -> None:
        for table in reversed(_WRITTEN):
            await execute(self._engine, f"DELETE FROM {table}")  # noqa: S608  # names of ours
        for table in _WRITTEN:
            insert = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE backup.{table}"
            await execute(self._engine, insert)
        await execute(self._engine, "UPDATE shards SET reconciled_trade_id = NULL")

    async def drop(self) -> None:
        await execute(self._engine, "DROP SCHEMA IF EXISTS backup CASCADE")


@pytest.fixture
async def rig(clean_engine: AsyncEngine) -> AsyncIterator[Rig]:
    rig = await Rig.build(clean_engine)
    yield rig
    await rig.crash()


@pytest.fixture
async def backup(clean_engine: AsyncEngine) -> AsyncIterator[Backup]:
    backup = Backup(clean_engine)
    await backup.drop()
    yield backup
    await backup.drop()


@pytest.fixture
async def trading(rig: Rig, backup: Backup) -> Rig:
    """All entries rest, and a backup holds that."""
    rig.start()
    await rig.until_entries(*ENTRIES)
    await rig.crash()
    await backup.take()
    rig.start()
    return rig


async def put_back(rig: Rig, backup: Backup) -> None:
    await rig.crash()
    await backup.restore()
    rig.exchange.sent.clear()
    rig.start()


async def replace_entry(rig: Rig) -> None:
    """The venue ends the entry of slot -1, and another one takes its place."""
    sent = len(rig.exchange.sent)
    rig.exchange.end(-1, VenueStatus.CANCELLED)

    async def replaced() -> bool:
        return len(rig.exchange.sent) > sent and await rig.is_settled()

    await eventually(replaced)


async def reason(rig: Rig) -> str:
    return str(await value(rig.engine, "SELECT status_reason FROM shards"))


async def assert_noticed(rig: Rig) -> None:
    async def is_told() -> bool:
        return "the database is older than the exchange" in await reason(rig)

    await eventually(is_told)
    assert await value(rig.engine, "SELECT status FROM shards") == "halted"
    assert "gridkeeper restore" in await reason(rig)
    assert rig.exchange.sent == []


@pytest.mark.parametrize(
    "how", ["what was placed since rests", "it was cancelled", "it was filled", "it is gone"]
)
async def test_shard_of_a_database_put_back_sends_nothing(
    trading: Rig, backup: Backup, how: str
) -> None:
    """Without what a slot did since, its next ids are those of orders that the venue has seen."""
    await replace_entry(trading)
    newest = trading.exchange.order(-1)
    match how:
        case "it was cancelled":
            await trading.crash()
            trading.exchange.end(-1, VenueStatus.CANCELLED)
        case "it was filled":
            trading.exchange.fill(-1)
            await trading.until_exits(-1)
        case "it is gone":
            await trading.crash()
            for known in [*trading.exchange.by_slot(Side.BUY)]:
                trading.exchange.end(known, VenueStatus.CANCELLED)
    await put_back(trading, backup)
    await assert_noticed(trading)
    found = await select(trading.engine, "SELECT kind, subject FROM findings")
    assert {row.kind for row in found} == {"order_without_intent"}
    assert (newest in {row.subject for row in found}) is (how != "it was filled")
    assert await value(trading.engine, "SELECT count(*) FROM fills") == 0
    await trading.crash()
    trading.start()
    await trading.until_epoch(4)
    await assert_noticed(trading)


async def test_shard_of_a_database_put_back_before_anything_happened_trades_on(
    trading: Rig, backup: Backup
) -> None:
    await put_back(trading, backup)
    await trading.until_status(Status.RUNNING)
    await replace_entry(trading)
    await trading.assert_books_agree()


async def test_order_of_another_database_of_the_installation_halts_the_symbol(
    trading: Rig,
) -> None:
    """A copy of the database trades elsewhere: each sees the other's orders rest."""
    known = trading.exchange.orders[trading.exchange.order(-1)]
    tag = trading.exchange.ids.decode(known.client_order_id)
    assert tag is not None
    foreign = trading.exchange.ids.encode(replace(tag, generation=7))
    await trading.until_status(Status.RUNNING)
    sent = len(trading.exchange.sent)
    trading.exchange.orders[foreign] = replace(
        known, client_order_id=foreign, venue_order_id=VenueOrderId("another")
    )

    async def is_told() -> bool:
        return foreign in await reason(trading)

    await eventually(is_told)
    assert len(trading.exchange.sent) == sent


async def test_order_of_a_later_shard_of_the_symbol_halts_it(trading: Rig) -> None:
    """The symbol was removed and added again after the backup."""
    await trading.crash()
    tag = trading.exchange.ids.decode(trading.exchange.order(-1))
    assert tag is not None
    later = trading.exchange.ids.encode(replace(tag, shard=tag.shard + 1))
    known = trading.exchange.orders[trading.exchange.order(-1)]
    trading.exchange.orders[later] = replace(
        known,
        client_order_id=later,
        venue_order_id=VenueOrderId("later"),
        status=VenueStatus.CANCELLED,
    )
    trading.exchange.sent.clear()
    trading.start()
    await assert_noticed(trading)


async def test_order_that_was_forgotten_after_its_time_is_not_taken_for_unknown(
    trading: Rig,
) -> None:
    await replace_entry(trading)
    await trading.crash()
    await execute(trading.engine, "DELETE FROM orders WHERE status = 'cancelled'")
    trading.start()
    await replace_entry(trading)
    await trading.until_status(Status.RUNNING)


async def test_kill_cancels_what_a_database_put_back_knows(trading: Rig, backup: Backup) -> None:
    await replace_entry(trading)
    await put_back(trading, backup)
    await assert_noticed(trading)
    await trading.wish(is_killed=True)

    async def known_are_cancelled() -> bool:
        return set(trading.exchange.by_slot(Side.BUY)) == {-1}

    await eventually(known_are_cancelled)
    assert trading.exchange.sent == []


@pytest.mark.parametrize(
    ("cancel_orders", "left"),
    [pytest.param(True, {-1}, id="cancel"), pytest.param(False, set(ENTRIES), id="keep")],
)
async def test_stop_of_a_symbol_whose_database_was_put_back_ends_it(
    trading: Rig, backup: Backup, cancel_orders: bool, left: set[int]
) -> None:
    """What the database knows is cancelled before, if it is to be; of slot -1 it knows nothing."""
    await replace_entry(trading)
    await put_back(trading, backup)
    await assert_noticed(trading)
    trading.stop(cancel_orders=cancel_orders)
    assert isinstance(await trading.until_ended(), asyncio.CancelledError)
    assert set(trading.exchange.by_slot(Side.BUY)) == left
    assert trading.exchange.sent == []

"""Shards share the commit of what they decide at one moment, and neither locks nor failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost, StoreUnavailable
from domain.orders import Open, Order
from integration.store.factories import Owner, make_owner, new_symbol, select, value
from ports.store import Changes
from store import statements as sql
from store.engine import Alone, transaction
from support.fake_exchange import BTC
from unit.symbol_manager.factories import venue_id

ETH = replace(BTC, symbol="ETH/USDT", base="ETH")


@pytest.fixture
async def owners(clean_engine: AsyncEngine) -> tuple[Owner, Owner]:
    """Two shards of one process."""
    one = await make_owner(clean_engine)
    other = await make_owner(clean_engine, new_symbol("add:2", ETH))
    return one, Owner(clean_engine, one.repository, other.claim)


@asynccontextmanager
async def locked(owner: Owner) -> AsyncIterator[None]:
    """Somebody else's transaction has the shard's row."""
    async with transaction(owner.engine) as connection:
        await connection.execute(
            text("SELECT FROM shards WHERE shard = :shard FOR UPDATE"),
            {"shard": owner.claim.ownership.shard},
        )
        yield


async def until_somebody_waits(engine: AsyncEngine) -> None:
    async with asyncio.timeout(10):
        while not await value(  # noqa: ASYNC110  # another connection
            engine, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.02)


async def decided(owner: Owner) -> list[str]:
    rows = await select(owner.engine, "SELECT decision_id FROM decisions ORDER BY decision_id")
    return [row.decision_id for row in rows]


def opened(owner: Owner) -> Changes:
    intent = owner.intent()
    return Changes(
        orders={intent.client_order_id: Order(intent=intent, state=Open(venue_id(intent)))}
    )


async def test_decisions_of_one_moment_are_one_transaction(owners: tuple[Owner, Owner]) -> None:
    await asyncio.gather(*(owner.place(owner.intent(), owner.intent(-2)) for owner in owners))
    engine = owners[0].engine
    assert await decided(owners[0]) == ["sim-BTC-USDT:1:1", "sim-ETH-USDT:1:1"]
    assert await value(engine, "SELECT count(DISTINCT xmin::text) FROM decisions") == 1
    placed = await select(engine, "SELECT shard, slot, decision_id FROM orders ORDER BY 1, 2")
    assert [(row.shard, row.slot, row.decision_id) for row in placed] == [
        (owner.claim.ownership.shard, slot, f"{owner.claim.key}:1:1")
        for owner in owners
        for slot in (-2, -1)
    ]


async def test_outcomes_of_one_moment_are_one_transaction(owners: tuple[Owner, Owner]) -> None:
    await asyncio.gather(*(owner.place(owner.intent()) for owner in owners))
    await asyncio.gather(*(owner.record(opened(owner)) for owner in owners))
    engine = owners[0].engine
    assert await value(engine, "SELECT count(*) FROM orders WHERE status = 'open'") == 2
    assert await value(engine, "SELECT count(DISTINCT xmin::text) FROM orders") == 1


async def test_decision_that_breaks_a_rule_fails_alone(owners: tuple[Owner, Owner]) -> None:
    one, other = owners
    await one.place(one.intent())
    told = await asyncio.gather(
        one.place(one.intent(generation=2)), other.place(other.intent()), return_exceptions=True
    )
    assert isinstance(told[0], IntegrityError)
    assert await decided(one) == ["sim-BTC-USDT:1:1", "sim-ETH-USDT:1:1"]


async def test_decision_and_outcomes_of_a_former_epoch_are_lost_alone(
    owners: tuple[Owner, Owner],
) -> None:
    one, other = owners
    await asyncio.gather(one.place(one.intent()), other.place(other.intent()))
    await one.claim_again()
    told = await asyncio.gather(
        one.place(one.intent(-2)), other.place(other.intent(-2)), return_exceptions=True
    )
    assert isinstance(told[0], OwnershipLost)
    told_later = await asyncio.gather(
        one.record(opened(one)), other.record(opened(other)), return_exceptions=True
    )
    assert isinstance(told_later[0], OwnershipLost)
    assert told_later[1] is None
    assert await decided(one) == ["sim-BTC-USDT:1:1", "sim-ETH-USDT:1:1", "sim-ETH-USDT:1:2"]
    open_ones = await select(one.engine, "SELECT shard FROM orders WHERE status = 'open'")
    assert [row.shard for row in open_ones] == [other.claim.ownership.shard]


class Refusing:
    """The connections of a writer, on which a statement for several shards fails."""

    def __init__(self, alone: Alone, failure: psycopg.Error) -> None:
        self._alone = alone
        self._failure = failure

    async def execute(self, statement: TextClause, values: Mapping[str, object]) -> Any:
        if statement in {sql.COMMIT_DECISIONS_AT_ONCE, sql.RECORD_OUTCOMES_AT_ONCE}:
            cause = OperationalError("statement", {}, self._failure)
            raise StoreUnavailable(str(cause)) from cause
        return await self._alone.execute(statement, values)


def refuse(owner: Owner, failure: psycopg.Error) -> None:
    writer = owner.repository._plans
    writer._alone = cast("Alone", Refusing(writer._alone, failure))


async def test_statement_that_the_server_undid_is_repeated_shard_by_shard(
    owners: tuple[Owner, Owner],
) -> None:
    refuse(owners[0], psycopg.errors.DeadlockDetected("victim"))
    await asyncio.gather(*(owner.place(owner.intent()) for owner in owners))
    await asyncio.gather(*(owner.record(opened(owner)) for owner in owners))
    engine = owners[0].engine
    assert await value(engine, "SELECT count(*) FROM orders WHERE status = 'open'") == 2


async def test_statement_whose_connection_was_lost_is_not_repeated(
    owners: tuple[Owner, Owner],
) -> None:
    """It may have been committed."""
    refuse(owners[0], psycopg.OperationalError("connection lost"))
    told = await asyncio.gather(
        *(owner.place(owner.intent()) for owner in owners), return_exceptions=True
    )
    assert [type(each) for each in told] == [StoreUnavailable, StoreUnavailable]
    assert await decided(owners[0]) == []


async def test_shard_that_is_locked_waits_alone(owners: tuple[Owner, Owner]) -> None:
    one, other = owners
    async with locked(one):
        waiting = asyncio.create_task(one.place(one.intent()))
        await other.place(other.intent())
        await other.record(opened(other))
        assert not waiting.done()
    await waiting
    async with locked(one):
        waiting_too = asyncio.create_task(one.record(opened(one)))
        await other.place(other.intent(-2))
        assert not waiting_too.done()
    await waiting_too
    assert await value(one.engine, "SELECT count(*) FROM orders WHERE status = 'open'") == 2


async def test_shard_that_is_claimed_while_its_decision_waits_for_the_lock_has_lost(
    owners: tuple[Owner, Owner],
) -> None:
    one, _ = owners
    shard = one.claim.ownership.shard
    async with transaction(one.engine) as connection:
        await connection.execute(
            text("UPDATE shards SET epoch = epoch + 1 WHERE shard = :shard"), {"shard": shard}
        )
        waiting = asyncio.create_task(one.place(one.intent()))
        await until_somebody_waits(one.engine)
    with pytest.raises(OwnershipLost):
        await waiting
    assert await decided(one) == []

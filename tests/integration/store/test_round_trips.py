"""What the busiest paths ask of Postgres, by counts: statements, connections, columns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost
from domain.orders import Cancelled, Open, Order
from integration.store.factories import Owner, make_owner, own_fill, rows_of, select
from ports.store import Changes, Ownership
from store.engine import transaction
from unit.symbol_manager.factories import venue_id


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    return await make_owner(clean_engine)


@contextmanager
def told(engine: AsyncEngine) -> Iterator[list[str]]:
    """What is sent to the server from now on, BEGIN and COMMIT as well, but for autocommit's."""
    sent: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    def note_commit(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            sent.append("COMMIT")

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    event.listen(engine.sync_engine, "commit", note_commit)
    try:
        yield sent
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
        event.remove(engine.sync_engine, "commit", note_commit)


async def test_decision_and_its_outcomes_are_one_statement_each(owner: Owner) -> None:
    intents = [owner.intent(number) for number in (-1, -2, -3)]
    with told(owner.engine) as sent:
        await owner.place(*intents)
    assert len(sent) == 1
    outcomes = {
        intent.client_order_id: Order(intent=intent, state=Open(venue_id(intent)))
        for intent in intents
    }
    with told(owner.engine) as sent:
        await owner.record(Changes(orders=outcomes))
    assert len(sent) == 1
    rows = await select(owner.engine, "SELECT status FROM orders")
    assert [row.status for row in rows] == ["open"] * 3


async def test_fills_are_recorded_by_as_many_statements_as_one_is(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    with told(owner.engine) as sent:
        await owner.record(own_fill(intent, "1", 1))
    of_one = len(sent)
    many = Changes()
    for number in range(2, 42):
        many.fills.update(own_fill(intent, str(number), 1).fills)
        many.orders.update(own_fill(intent, str(number), number).orders)
    with told(owner.engine) as sent:
        await owner.record(many)
    assert len(sent) <= of_one
    assert (await rows_of(owner.engine, "fills"))["fills"] == 41


async def test_outcomes_of_a_former_epoch_change_nothing(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    former = Ownership(owner.claim.ownership.shard, owner.claim.ownership.epoch)
    await owner.claim_again()
    ended = Order(intent=intent, state=Cancelled(venue_id(intent), 0))
    with pytest.raises(OwnershipLost):
        await owner.repository.record(
            former, owner.claim.instrument, Changes(orders={intent.client_order_id: ended})
        )
    (row,) = await select(owner.engine, "SELECT status FROM orders")
    assert row.status == "intended"


async def test_outcome_without_a_cancel_keeps_the_venues_id_it_had(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    resting = Order(intent=intent, state=Open(venue_id(intent)))
    for order in (resting, replace(resting, cancel_requested=True)):
        await owner.record(Changes(orders={intent.client_order_id: order}))
    (row,) = await select(
        owner.engine, "SELECT venue_order_id, cancel_requested, ended_at FROM orders"
    )
    assert tuple(row) == (venue_id(intent), True, None)


async def test_many_transactions_at_once_make_no_connections_beyond_the_pool(
    clean_engine: AsyncEngine,
) -> None:
    made: list[object] = []

    def note(connection: object, _record: object) -> None:
        made.append(connection)

    async def ask() -> None:
        async with transaction(clean_engine) as connection:
            await connection.execute(text("SELECT pg_sleep(0.01)"))

    event.listen(clean_engine.sync_engine, "connect", note)
    try:
        for _ in range(2):
            await asyncio.gather(*(ask() for _ in range(100)))
    finally:
        event.remove(clean_engine.sync_engine, "connect", note)
    assert 0 < len(made) <= 8

"""A grid's phase outlives its owner: it is read from Postgres, not from the price."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import Purpose, Side
from grid.phase import Stage
from integration.store.factories import value
from integration.symbol_manager.harness import Rig, eventually
from ports.store import Desired, Status
from unit.symbol_manager.factories import make_phase, make_spec

ENTRIES = (-1, -2, -3)
STOPPED = "stop-loss: the price reached 97.5"
#: Bid and ask at the stop.
AT_STOP = ("97.49", "97.51")


@pytest.fixture
async def holding(clean_engine: AsyncEngine) -> AsyncIterator[Rig]:
    """Slot -1 holds and its exit rests; a price of 97.5 is to close it."""
    spec = make_spec(stop_loss={"price": "97.5"}, on_stop="close")
    rig = await Rig.build(clean_engine, spec)
    rig.start()
    await rig.until_entries(*ENTRIES)
    rig.exchange.fill(-1)
    await rig.until_exits(-1)
    yield rig
    await rig.crash()


async def until_flattening(rig: Rig) -> None:
    async def is_flattening() -> bool:
        tags = [rig.exchange.ids.decode(r.client_order_id) for r in rig.exchange.open_orders()]
        purposes = [tag.purpose for tag in tags if tag is not None]
        return purposes == [Purpose.FLATTEN] and await rig.is_settled()

    await eventually(is_flattening)


async def test_shard_stopped_by_the_price_closes_ends_and_stays_so_over_restarts(
    holding: Rig,
) -> None:
    holding.tick(*AT_STOP)
    await until_flattening(holding)
    await holding.crash()
    holding.tick()
    holding.start()
    await holding.until_epoch(2)
    await until_flattening(holding)
    await holding.until_status(Status.CLOSING)
    assert not await value(holding.engine, "SELECT post_only FROM orders WHERE purpose = 'flatten'")

    holding.exchange.fill(-1, Side.SELL)
    await holding.until_status(Status.STOPPED)
    assert await value(holding.engine, "SELECT status_reason FROM shards") == STOPPED
    await holding.assert_books_agree()
    await holding.crash()
    holding.start()
    await holding.until_epoch(3)
    await holding.until_status(Status.STOPPED)
    assert holding.exchange.open_orders() == []


async def test_shard_to_be_closed_sells_what_it_holds_and_is_removed(holding: Rig) -> None:
    await holding.wish(Desired.CLOSED)
    await until_flattening(holding)
    await holding.until_status(Status.REMOVING)
    holding.exchange.fill(-1, Side.SELL)
    assert await holding.until_ended() is None
    assert await value(holding.engine, "SELECT status_reason FROM shards") == "inventory closed"
    assert await value(holding.engine, "SELECT ended_at IS NOT NULL FROM shards")
    # Bought at 99 and sold at half a percent below 99.49, less both fees.
    assert await value(holding.engine, "SELECT profit FROM pairs") < 0
    await holding.assert_books_agree()


async def test_shard_that_waits_for_its_trigger_trades_after_it_also_when_restarted(
    clean_engine: AsyncEngine,
) -> None:
    spec = make_spec(trigger_price="101")
    phase = make_phase(Stage.WAITING, trigger_above=True)
    rig = await Rig.build(clean_engine, spec, phase)
    try:
        rig.start()
        await rig.until_status(Status.WAITING)
        assert rig.exchange.orders == {}
        await rig.wish(Desired.PAUSED)
        await rig.until_status(Status.PAUSED)
        await rig.wish()
        await rig.until_status(Status.WAITING)

        rig.tick("100.99", "101.01")
        await rig.until_status(Status.RUNNING)
        await rig.crash()
        rig.tick()
        rig.start()
        await rig.until_epoch(2)
        await rig.until_status(Status.RUNNING)
        assert await value(clean_engine, "SELECT phase ->> 'stage' FROM shards") == "running"
        assert await value(clean_engine, "SELECT start_price FROM shards") == Decimal(101)
    finally:
        await rig.crash()

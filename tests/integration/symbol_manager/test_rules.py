"""Trading rules that change under a shard, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import Side
from domain.instrument import Instrument
from integration.store.factories import select, value
from integration.symbol_manager.harness import Rig, eventually
from ports.store import Status
from support.fake_exchange import BTC

ENTRIES = (-1, -2, -3)
#: Neither 0.1, an entry, nor 0.09999, its exit, is a whole number of these lots.
COARSER = replace(BTC, tick_size=Decimal("0.25"), lot_size=Decimal("0.003"))


@pytest.fixture
async def trading(clean_engine: AsyncEngine) -> AsyncIterator[Rig]:
    """One slot holds what it bought and offers it; the other entries rest."""
    rig = await Rig.build(clean_engine)
    rig.start()
    await rig.until_entries(*ENTRIES)
    rig.exchange.fill(-1)
    await rig.until_exits(-1)
    yield rig
    await rig.crash()


async def until_in_force(rig: Rig, version: int) -> None:
    async def is_it() -> bool:
        return bool(await value(rig.engine, "SELECT instrument_version FROM shards") == version)

    await eventually(is_it)


async def change(rig: Rig, instrument: Instrument) -> None:
    before = int(await value(rig.engine, "SELECT instrument_version FROM shards"))
    rig.exchange.instrument = instrument
    rig.mailbox.put_instrument(instrument)
    await until_in_force(rig, before + 1)


async def test_shard_trades_what_it_holds_by_the_new_steps(trading: Rig) -> None:
    held = await value(trading.engine, "SELECT inventory FROM slots WHERE slot = -1")

    await change(trading, COARSER)

    await trading.until_exits(-1)
    await trading.until_entries(-2, -3)
    assert await value(trading.engine, "SELECT inventory FROM slots WHERE slot = -1") == held
    (exit_,) = trading.exchange.by_slot(Side.SELL).values()
    assert (held, exit_.quantity) == (Decimal("0.09999"), Decimal("0.099"))
    for report in trading.exchange.open_orders():
        assert report.price % Decimal("0.25") == report.quantity % Decimal("0.003") == 0

    trading.exchange.fill(-1, Side.SELL)
    trading.exchange.fill(-2)
    await trading.until_exits(-2)
    await trading.assert_books_agree()
    assert await value(trading.engine, "SELECT count(*) FROM instruments") == 2
    assert await value(trading.engine, "SELECT epoch FROM shards") == 2


async def test_shard_books_late_fills_of_orders_from_before(trading: Rig) -> None:
    """One had ended without a fill, as far as anybody said, and one comes back to life."""
    late, back = (trading.exchange.by_slot(Side.BUY)[slot] for slot in (-2, -3))
    await change(trading, COARSER)
    await trading.until_entries(-2, -3)

    trading.exchange.trade(late.client_order_id, "0.1", silent=True)
    trading.exchange.orders[back.client_order_id] = back
    trading.exchange.trade(back.client_order_id, "0.05")

    wanted = {(back.client_order_id, Decimal("0.05")), (late.client_order_id, Decimal("0.1"))}

    async def is_booked() -> bool:
        booked = await select(
            trading.engine, "SELECT client_order_id, quantity FROM fills WHERE origin = 'own'"
        )
        return wanted <= {(row.client_order_id, row.quantity) for row in booked}

    await eventually(is_booked)

    async def is_cancelled() -> bool:
        return back.client_order_id not in {
            report.client_order_id for report in trading.exchange.open_orders()
        }

    await eventually(is_cancelled)
    await trading.assert_books_agree()
    stored = await select(
        trading.engine,
        "SELECT filled, quantity, instrument_version FROM orders WHERE client_order_id = :id",
        id=back.client_order_id,
    )
    assert [tuple(row) for row in stored] == [(Decimal("0.05"), Decimal("0.1"), 1)]


async def test_shard_whose_fees_changed_keeps_its_orders(trading: Rig) -> None:
    resting = {report.client_order_id for report in trading.exchange.open_orders()}
    await change(trading, replace(BTC, maker_fee=Decimal("0.0002")))
    await trading.until_status(Status.RUNNING)
    assert {report.client_order_id for report in trading.exchange.open_orders()} == resting
    assert await value(trading.engine, "SELECT maker_fee FROM instruments WHERE version = 2") == (
        Decimal("0.0002")
    )


async def test_shard_whose_step_is_below_a_tick_is_halted_also_after_a_restart(
    trading: Rig,
) -> None:
    too_coarse = replace(BTC, tick_size=Decimal(2))
    trading.mailbox.put_instrument(too_coarse)

    async def is_halted() -> bool:
        (row,) = await select(trading.engine, "SELECT status, status_reason FROM shards")
        is_told = "`spacing.step` must be at least one tick, was 1; use 2" in row.status_reason
        return row.status == "halted" and is_told and not trading.exchange.open_orders()

    await eventually(is_halted)
    await trading.crash()
    trading.start()
    trading.mailbox.put_instrument(too_coarse)
    await trading.until_epoch(2)
    await eventually(is_halted)

    trading.mailbox.put_instrument(BTC)
    await trading.until_entries(-2, -3)
    await trading.until_exits(-1)
    assert await value(trading.engine, "SELECT count(*) FROM instruments") == 1

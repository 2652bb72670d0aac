"""The shard's whole path: rows in a real Postgres, an exchange that may lose replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost
from domain.ids import ClientOrderId, Side
from domain.orders import VenueStatus
from integration.store.factories import execute, join_node, select, value
from integration.symbol_manager.harness import Rig, eventually
from ports.exchange import StreamRestored
from ports.store import Desired, Status

ENTRIES = (-1, -2, -3)


@pytest.fixture
async def rig(clean_engine: AsyncEngine) -> AsyncIterator[Rig]:
    rig = await Rig.build(clean_engine)
    yield rig
    await rig.crash()


@pytest.fixture
async def trading(rig: Rig) -> Rig:
    """All entries rest."""
    rig.start()
    await rig.until_entries(*ENTRIES)
    return rig


async def generations(rig: Rig, slot: int, side: Side = Side.BUY) -> list[tuple[int, str]]:
    rows = await select(
        rig.engine,
        "SELECT generation, status FROM orders WHERE slot = :slot AND side = :side ORDER BY 1",
        slot=slot,
        side=side.value,
    )
    return [(row.generation, row.status) for row in rows]


async def test_shard_enters_and_every_intent_was_stored_before_it_was_sent(trading: Rig) -> None:
    await trading.until_status(Status.RUNNING)
    assert len(trading.exchange.sent) == 3
    assert trading.exchange.stored_at_sending == ["intended"] * 3
    assert [await generations(trading, slot) for slot in ENTRIES] == [[(1, "open")]] * 3


async def test_shard_fill_becomes_exit_becomes_pair(trading: Rig) -> None:
    trading.exchange.fill(-1)
    await trading.until_exits(-1)
    assert await value(trading.engine, "SELECT inventory FROM slots WHERE slot = -1") == Decimal(
        "0.09999"
    )
    trading.exchange.fill(-1, Side.SELL)

    async def has_pair() -> bool:
        return bool(await select(trading.engine, "SELECT FROM pairs"))

    await eventually(has_pair)
    # 0.1 BTC bought for 9.9; after a fee of 1 bp, 0.09999 of it sold for 9.999 less 1 bp.
    assert await value(trading.engine, "SELECT profit FROM pairs") == Decimal("0.0980001")
    await trading.until_entries(*ENTRIES)
    assert await generations(trading, -1) == [(1, "filled"), (2, "open")]
    await trading.assert_books_agree()


async def test_shard_partial_fill_is_sold_in_part_and_the_entry_stays(trading: Rig) -> None:
    entry = trading.exchange.order(-1)
    trading.exchange.trade(entry, "0.06")
    await trading.until_exits(-1)
    assert trading.exchange.order(-1) == entry
    # The base fee of 0.000006 takes the last lot with it.
    assert trading.exchange.by_slot(Side.SELL)[-1].quantity == Decimal("0.05999")
    await trading.assert_books_agree()


async def test_shard_fill_missed_by_the_stream_is_found_by_reconciliation(trading: Rig) -> None:
    trading.exchange.fill(-1, silent=True)
    await trading.until_exits(-1)
    await trading.assert_books_agree()


async def test_shard_lost_reply_of_an_order_that_rests_is_adopted(rig: Rig) -> None:
    rig.exchange.lost_replies = 2
    rig.start()
    await rig.until_entries(*ENTRIES)
    assert [await generations(rig, slot) for slot in ENTRIES] == [[(1, "open")]] * 3
    assert len(rig.exchange.sent) == 3


async def test_shard_lost_reply_of_an_order_that_never_arrived_is_replaced(rig: Rig) -> None:
    rig.exchange.lost_replies = 1
    rig.exchange.lost_orders_rest = False
    rig.start()
    await rig.until_entries(*ENTRIES)
    assert await generations(rig, -1) == [(1, "absent"), (2, "open")]
    assert len(rig.exchange.sent) == 4


async def test_shard_restarted_adopts_everything_and_sends_nothing_twice(trading: Rig) -> None:
    await trading.crash()
    trading.exchange.fill(-2, silent=True)
    trading.start()
    await trading.until_epoch(2)
    await trading.until_exits(-2)
    assert len(trading.exchange.sent) == 4
    await trading.assert_books_agree()


async def test_shard_crashed_with_unsent_intents_proves_them_absent(trading: Rig) -> None:
    """As after a kill between the commit and the sending: the rows say more than the venue."""
    await trading.crash()
    client_order_id = trading.exchange.order(-1)
    del trading.exchange.orders[client_order_id]
    await execute(
        trading.engine,
        "UPDATE orders SET status = 'intended', venue_order_id = NULL WHERE slot = -1",
    )
    trading.start()
    await trading.until_entries(*ENTRIES)
    assert await generations(trading, -1) == [(1, "absent"), (2, "open")]


async def test_shard_fill_of_a_cancelled_order_after_a_restart_is_its_own(trading: Rig) -> None:
    """The venue had told the end of the order before it told this fill."""
    await trading.crash()
    report = trading.exchange.by_slot(Side.BUY)[-3]
    await execute(
        trading.engine,
        "UPDATE orders SET status = 'cancelled', ended_at = clock_timestamp() WHERE slot = -3",
    )
    trading.exchange.end(-3, VenueStatus.CANCELLED)
    trading.exchange.trade_unreported(report.venue_order_id, "0.06")
    trading.start()

    async def is_booked() -> bool:
        return bool(await select(trading.engine, "SELECT FROM fills WHERE origin <> 'parked'"))

    await eventually(is_booked)
    assert await value(trading.engine, "SELECT origin FROM fills") == "own"


async def test_shard_kill_wish_cancels_all_and_rearming_enters_again(trading: Rig) -> None:
    trading.exchange.fill(-1)
    await trading.until_exits(-1)
    await trading.wish(is_killed=True)
    await trading.until_status(Status.STOPPED)
    assert trading.exchange.open_orders() == []

    await trading.wish()
    await trading.until_exits(-1)
    await trading.until_status(Status.RUNNING)
    await trading.assert_books_agree()


async def test_shard_pause_wish_keeps_exits_only(trading: Rig) -> None:
    trading.exchange.fill(-1)
    await trading.until_exits(-1)
    await trading.wish(Desired.PAUSED)
    await trading.until_entries()
    await trading.until_status(Status.PAUSED)
    assert set(trading.exchange.by_slot(Side.SELL)) == {-1}


async def test_shard_removed_cancels_and_ends(trading: Rig) -> None:
    await trading.wish(Desired.REMOVED)
    assert await trading.until_ended() is None
    assert trading.exchange.open_orders() == []
    await trading.until_status(Status.REMOVED)


@pytest.mark.parametrize(
    ("cancel_orders", "resting"),
    [pytest.param(True, 0, id="cancelling"), pytest.param(False, 3, id="leaving orders")],
)
async def test_shard_stopped_leaves_its_workflow_pending(
    trading: Rig, cancel_orders: bool, resting: int
) -> None:
    trading.stop(cancel_orders=cancel_orders)
    assert isinstance(await trading.until_ended(), asyncio.CancelledError)
    assert len(trading.exchange.open_orders()) == resting
    trading.start()
    await trading.until_entries(*ENTRIES)
    assert len(trading.exchange.sent) == 3 + (3 - resting)


async def make_late_order(rig: Rig) -> ClientOrderId:
    """The first order of slot -1 is proven absent and has a successor; it is on its way still."""
    rig.exchange.lost_replies = 1
    rig.exchange.lost_orders_rest = False
    rig.start()
    await rig.until_entries(*ENTRIES)
    assert await generations(rig, -1) == [(1, "absent"), (2, "open")]
    (late,) = rig.exchange.under_way
    return late


async def until_cancelled(rig: Rig, client_order_id: ClientOrderId) -> None:
    async def is_cancelled() -> bool:
        there = rig.exchange.orders[client_order_id].status is VenueStatus.CANCELLED
        return there and await rig.is_settled()

    await eventually(is_cancelled)


async def test_shard_order_that_arrives_after_its_absence_was_proven_is_cancelled_on_sight(
    rig: Rig,
) -> None:
    late = await make_late_order(rig)
    rig.exchange.arrive(late)
    await until_cancelled(rig, late)
    await rig.until_entries(*ENTRIES)
    assert await generations(rig, -1) == [(1, "cancelled"), (2, "open")]
    assert [
        tuple(row) for row in await select(rig.engine, "SELECT kind, subject FROM findings")
    ] == [("stray", late)]
    assert await value(rig.engine, "SELECT epoch FROM shards") == 1


async def test_shard_order_that_arrives_while_nobody_looks_is_cancelled_after_the_restart(
    rig: Rig,
) -> None:
    late = await make_late_order(rig)
    await rig.crash()
    rig.exchange.arrive(late, silent=True)
    rig.start()
    await until_cancelled(rig, late)
    assert await generations(rig, -1) == [(1, "cancelled"), (2, "open")]
    assert await value(rig.engine, "SELECT kind FROM findings") == "stray"


async def test_shard_order_that_arrives_late_and_fills_has_its_fill_booked(rig: Rig) -> None:
    late = await make_late_order(rig)
    await rig.crash()
    rig.exchange.arrive(late, silent=True)
    rig.exchange.trade(late, "0.06", silent=True)
    rig.start()
    await until_cancelled(rig, late)
    await rig.until_exits(-1)
    assert await value(rig.engine, "SELECT client_order_id FROM fills") == late
    await rig.assert_books_agree()


async def test_shard_taken_over_sends_nothing_more_and_ends(trading: Rig) -> None:
    await join_node(trading.engine, "node-2:start-1", host="elsewhere")
    await execute(trading.engine, "UPDATE shards SET epoch = epoch + 1, owner = 'node-2:start-1'")
    trading.exchange.fill(-1)
    assert isinstance(await trading.until_ended(), OwnershipLost)
    assert len(trading.exchange.sent) == 3
    assert await value(trading.engine, "SELECT count(*) FROM fills") == 0


async def test_shard_asked_to_reconcile_finds_what_the_stream_missed(rig: Rig) -> None:
    rig.start(reconcile_every_ms=3_600_000)
    await rig.until_entries(*ENTRIES)
    rig.exchange.fill(-1, silent=True)
    rig.mailbox.put_order_event(StreamRestored())
    await rig.until_exits(-1)
    await rig.assert_books_agree()


@pytest.mark.parametrize("attribute", ["fail_before_commit", "fail_after_commit"])
async def test_shard_store_failure_while_recording_fills_reloads_and_loses_nothing(
    trading: Rig, attribute: str
) -> None:
    setattr(trading.store, attribute, 1)
    trading.exchange.fill(-1)
    await trading.until_epoch(2)
    trading.tick()
    await trading.until_exits(-1)
    await trading.assert_books_agree()


async def test_shard_store_failure_in_a_quiet_market_goes_on_with_the_known_price(
    trading: Rig,
) -> None:
    trading.store.fail_before_commit = 1
    trading.exchange.fill(-1)
    await trading.until_epoch(2)
    await trading.until_exits(-1, timeout_s=3)


@pytest.mark.parametrize("attribute", ["fail_before_commit", "fail_after_commit"])
async def test_shard_store_failure_after_sending_adopts_what_was_sent(
    rig: Rig, attribute: str
) -> None:
    setattr(rig.store, attribute, 1)
    rig.start()
    await rig.until_epoch(2)
    await rig.until_entries(*ENTRIES)
    assert len(rig.exchange.sent) == 3


async def test_shard_order_cancelled_by_a_person_is_placed_again(trading: Rig) -> None:
    trading.exchange.end(-2, VenueStatus.CANCELLED)
    await trading.until_entries(*ENTRIES)
    assert await generations(trading, -2) == [(1, "cancelled"), (2, "open")]


async def test_shard_base_that_is_gone_halts_entries_and_keeps_exits(trading: Rig) -> None:
    trading.exchange.fill(-1)
    await trading.until_exits(-1)
    trading.exchange.balances["BTC"] -= Decimal("0.05")
    await trading.until_status(Status.HALTED)
    reason = await value(trading.engine, "SELECT status_reason FROM shards")
    assert reason == "the account holds 0.05000000 BTC less than the slots"
    await trading.until_entries()
    assert set(trading.exchange.by_slot(Side.SELL)) == {-1}

    trading.exchange.balances["BTC"] += Decimal("0.05")
    await trading.until_status(Status.RUNNING)


async def test_shard_fill_while_reconciling_is_no_shortfall(trading: Rig) -> None:
    trading.exchange.fills_after_balances = -1
    await trading.until_exits(-1)
    assert trading.store.statuses == [Status.RUNNING]

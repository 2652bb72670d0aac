"""What a batch of events did is recorded together, and each trade once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import InvariantViolation
from domain.ids import Side, SlotId
from domain.orders import Absent, Cancelled, Filled, Open, Order
from grid.ladder import LadderVersion
from grid.phase import Stage
from grid.slots import Pair
from grid.spec import ArithmeticSpacing, GeometricSpacing
from integration.store.factories import (
    Owner,
    make_owner,
    own_fill,
    rows_of,
    select,
    value,
)
from ports.store import Changes, ClosedPair, Fill, Finding, Origin
from support.fake_exchange import BTC
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    make_phase,
    make_slot,
    make_trade,
    slot_id,
    venue_id,
)


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    return await make_owner(clean_engine)


async def test_record_fill_writes_order_slot_fill_and_ledger_together(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.record(
        own_fill(intent, "1", ENTRY_LOTS, fee=Decimal("0.00001"), fee_asset="BTC", traded_ms=77)
    )
    movements = await select(owner.engine, "SELECT asset, kind, amount FROM ledger ORDER BY 1, 2")
    assert [tuple(row) for row in movements] == [
        ("BTC", "fee", Decimal("-0.00001")),
        ("BTC", "trade", Decimal("0.1")),
        ("USDT", "trade", Decimal("-9.9")),
    ]
    (fill,) = await select(owner.engine, "SELECT origin, traded_at FROM fills")
    assert fill.origin == "own"
    assert fill.traded_at.timestamp() == 0.077


async def test_record_that_fails_in_the_middle_changes_nothing(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.record(own_fill(intent, "1", 5))
    again = own_fill(intent, "1", 5)
    again.orders[intent.client_order_id] = Order(
        intent=intent, state=Filled(venue_id(intent), ENTRY_LOTS)
    )
    again.slots[slot_id(-1)] = make_slot(-1, 10)
    before = await owner.repository.load(owner.claim)
    with pytest.raises(InvariantViolation, match="trades 1: one is already recorded"):
        await owner.record(again)
    assert await owner.repository.load(owner.claim) == before
    assert await rows_of(owner.engine, "fills", "ledger") == {"fills": 1, "ledger": 2}


async def test_record_pair_of_one_closing_trade_twice_changes_nothing(owner: Owner) -> None:
    trade = make_trade(owner.intent(-1, Side.SELL), "9", 5)
    pair = Pair(
        slot=slot_id(-1),
        quantity_units=5_000,
        cost_units=495_000,
        proceeds_units=500_000,
        fee_quote_units=0,
        fee_base_units=0,
    )
    await owner.record(Changes(pairs=[ClosedPair(pair, trade)]))
    again = Changes(slots={slot_id(-1): make_slot(-1, 7)}, pairs=[ClosedPair(pair, trade)])
    with pytest.raises(IntegrityError):
        await owner.record(again)
    assert await rows_of(owner.engine, "pairs", "slots") == {"pairs": 1, "slots": 0}
    assert await value(owner.engine, "SELECT profit FROM pairs") == Decimal("0.00005")


async def test_record_parked_trade_becomes_own_and_is_booked_once(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    trade = make_trade(intent, "1", 5, traded_ms=1_700_000_000_123)
    await owner.record(Changes(fills={"1": Fill(trade=trade, origin=Origin.PARKED)}))
    loaded = await owner.repository.load(owner.claim)
    assert loaded.parked == [trade]
    assert loaded.trade_ids == {"1"}

    await owner.record(own_fill(intent, "1", 5, traded_ms=1_700_000_000_123))
    loaded = await owner.repository.load(owner.claim)
    assert loaded.parked == []
    assert loaded.settled == {intent.client_order_id: BTC.lots_to_quantity(5)}
    assert await rows_of(owner.engine, "fills", "ledger") == {"fills": 1, "ledger": 2}


async def test_record_trade_taken_for_a_persons_becomes_own_and_never_the_other_way(
    owner: Owner,
) -> None:
    intent = owner.intent()
    await owner.place(intent)
    external = Changes(fills={"1": Fill(trade=make_trade(intent, "1", 5), origin=Origin.EXTERNAL)})
    await owner.record(external)
    await owner.record(own_fill(intent, "1", 5))
    assert await value(owner.engine, "SELECT client_order_id FROM fills") == intent.client_order_id
    assert await rows_of(owner.engine, "fills", "ledger") == {"fills": 1, "ledger": 2}

    with pytest.raises(InvariantViolation, match="trades 1: one is already recorded"):
        await owner.record(external)
    assert await value(owner.engine, "SELECT origin FROM fills") == "own"


@pytest.mark.parametrize("ended_first", [True, False])
async def test_record_order_that_ends_makes_room_for_one_that_returns(
    owner: Owner, ended_first: bool
) -> None:
    """Of one slot and side: the older was taken for absent, the newer is cancelled meanwhile."""
    older, newer = owner.intent(), owner.intent(generation=2)
    for intent, state in ((older, Absent("not found")), (newer, Open(venue_id(newer)))):
        await owner.place(intent)
        await owner.record(
            Changes(orders={intent.client_order_id: Order(intent=intent, state=state)})
        )
    moved = [
        Order(intent=newer, state=Cancelled(venue_id(newer), 0)),
        Order(intent=older, state=Open(venue_id(older))),
    ]
    await owner.record(
        Changes(
            orders={
                order.intent.client_order_id: order
                for order in (moved if ended_first else reversed(moved))
            }
        )
    )
    assert (await owner.repository.load(owner.claim)).orders == [moved[1]]


async def test_record_finding_seen_often_is_one_row(owner: Owner) -> None:
    finding = Finding(kind="stray", subject="c1", detail={"status": "open"})
    await owner.record(Changes(findings=[finding]))
    await owner.record(Changes(findings=[finding, replace(finding, subject="c2")]))
    found = await select(owner.engine, "SELECT subject, detail FROM findings ORDER BY subject")
    assert [tuple(row) for row in found] == [
        ("c1", {"status": "open"}),
        ("c2", {"status": "open"}),
    ]


async def test_record_reconciliation_without_trades_keeps_how_far_it_was(owner: Owner) -> None:
    await owner.record(Changes(is_reconciled=True, reconciled_trade_id="41"))
    await owner.record(Changes(is_reconciled=True))
    assert (await owner.claim_again()).claim.reconciled_trade_id == "41"


async def test_record_short_pair_is_negative_on_both_sides_and_counts_for_the_next_owner(
    owner: Owner,
) -> None:
    """Sold for 10.1 and bought back for 10."""
    trade = make_trade(owner.intent(0), "9", ENTRY_LOTS)
    pair = Pair(
        slot=SlotId(3, 0),
        quantity_units=10_000_000,
        cost_units=-1_010_000_000,
        proceeds_units=-1_000_000_000,
        fee_quote_units=0,
        fee_base_units=0,
    )
    await owner.record(Changes(pairs=[ClosedPair(pair, trade)]))
    (row,) = await select(owner.engine, "SELECT ladder_version, cost, proceeds, profit FROM pairs")
    assert tuple(row) == (3, Decimal("-10.1"), Decimal(-10), Decimal("0.1"))
    assert (await owner.repository.load(owner.claim)).paired_units == pair.profit_units


async def test_record_phase_is_what_the_next_owner_claims(owner: Owner) -> None:
    phase = make_phase(Stage.CLOSING, reason="stop-loss: it fell", trigger_above=True, shift=-3)
    await owner.record(Changes(phase=phase))
    assert (await owner.claim_again()).claim.phase == phase


async def test_record_ladder_becomes_the_current_one_and_a_version_may_be_used_again(
    owner: Owner,
) -> None:
    first, spacing = owner.claim.ladders[0], ArithmeticSpacing(step=Decimal("2.50"))
    second = LadderVersion(version=1, anchor=Decimal("101.5"), spacing=spacing)
    await owner.record(Changes(ladder=second))
    again = await owner.claim_again()
    assert again.claim.ladders == (first, second)

    reused = LadderVersion(
        version=0, anchor=Decimal(99), spacing=GeometricSpacing(ratio=Decimal("1.01"))
    )
    await again.record(Changes(ladder=reused))
    assert (await again.claim_again()).claim.ladders == (second, reused)

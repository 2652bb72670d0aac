"""A decision's intents are committed whole, once, and never under the kill switch."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import KillSwitchEngaged
from domain.ids import Side, VenueOrderId
from domain.orders import (
    Intended,
    Open,
    Order,
    OrderState,
    PartiallyFilled,
    Rejected,
    Unknown,
)
from domain.plans import Plan
from grid.slots import Slot
from integration.store.factories import (
    Owner,
    make_owner,
    rows_of,
    select,
    value,
)
from ports.store import Changes
from store.kill_switch import KillSwitch
from unit.symbol_manager.factories import (
    cancelling,
    placing,
    slot_id,
)


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    return await make_owner(clean_engine)


async def test_commit_decision_writes_intents_generations_and_the_record(owner: Owner) -> None:
    entry, exit_ = owner.intent(), owner.intent(-2, Side.SELL)
    committed = await owner.place(entry, exit_)
    assert committed.plan == placing(entry, exit_)
    loaded = await owner.repository.load(owner.claim)
    assert {order.intent.client_order_id: order for order in loaded.orders} == {
        intent.client_order_id: Order(intent=intent, state=Intended()) for intent in (entry, exit_)
    }
    assert loaded.slots[slot_id(-1)] == Slot(id=slot_id(-1), buy_generation=1)
    assert loaded.slots[slot_id(-2)] == Slot(id=slot_id(-2), sell_generation=1)
    ((decision,),) = await select(
        owner.engine,
        "SELECT row(decision_id, epoch, sequence, bid, ask, exchange_ms) FROM decisions",
    )
    assert decision == ("sim-BTC-USDT:1:1", "1", "1", "99.99", "100.01", "5")


async def test_commit_decision_cancel_marks_its_order_only(owner: Owner) -> None:
    await owner.place(owner.intent(), owner.intent(-2))
    await owner.commit(cancelling(owner.intent()))
    marked = await select(owner.engine, "SELECT slot FROM orders WHERE cancel_requested")
    assert [row.slot for row in marked] == [-1]


async def test_commit_decision_under_the_kill_switch_places_nothing(owner: Owner) -> None:
    await owner.place(owner.intent())
    await KillSwitch(owner.engine).engage(reason="test", request_id="kill:1")
    both = Plan(cancelling(owner.intent()).cancels, placing(owner.intent(-2)).places)
    with pytest.raises(KillSwitchEngaged):
        await owner.commit(both)
    assert await rows_of(owner.engine, "decisions", "orders", "slots") == {
        "decisions": 1,
        "orders": 1,
        "slots": 1,
    }
    assert not await value(owner.engine, "SELECT cancel_requested FROM orders")


async def test_commit_decision_under_the_kill_switch_still_cancels(owner: Owner) -> None:
    await owner.place(owner.intent())
    await KillSwitch(owner.engine).engage(reason="test", request_id="kill:1")
    await owner.commit(cancelling(owner.intent()))
    assert await value(owner.engine, "SELECT cancel_requested FROM orders")


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(Intended(), id="intended"),
        pytest.param(Unknown("timeout"), id="unknown"),
        pytest.param(Open(VenueOrderId("v")), id="open"),
        pytest.param(PartiallyFilled(VenueOrderId("v"), 1), id="partly filled"),
    ],
)
async def test_commit_decision_second_live_order_of_a_slot_side_is_impossible(
    owner: Owner, state: OrderState
) -> None:
    first = owner.intent()
    await owner.place(first)
    await owner.record(Changes(orders={first.client_order_id: Order(intent=first, state=state)}))
    with pytest.raises(IntegrityError, match="orders_one_live_per_slot_side"):
        await owner.place(owner.intent(-2), owner.intent(generation=2))
    assert await rows_of(owner.engine, "decisions", "orders", "slots") == {
        "decisions": 1,
        "orders": 1,
        "slots": 1,
    }


async def test_commit_decision_after_the_end_takes_the_next_generation_once(owner: Owner) -> None:
    first, second = owner.intent(), owner.intent(generation=2)
    await owner.place(first)
    rejected = Order(intent=first, state=Rejected("filter"))
    await owner.record(Changes(orders={first.client_order_id: rejected}))
    with pytest.raises(IntegrityError):
        await owner.place(first)
    await owner.place(second)
    loaded = await owner.repository.load(owner.claim)
    assert [order.intent for order in loaded.orders] == [second]
    assert loaded.slots[slot_id(-1)].buy_generation == 2

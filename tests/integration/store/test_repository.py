"""Each transaction of a shard: all of it under the current epoch, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, table
from sqlalchemy import select as sql_select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import InvariantViolation, KillSwitchEngaged, OwnershipLost, StoreUnavailable
from domain.ids import ClientOrderId, Side, VenueOrderId
from domain.orders import (
    Absent,
    Cancelled,
    Filled,
    Intended,
    Intent,
    Open,
    Order,
    OrderState,
    PartiallyFilled,
    Rejected,
    Unknown,
)
from domain.plans import Plan
from grid.slots import Pair, Slot
from integration.store.factories import (
    EXECUTOR,
    Owner,
    add_symbol,
    execute,
    join_node,
    make_owner,
    new_symbol,
    select,
    start_workflow,
    value,
)
from orchestrator.workflows import run_shard_id
from ports.store import Changes, ClosedPair, Fill, Finding, Origin, Ownership, Status
from store.engine import create_engine
from store.registry import Registry
from store.repository import Repository
from support.fake_exchange import BTC
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    cancelling,
    make_slot,
    make_trade,
    placing,
    venue_id,
)

OTHER_EXECUTOR = "node-2:start-1"


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    return await make_owner(clean_engine)


def own_fill(intent: Intent, trade_id: str, lots: int, **changes: Any) -> Changes:
    """What a fill of an entry does, as the shard records it."""
    trade = make_trade(intent, trade_id, lots, **changes)
    order = Order(intent=intent, state=PartiallyFilled(venue_id(intent), lots))
    return Changes(
        orders={intent.client_order_id: order},
        fills={
            trade_id: Fill(trade=trade, origin=Origin.OWN, client_order_id=intent.client_order_id)
        },
        slots={intent.tag.slot: make_slot(intent.tag.slot, lots)},
    )


async def rows_of(engine: AsyncEngine, *tables: str) -> dict[str, int]:
    async with engine.connect() as connection:
        return {
            name: await connection.scalar(sql_select(func.count()).select_from(table(name))) or 0
            for name in tables
        }


# Ownership.


async def test_claim_by_the_same_executor_raises_the_epoch(owner: Owner) -> None:
    again = await owner.claim_again()
    assert again.claim.ownership == Ownership(owner.claim.ownership.shard, 2)
    assert replace(again.claim, ownership=owner.claim.ownership) == owner.claim
    assert not await owner.repository.holds(owner.claim.ownership)
    assert await owner.repository.holds(again.claim.ownership)


async def claim_without_node(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await execute(engine, "DELETE FROM nodes")


async def claim_cancelled(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await start_workflow(engine, workflow_id, status="CANCELLED")


async def claim_resumed_elsewhere(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await start_workflow(engine, workflow_id, OTHER_EXECUTOR)


async def claim_removed(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await execute(engine, "UPDATE shards SET status = 'removed'")


async def claim_owned(engine: AsyncEngine, shard: int, workflow_id: str) -> None:
    await join_node(engine, OTHER_EXECUTOR)
    await execute(engine, "UPDATE shards SET owner = :owner", owner=OTHER_EXECUTOR)


@pytest.mark.parametrize(
    "obstacle",
    [
        pytest.param(claim_without_node, id="own node declared dead"),
        pytest.param(claim_cancelled, id="workflow cancelled"),
        pytest.param(claim_resumed_elsewhere, id="workflow resumed by another"),
        pytest.param(claim_removed, id="symbol removed"),
        pytest.param(claim_owned, id="owned by a live node"),
    ],
)
async def test_claim_of_what_is_not_ours_is_refused_and_changes_nothing(
    owner: Owner, obstacle: Callable[[AsyncEngine, int, str], Awaitable[None]]
) -> None:
    shard = owner.claim.ownership.shard
    workflow_id = run_shard_id(owner.claim.key, shard)
    await obstacle(owner.engine, shard, workflow_id)
    with pytest.raises(OwnershipLost):
        await owner.repository.claim(shard, workflow_id)
    assert await value(owner.engine, "SELECT epoch FROM shards") == 1


async def test_claim_after_the_owners_node_is_gone_succeeds(owner: Owner) -> None:
    engine, shard = owner.engine, owner.claim.ownership.shard
    workflow_id = run_shard_id(owner.claim.key, shard)
    await join_node(engine, OTHER_EXECUTOR)
    await start_workflow(engine, workflow_id, OTHER_EXECUTOR)
    await execute(engine, "DELETE FROM nodes WHERE executor_id = :id", id=EXECUTOR)
    claim = await Repository(engine, OTHER_EXECUTOR).claim(shard, workflow_id)
    assert claim.ownership.epoch == 2
    with pytest.raises(OwnershipLost):
        await owner.record(Changes(is_reconciled=True))


async def test_stale_epoch_can_change_nothing(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.claim_again()
    before = (
        await select(owner.engine, "SELECT * FROM orders"),
        await select(owner.engine, "SELECT * FROM shards"),
    )

    with pytest.raises(OwnershipLost):
        await owner.place(owner.intent(-2))
    with pytest.raises(OwnershipLost):
        await owner.record(own_fill(intent, "1", 5))
    with pytest.raises(OwnershipLost):
        await owner.repository.set_status(owner.claim.ownership, Status.HALTED, "stale")
    with pytest.raises(OwnershipLost):
        await owner.repository.add_instrument(owner.claim.ownership, replace(BTC, version=2))

    after = (
        await select(owner.engine, "SELECT * FROM orders"),
        await select(owner.engine, "SELECT * FROM shards"),
    )
    assert after == before
    rows = await rows_of(owner.engine, "decisions", "fills", "ledger", "instruments")
    assert rows == {"decisions": 1, "fills": 0, "ledger": 0, "instruments": 1}


# Decisions.


async def test_commit_decision_writes_intents_generations_and_the_record(owner: Owner) -> None:
    entry, exit_ = owner.intent(), owner.intent(-2, Side.SELL)
    committed = await owner.place(entry, exit_)
    assert committed.plan == placing(entry, exit_)
    loaded = await owner.repository.load(owner.claim)
    assert {order.intent.client_order_id: order for order in loaded.orders} == {
        intent.client_order_id: Order(intent=intent, state=Intended()) for intent in (entry, exit_)
    }
    assert loaded.slots[-1] == Slot(index=-1, ladder_version=0, buy_generation=1)
    assert loaded.slots[-2] == Slot(index=-2, ladder_version=0, sell_generation=1)
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
    registry = Registry(owner.engine)
    await registry.throw_kill_switch(engaged=True, reason="test", request_id="kill:1")
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
    registry = Registry(owner.engine)
    await registry.throw_kill_switch(engaged=True, reason="test", request_id="kill:1")
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
    assert loaded.slots[-1].buy_generation == 2


# What is recorded.


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
    again.slots[-1] = make_slot(-1, 10)
    before = await owner.repository.load(owner.claim)
    with pytest.raises(InvariantViolation, match="trade 1 is already recorded"):
        await owner.record(again)
    assert await owner.repository.load(owner.claim) == before
    assert await rows_of(owner.engine, "fills", "ledger") == {"fills": 1, "ledger": 2}


async def test_record_pair_of_one_closing_trade_twice_changes_nothing(owner: Owner) -> None:
    trade = make_trade(owner.intent(-1, Side.SELL), "9", 5)
    pair = Pair(
        slot=-1,
        ladder_version=0,
        quantity_units=5_000,
        cost_units=495_000,
        proceeds_units=500_000,
        fee_quote_units=0,
        fee_base_units=0,
    )
    await owner.record(Changes(pairs=[ClosedPair(pair, trade)]))
    again = Changes(slots={-1: make_slot(-1, 7)}, pairs=[ClosedPair(pair, trade)])
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
    assert loaded.settled_lots == {intent.client_order_id: 5}
    assert await rows_of(owner.engine, "fills", "ledger") == {"fills": 1, "ledger": 2}


async def test_record_trade_of_a_person_never_becomes_own(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    trade = make_trade(intent, "1", 5)
    await owner.record(Changes(fills={"1": Fill(trade=trade, origin=Origin.EXTERNAL)}))
    with pytest.raises(InvariantViolation):
        await owner.record(own_fill(intent, "1", 5))
    assert await value(owner.engine, "SELECT origin FROM fills") == "external"


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


@pytest.mark.parametrize(
    ("state", "settled_lots", "is_loaded"),
    [
        pytest.param(Intended(), 0, True, id="intended"),
        pytest.param(Unknown("timeout"), 0, True, id="unknown"),
        pytest.param(Open(VenueOrderId("v1")), 0, True, id="open"),
        pytest.param(PartiallyFilled(VenueOrderId("v1"), 5), 5, True, id="partly filled"),
        pytest.param(Filled(VenueOrderId("v1"), ENTRY_LOTS), 5, True, id="trades missing"),
        pytest.param(Filled(VenueOrderId("v1"), ENTRY_LOTS), ENTRY_LOTS, False, id="filled"),
        pytest.param(Cancelled(VenueOrderId("v1"), 5), 4, True, id="cancelled, trade missing"),
        pytest.param(Cancelled(VenueOrderId("v1"), 5), 5, False, id="cancelled"),
        pytest.param(Rejected("filter: tick"), 0, False, id="rejected"),
        pytest.param(Absent("never arrived"), 0, False, id="absent"),
    ],
)
async def test_order_of_any_state_reads_back_equal_and_is_loaded_while_it_matters(
    owner: Owner, state: OrderState, settled_lots: int, is_loaded: bool
) -> None:
    intent = owner.intent(lots=ENTRY_LOTS)
    await owner.place(intent)
    order = Order(intent=intent, state=state)
    changes = Changes(orders={intent.client_order_id: order})
    if settled_lots:
        changes.fills["1"] = Fill(
            trade=make_trade(intent, "1", settled_lots),
            origin=Origin.OWN,
            client_order_id=intent.client_order_id,
        )
    await owner.record(changes)

    found = await owner.repository.find_order(owner.claim, intent.client_order_id)
    assert found == (order, settled_lots)
    loaded = await owner.repository.load(owner.claim)
    assert loaded.orders == ([order] if is_loaded else [])
    assert loaded.settled_lots == ({intent.client_order_id: settled_lots} if is_loaded else {})
    is_ended = await value(owner.engine, "SELECT ended_at IS NOT NULL FROM orders")
    assert is_ended is not order.is_live


async def test_find_order_never_intended_or_of_another_shard_is_none(owner: Owner) -> None:
    ether = replace(BTC, symbol="ETH/USDT", base="ETH")
    other = await make_owner(owner.engine, new_symbol("add:2", ether))
    intent = other.intent()
    await other.place(intent)
    assert await owner.repository.find_order(owner.claim, ClientOrderId("nobody")) is None
    assert await owner.repository.find_order(owner.claim, intent.client_order_id) is None


#: Units with up to 18 digits: more than any account holds.
units = st.integers(0, 10**18)
slots = st.builds(
    Slot,
    index=st.integers(-(1 << 15), (1 << 15) - 1),
    ladder_version=st.just(0),
    inventory_units=units,
    cost_units=units,
    sold_units=units,
    sold_cost_units=units,
    proceeds_units=st.integers(-(10**18), 10**18),
    fee_quote_units=units,
    fee_base_units=units,
    buy_generation=st.integers(0, (1 << 20) - 1),
    sell_generation=st.integers(0, (1 << 20) - 1),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(recorded=st.lists(slots, unique_by=lambda slot: slot.index, max_size=20))
async def test_load_gives_back_any_slots_as_they_were_recorded(
    owner: Owner, recorded: list[Slot]
) -> None:
    await execute(owner.engine, "DELETE FROM slots")
    by_index = {slot.index: slot for slot in recorded}
    await owner.record(Changes(slots=by_index))
    assert (await owner.repository.load(owner.claim)).slots == by_index


async def test_record_slot_never_lowers_a_generation(owner: Owner) -> None:
    await owner.place(owner.intent())
    await owner.record(Changes(slots={-1: make_slot(-1, 5, buy_generation=0)}))
    assert (await owner.repository.load(owner.claim)).slots[-1] == make_slot(-1, 5)


async def test_held_inventory_adds_the_symbols_that_share_a_base(owner: Owner) -> None:
    in_euro = replace(BTC, symbol="BTC/EUR", quote="EUR")
    ether = replace(BTC, symbol="ETH/USDT", base="ETH")
    for number, instrument in enumerate((in_euro, ether), start=2):
        other = await make_owner(owner.engine, new_symbol(f"add:{number}", instrument))
        await other.record(Changes(slots={0: make_slot(0, 300)}))
    await owner.record(Changes(slots={0: make_slot(0, 100), 1: make_slot(1, 50)}))
    assert await owner.repository.held_inventory("sim", "BTC") == BTC.lots_to_quantity(450)
    assert await owner.repository.held_inventory("sim", "DOGE") == 0
    await execute(owner.engine, "UPDATE shards SET status = 'removed' WHERE symbol = 'BTC/EUR'")
    assert await owner.repository.held_inventory("sim", "BTC") == BTC.lots_to_quantity(150)


async def test_add_instrument_is_what_the_next_claim_uses(owner: Owner) -> None:
    changed = replace(BTC, version=2, min_notional=Decimal(10), min_quantity_lots=3)
    await owner.repository.add_instrument(owner.claim.ownership, changed)
    assert (await owner.claim_again()).claim.instrument == changed


async def test_set_status_is_what_people_see(owner: Owner) -> None:
    await owner.repository.set_status(owner.claim.ownership, Status.HALTED, "funds")
    seen = await Registry(owner.engine).symbol(owner.claim.ownership.shard)
    assert (seen.status, seen.reason) == (Status.HALTED, "funds")
    await owner.repository.set_status(owner.claim.ownership, Status.REMOVED, "")
    assert await value(owner.engine, "SELECT ended_at IS NOT NULL FROM shards")


@pytest.fixture
async def nowhere() -> AsyncIterator[AsyncEngine]:
    engine = create_engine("postgresql://nobody@127.0.0.1:1/nothing")
    yield engine
    await engine.dispose()


async def test_repository_without_postgres_says_so_in_our_words(nowhere: AsyncEngine) -> None:
    with pytest.raises(StoreUnavailable):
        await Repository(nowhere, EXECUTOR).holds(Ownership(1, 1))


async def test_add_symbol_makes_a_shard_that_can_be_claimed_once_started(
    clean_engine: AsyncEngine,
) -> None:
    await Registry(clean_engine).installation_nonce()
    shard = await add_symbol(clean_engine)
    await join_node(clean_engine)
    repository, workflow_id = (
        Repository(clean_engine, EXECUTOR),
        run_shard_id(new_symbol().key, shard),
    )
    with pytest.raises(OwnershipLost):
        await repository.claim(shard, workflow_id)
    await start_workflow(clean_engine, workflow_id)
    claim = await repository.claim(shard, workflow_id)
    assert (claim.ownership, claim.instrument, claim.anchor) == (
        Ownership(shard, 1),
        BTC,
        Decimal(100),
    )

"""What a shard recorded is what its next owner loads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import OwnershipLost, StoreUnavailable
from domain.ids import ClientOrderId, SlotId, SymbolKey, VenueOrderId
from domain.instrument import MarketKind
from domain.orders import (
    Absent,
    Cancelled,
    Filled,
    Intended,
    Open,
    Order,
    OrderState,
    PartiallyFilled,
    Rejected,
    Unknown,
)
from grid.slots import Slot
from integration.store.factories import (
    EXECUTOR,
    Owner,
    add_symbol,
    execute,
    join_node,
    make_owner,
    new_symbol,
    own_fill,
    start_workflow,
    value,
)
from orchestrator.workflows import run_shard_id
from ports.store import Changes, Fill, Origin, Ownership, Status
from store.engine import create_engine
from store.registry import Registry
from store.repository import Repository
from support.fake_exchange import BTC
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    make_slot,
    make_spec,
    make_trade,
    venue_id,
)


@pytest.fixture
async def owner(clean_engine: AsyncEngine) -> Owner:
    return await make_owner(clean_engine)


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
    settled = BTC.lots_to_quantity(settled_lots)
    assert found == (order, settled)
    loaded = await owner.repository.load(owner.claim)
    assert loaded.orders == ([order] if is_loaded else [])
    assert loaded.settled == ({intent.client_order_id: settled} if is_loaded else {})
    is_ended = await value(owner.engine, "SELECT ended_at IS NOT NULL FROM orders")
    assert is_ended is not order.is_live


async def test_find_order_is_found_by_the_venues_id_too(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.record(own_fill(intent, "1", 5))
    found = await owner.repository.find_order(owner.claim, venue_id(intent))
    order = Order(intent=intent, state=PartiallyFilled(venue_id(intent), 5))
    assert found == (order, Decimal("0.00005"))
    assert await owner.repository.own_trade_ids(intent.client_order_id) == {"1"}


async def test_find_order_never_intended_or_of_another_shard_is_none(owner: Owner) -> None:
    ether = replace(BTC, symbol="ETH/USDT", base="ETH")
    other = await make_owner(owner.engine, new_symbol("add:2", ether))
    intent = other.intent()
    await other.place(intent)
    assert await owner.repository.find_order(owner.claim, ClientOrderId("nobody")) is None
    assert await owner.repository.find_order(owner.claim, intent.client_order_id) is None


def by_id(*recorded: Slot) -> dict[SlotId, Slot]:
    return {slot.id: slot for slot in recorded}


#: Units with up to 18 digits, more than any account holds; short slots have negative ones.
units = st.integers(-(10**18), 10**18)
slots = st.builds(
    Slot,
    id=st.builds(SlotId, st.integers(0, 255), st.integers(-(1 << 15), (1 << 15) - 1)),
    inventory_units=units,
    cost_units=units,
    closed_units=units.map(abs),
    closed_cost_units=units,
    proceeds_units=units,
    fee_quote_units=units,
    fee_base_units=units,
    buy_generation=st.integers(0, (1 << 20) - 1),
    sell_generation=st.integers(0, (1 << 20) - 1),
    trades=st.integers(0, (1 << 31) - 1),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(recorded=st.lists(slots, unique_by=lambda slot: slot.id, max_size=20))
async def test_load_gives_back_any_slots_as_they_were_recorded(
    owner: Owner, recorded: list[Slot]
) -> None:
    await execute(owner.engine, "DELETE FROM slots")
    await owner.record(Changes(slots=by_id(*recorded)))
    assert (await owner.repository.load(owner.claim)).slots == by_id(*recorded)


async def test_record_slot_never_lowers_a_generation(owner: Owner) -> None:
    await owner.place(owner.intent())
    await owner.record(Changes(slots=by_id(make_slot(-1, 5, buy_generation=0))))
    loaded = await owner.repository.load(owner.claim)
    assert loaded.slots == by_id(make_slot(-1, 5))


async def test_held_inventory_adds_the_symbols_that_share_a_base(owner: Owner) -> None:
    in_euro = replace(BTC, symbol="BTC/EUR", quote="EUR")
    ether = replace(BTC, symbol="ETH/USDT", base="ETH")
    for number, instrument in enumerate((in_euro, ether), start=2):
        other = await make_owner(owner.engine, new_symbol(f"add:{number}", instrument))
        await other.record(Changes(slots=by_id(make_slot(0, 300))))
    await owner.record(Changes(slots=by_id(make_slot(0, 100), make_slot(1, 50))))
    assert await owner.repository.held_inventory("sim", "BTC") == BTC.lots_to_quantity(450)
    assert await owner.repository.held_inventory("sim", "DOGE") == 0
    await execute(owner.engine, "UPDATE shards SET status = 'removed' WHERE symbol = 'BTC/EUR'")
    assert await owner.repository.held_inventory("sim", "BTC") == BTC.lots_to_quantity(150)


async def test_held_inventory_adds_declared_base_less_what_short_slots_owe(owner: Owner) -> None:
    declared = make_spec(mode="neutral", base_inventory="0.5").model_dump(mode="json")
    await execute(
        owner.engine, "UPDATE shards SET spec = CAST(:spec AS jsonb)", spec=json.dumps(declared)
    )
    assert await owner.repository.held_inventory("sim", "BTC") == Decimal("0.5")
    await owner.record(
        Changes(slots=by_id(make_slot(0, -ENTRY_LOTS), make_slot(-1, ENTRY_LOTS // 2)))
    )
    assert await owner.repository.held_inventory("sim", "BTC") == Decimal("0.45")


async def test_held_inventory_leaves_positions_in_contracts_out(owner: Owner) -> None:
    contract = replace(BTC, symbol="BTC/USDT:USDT", kind=MarketKind.LINEAR)
    key = SymbolKey("sim-BTC-USDT-USDT")
    new = replace(new_symbol("add:2"), key=key, symbol=contract.symbol, instrument=contract)
    other = await make_owner(owner.engine, new)
    assert other.claim.instrument == contract
    await other.record(Changes(slots=by_id(make_slot(0, 300))))
    assert await owner.repository.held_inventory("sim", "BTC") == 0


async def test_set_status_is_what_people_see(owner: Owner) -> None:
    await owner.repository.set_status(owner.claim.ownership, Status.HALTED, "funds")
    seen = await Registry(owner.engine).symbol(owner.claim.ownership.shard)
    assert (seen.status, seen.reason) == (Status.HALTED, "funds")
    await execute(owner.engine, "UPDATE shards SET desired = 'removed'")
    await owner.repository.set_status(owner.claim.ownership, Status.REMOVED, "")
    assert await value(owner.engine, "SELECT ended_at IS NOT NULL FROM shards")


@pytest.fixture
async def nowhere() -> AsyncIterator[AsyncEngine]:
    engine = create_engine("postgresql://nobody@127.0.0.1:1/nothing")
    yield engine
    await engine.dispose()


async def test_repository_without_postgres_says_so_in_our_words(nowhere: AsyncEngine) -> None:
    with pytest.raises(StoreUnavailable):
        await Repository(nowhere, EXECUTOR).set_status(Ownership(1, 1), Status.RUNNING, "")


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
    assert (claim.ownership, claim.instrument) == (Ownership(shard, 1), BTC)
    new = new_symbol()
    assert (claim.ladders, claim.start_price, claim.phase) == (
        (new.ladder,),
        new.start_price,
        new.phase,
    )

"""What every `ShardStore` promises: Postgres, and the memory that stands for it in simulations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol, TypeVar

import pytest
from sqlalchemy.exc import IntegrityError as PostgresIntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import InvariantViolation, KillSwitchEngaged, OwnershipLost
from domain.ids import ClientOrderId, Side, SlotId, VenueOrderId, decision_id
from domain.market import BookTop
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
    Sent,
    Unknown,
)
from domain.plans import CommittedPlan, Plan, RiskApproved
from grid.ladder import LadderVersion
from grid.phase import Phase, Stage
from grid.slots import Pair, Slot
from grid.spec import ArithmeticSpacing, GridSpec
from integration.store.factories import (
    add_symbol,
    execute,
    join_node,
    new_symbol,
    own_fill,
    start_workflow,
)
from integration.store.memory import prompt_store
from orchestrator.workflows import run_shard_id
from ports.store import (
    Changes,
    Claim,
    ClosedPair,
    Decision,
    Desired,
    Fill,
    Finding,
    Origin,
    Ownership,
    ShardStore,
    Status,
)
from simulation.database import Database
from simulation.loop import VirtualLoop
from simulation.tables import IntegrityError, Progress, ShardRow
from store.engine import create_engine
from store.kill_switch import KillSwitch
from store.registry import Registry
from store.repository import Repository
from support.fake_exchange import BTC
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    cancelling,
    make_intent,
    make_slot,
    make_spec,
    make_trade,
    placing,
    slot_id,
    venue_id,
)

ME = "node-1:start-1"
OTHER = "node-2:start-1"
SHARD = 3

Answer = TypeVar("Answer")


class Backend(Protocol):
    """A store with one symbol in it, and what the orchestrator does around it."""

    #: What a broken key raises.
    integrity_error: type[Exception]
    shard: int
    workflow_id: str

    def store(self, executor: str) -> ShardStore: ...

    async def join(self, executor: str) -> None: ...

    async def leave(self, executor: str) -> None: ...

    async def give(self, executor: str) -> None:
        """Have the executor run the symbol's workflow."""

    async def wish(self, desired: Desired) -> None: ...

    async def kill(self) -> None: ...

    async def status(self) -> tuple[Status, str]: ...


class PostgresBackend:
    integrity_error: type[Exception] = PostgresIntegrityError

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self.shard = shard
        self.workflow_id = run_shard_id(new_symbol().key, shard)

    def store(self, executor: str) -> ShardStore:
        return Repository(self._engine, executor)

    async def join(self, executor: str) -> None:
        await join_node(self._engine, executor)

    async def leave(self, executor: str) -> None:
        await execute(self._engine, "DELETE FROM nodes WHERE executor_id = :id", id=executor)

    async def give(self, executor: str) -> None:
        await start_workflow(self._engine, self.workflow_id, executor)

    async def wish(self, desired: Desired) -> None:
        await execute(self._engine, "UPDATE shards SET desired = :desired", desired=desired.value)

    async def kill(self) -> None:
        await KillSwitch(self._engine).engage(reason="test", request_id="kill:1")

    async def status(self) -> tuple[Status, str]:
        seen = await Registry(self._engine).symbol(self.shard)
        return seen.status, seen.reason


class MemoryBackend:
    integrity_error: type[Exception] = IntegrityError

    def __init__(self, loop: VirtualLoop, spec: GridSpec) -> None:
        self._loop = loop
        self._database = Database(loop.now_ms, nonce=7)
        symbol = new_symbol()
        self.shard = SHARD
        self.workflow_id = run_shard_id(symbol.key, SHARD)
        row = ShardRow(
            shard=SHARD,
            key=symbol.key,
            account=symbol.account,
            symbol=symbol.symbol,
            spec=spec,
            start_price=symbol.start_price,
            phase=symbol.phase,
            ladder_version=symbol.ladder.version,
            instrument=BTC,
            created_ms=0,
            workflow_id=self.workflow_id,
        )
        self._database.add_shard(row, symbol.ladder, symbol.balances)

    def store(self, executor: str) -> ShardStore:
        return prompt_store(self._loop, self._database, executor)

    async def join(self, executor: str) -> None:
        self._database.join(executor, "here")

    async def leave(self, executor: str) -> None:
        self._database.leave(executor)

    async def give(self, executor: str) -> None:
        row = self._database.shards[SHARD]
        self._database.shards[SHARD] = replace(row, progress=Progress.PENDING, executor=executor)

    async def wish(self, desired: Desired) -> None:
        row = self._database.shards[SHARD]
        self._database.shards[SHARD] = replace(row, desired=desired)

    async def kill(self) -> None:
        self._database.engage()

    async def status(self) -> tuple[Status, str]:
        row = self._database.shards[SHARD]
        return row.status, row.reason


@asynccontextmanager
async def opened(dsn: str | None, spec: GridSpec) -> AsyncIterator[Backend]:
    """The backend of Postgres at this address, or of memory."""
    if dsn is None:
        loop = VirtualLoop(steps_max=1)
        yield MemoryBackend(loop, spec)
        loop.end()
        return
    engine = create_engine(dsn)
    await Registry(engine).installation_nonce()
    balances = {"BTC": Decimal(10), "USDT": Decimal(1_000_000)}
    symbol = new_symbol(spec=spec.model_dump(mode="json"), balances=balances)
    yield PostgresBackend(engine, await add_symbol(engine, symbol))
    await engine.dispose()


@dataclass
class Owner:
    """One executor that claimed the symbol."""

    backend: Backend
    store: ShardStore
    claim: Claim
    _sequence: int = field(default=0)

    def intent(self, slot: int = -1, side: Side = Side.BUY, *, generation: int = 1) -> Intent:
        shard, nonce = self.claim.ownership.shard, self.claim.nonce
        return make_intent(slot, side, ENTRY_LOTS, generation=generation, shard=shard, nonce=nonce)

    async def commit(self, plan: Plan) -> CommittedPlan:
        self._sequence += 1
        ownership = self.claim.ownership
        decision = Decision(
            decision_id=decision_id(self.claim.key, ownership.epoch, self._sequence),
            ownership=ownership,
            sequence=self._sequence,
            book=BookTop(9_999, 10_001, 5),
            causes=("price",),
            approved=RiskApproved(plan),
        )
        return await self.store.commit_decision(decision, self.claim.instrument)

    async def place(self, *intents: Intent) -> CommittedPlan:
        return await self.commit(placing(*intents))

    async def record(self, changes: Changes) -> None:
        await self.store.record(self.claim.ownership, self.claim.instrument, changes)

    async def set_state(self, intent: Intent, state: OrderState) -> None:
        order = Order(intent=intent, state=state)
        await self.record(Changes(orders={intent.client_order_id: order}))

    async def loaded_orders(self) -> dict[ClientOrderId, Order]:
        loaded = await self.store.load(self.claim)
        return {order.intent.client_order_id: order for order in loaded.orders}

    async def claim_again(self) -> Owner:
        claim = await self.store.claim(self.backend.shard, self.backend.workflow_id)
        return Owner(self.backend, self.store, claim)


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    if request.param == "memory":
        return None
    found: str = request.getfixturevalue("postgres_dsn")
    return found


@pytest.fixture
async def owner(dsn: str | None) -> AsyncIterator[Owner]:
    async with opened(dsn, make_spec()) as backend:
        yield await claimed(backend)


@pytest.fixture
async def declared(dsn: str | None) -> AsyncIterator[Owner]:
    """The owner of a neutral grid, for which two coins are held."""
    async with opened(dsn, make_spec(mode="neutral", base_inventory="2")) as backend:
        yield await claimed(backend)


async def claimed(backend: Backend) -> Owner:
    await backend.join(ME)
    await backend.give(ME)
    store = backend.store(ME)
    return Owner(backend, store, await store.claim(backend.shard, backend.workflow_id))


async def test_claim_again_raises_the_epoch_and_shows_the_same(owner: Owner) -> None:
    again = await owner.claim_again()
    assert again.claim.ownership == Ownership(owner.backend.shard, 2)
    assert replace(again.claim, ownership=owner.claim.ownership) == owner.claim
    assert await owner.backend.status() == (Status.STARTING, "comparing with the exchange")


async def leave(backend: Backend) -> None:
    await backend.leave(ME)


async def move_on(backend: Backend) -> None:
    await backend.join(OTHER)
    await backend.give(OTHER)


@pytest.mark.parametrize(
    "obstacle",
    [
        pytest.param(leave, id="own node declared dead"),
        pytest.param(move_on, id="workflow resumed by another"),
    ],
)
async def test_claim_of_what_is_not_ours_is_refused(
    owner: Owner, obstacle: Callable[[Backend], Awaitable[None]]
) -> None:
    await obstacle(owner.backend)
    with pytest.raises(OwnershipLost):
        await owner.claim_again()
    assert (await owner.place(owner.intent())).epoch == owner.claim.ownership.epoch


async def test_claim_by_another_waits_until_the_owners_node_is_gone(owner: Owner) -> None:
    backend = owner.backend
    await move_on(backend)
    other = backend.store(OTHER)
    with pytest.raises(OwnershipLost):
        await other.claim(backend.shard, backend.workflow_id)
    await backend.leave(ME)
    claim = await other.claim(backend.shard, backend.workflow_id)
    assert claim.ownership.epoch == owner.claim.ownership.epoch + 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(Status.RUNNING, Status.STARTING, id="running"),
        pytest.param(Status.REMOVING, Status.REMOVING, id="removing"),
    ],
)
async def test_claim_shows_that_the_symbol_starts_unless_it_is_being_removed(
    owner: Owner, before: Status, after: Status
) -> None:
    await owner.store.set_status(owner.claim.ownership, before, "because")
    assert await owner.backend.status() == (before, "because")
    await owner.claim_again()
    assert (await owner.backend.status())[0] is after


async def test_claim_of_a_removed_symbol_is_refused(owner: Owner) -> None:
    await owner.backend.wish(Desired.REMOVED)
    await owner.store.set_status(owner.claim.ownership, Status.REMOVED, "")
    with pytest.raises(OwnershipLost):
        await owner.claim_again()


@pytest.mark.parametrize("wanted", [Desired.RUNNING, Desired.PAUSED])
async def test_set_status_removed_of_a_symbol_that_is_wanted_again_is_refused(
    owner: Owner, wanted: Desired
) -> None:
    await owner.backend.wish(Desired.CLOSED)
    await owner.store.set_status(owner.claim.ownership, Status.REMOVING, "closing")
    await owner.backend.wish(wanted)
    with pytest.raises(OwnershipLost):
        await owner.store.set_status(owner.claim.ownership, Status.REMOVED, "closed")
    assert await owner.backend.status() == (Status.REMOVING, "closing")
    await owner.claim_again()


async def test_former_epoch_changes_nothing(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    again = await owner.claim_again()
    before = await again.store.load(again.claim)
    for attempt in (
        owner.place(owner.intent(-2)),
        owner.commit(cancelling(intent)),
        owner.record(own_fill(intent, "1", 5)),
        owner.record(Changes(is_reconciled=True, reconciled_trade_id="9")),
        owner.store.set_status(owner.claim.ownership, Status.HALTED, "stale"),
    ):
        with pytest.raises(OwnershipLost):
            await attempt
    assert await again.store.load(again.claim) == before


async def test_former_epoch_reads_nothing_of_its_successor(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    again = await owner.claim_again()
    for reading in (
        owner.store.load(owner.claim),
        owner.store.find_order(owner.claim, intent.client_order_id),
        owner.store.find_order(owner.claim, ClientOrderId("nobody")),
    ):
        with pytest.raises(OwnershipLost):
            await reading
    assert await again.store.find_order(again.claim, intent.client_order_id) is not None


async def test_commit_decision_is_loaded_with_its_generations(owner: Owner) -> None:
    entry, exit_ = owner.intent(), owner.intent(-2, Side.SELL)
    committed = await owner.place(entry, exit_)
    assert (committed.plan, committed.epoch) == (placing(entry, exit_), 1)
    loaded = await owner.store.load(owner.claim)
    assert await owner.loaded_orders() == {
        intent.client_order_id: Order(intent=intent, state=Intended()) for intent in (entry, exit_)
    }
    assert set(loaded.slots.values()) == {
        Slot(id=slot_id(-1), buy_generation=1),
        Slot(id=slot_id(-2), sell_generation=1),
    }


async def test_commit_decision_cancel_is_not_read_back(owner: Owner) -> None:
    """A new owner knows nothing of the fate of a cancel, and asks for it anew."""
    intent = owner.intent()
    await owner.place(intent)
    await owner.commit(cancelling(intent))
    assert await owner.loaded_orders() == {
        intent.client_order_id: Order(intent=intent, state=Intended())
    }


async def test_kill_switch_lets_nothing_be_placed(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.backend.kill()
    both = Plan(cancelling(intent).cancels, placing(owner.intent(-2)).places)
    with pytest.raises(KillSwitchEngaged):
        await owner.commit(both)
    assert list(await owner.loaded_orders()) == [intent.client_order_id]
    assert (await owner.commit(cancelling(intent))).plan == cancelling(intent)


async def test_commit_decision_second_live_order_of_a_slot_side_leaves_nothing(
    owner: Owner,
) -> None:
    first = owner.intent()
    await owner.place(first)
    before = await owner.store.load(owner.claim)
    with pytest.raises(owner.backend.integrity_error):
        await owner.place(owner.intent(-2), owner.intent(generation=2))
    assert await owner.store.load(owner.claim) == before


async def test_commit_decision_generation_is_used_once(owner: Owner) -> None:
    first, second = owner.intent(), owner.intent(generation=2)
    await owner.place(first)
    await owner.set_state(first, Rejected("filter"))
    with pytest.raises(owner.backend.integrity_error):
        await owner.place(first)
    await owner.place(second)
    assert list(await owner.loaded_orders()) == [second.client_order_id]


async def test_record_order_that_returns_beside_its_successor_is_impossible(owner: Owner) -> None:
    first, second = owner.intent(), owner.intent(generation=2)
    await owner.place(first)
    await owner.set_state(first, Absent("gone"))
    await owner.place(second)
    with pytest.raises(owner.backend.integrity_error):
        await owner.set_state(first, Open(venue_id(first)))
    assert list(await owner.loaded_orders()) == [second.client_order_id]


@pytest.mark.parametrize(
    ("state", "settled_lots", "is_loaded"),
    [
        pytest.param(Sent(), 0, True, id="sent"),
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
    intent = owner.intent()
    await owner.place(intent)
    order = Order(intent=intent, state=state, cancel_requested=True)
    changes = Changes(orders={intent.client_order_id: order})
    if settled_lots:
        trade = make_trade(intent, "1", settled_lots)
        changes.fills["1"] = Fill(
            trade=trade, origin=Origin.OWN, client_order_id=intent.client_order_id
        )
    await owner.record(changes)
    kept = replace(order, cancel_requested=False)
    found = await owner.store.find_order(owner.claim, intent.client_order_id)
    settled = BTC.lots_to_quantity(settled_lots)
    assert found == (kept, settled)
    loaded = await owner.store.load(owner.claim)
    assert list(loaded.orders) == ([kept] if is_loaded else [])
    assert loaded.settled == ({intent.client_order_id: settled} if is_loaded else {})
    assert loaded.trade_ids == (frozenset({"1"}) if settled_lots else frozenset())


async def test_find_order_by_the_venues_id_also_once_its_fate_is_unknown(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    assert await owner.store.find_order(owner.claim, venue_id(intent)) is None
    await owner.set_state(intent, Open(venue_id(intent)))
    await owner.set_state(intent, Unknown("timeout"))
    found = await owner.store.find_order(owner.claim, venue_id(intent))
    assert found == (Order(intent=intent, state=Unknown("timeout")), 0)
    assert await owner.store.find_order(owner.claim, ClientOrderId("nobody")) is None


async def test_record_trade_twice_is_refused_whole(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.record(own_fill(intent, "1", 5))
    before = await owner.store.load(owner.claim)
    again = own_fill(intent, "1", 7)
    again.fills["2"] = replace(again.fills["1"], trade=make_trade(intent, "2", 2))
    with pytest.raises(InvariantViolation):
        await owner.record(again)
    assert await owner.store.load(owner.claim) == before
    assert await owner.store.own_trade_ids(intent.client_order_id) == {"1"}


@pytest.mark.parametrize(
    ("first", "then", "is_taken"),
    [
        pytest.param(Origin.PARKED, Origin.OWN, True, id="parked, then ours"),
        pytest.param(Origin.PARKED, Origin.EXTERNAL, True, id="parked, then a person's"),
        pytest.param(Origin.EXTERNAL, Origin.OWN, True, id="a person's, then ours after all"),
        pytest.param(Origin.EXTERNAL, Origin.EXTERNAL, False, id="a person's twice"),
        pytest.param(Origin.OWN, Origin.EXTERNAL, False, id="ours stays ours"),
        pytest.param(Origin.OWN, Origin.PARKED, False, id="ours is not parked again"),
    ],
)
async def test_record_trade_changes_whose_it_is_only_towards_us(
    owner: Owner, first: Origin, then: Origin, is_taken: bool
) -> None:
    intent = owner.intent()
    await owner.place(intent)

    def fill(origin: Origin) -> Changes:
        name = intent.client_order_id if origin is Origin.OWN else None
        trade = make_trade(intent, "1", 5)
        return Changes(fills={"1": Fill(trade=trade, origin=origin, client_order_id=name)})

    await owner.record(fill(first))
    if is_taken:
        await owner.record(fill(then))
    else:
        with pytest.raises(InvariantViolation):
            await owner.record(fill(then))
    last = then if is_taken else first
    loaded = await owner.store.load(owner.claim)
    assert bool(loaded.parked) is (last is Origin.PARKED)
    booked = await owner.store.own_trade_ids(intent.client_order_id)
    assert booked == ({"1"} if last is Origin.OWN else frozenset())


async def test_record_own_trade_of_an_order_never_intended_is_impossible(owner: Owner) -> None:
    intent = owner.intent()
    with pytest.raises(owner.backend.integrity_error):
        await owner.record(own_fill(intent, "1", 5))
    assert (await owner.store.load(owner.claim)).trade_ids == frozenset()


async def test_record_slot_never_lowers_a_generation(owner: Owner) -> None:
    await owner.place(owner.intent())
    await owner.record(Changes(slots={slot_id(-1): make_slot(-1, 5, buy_generation=0)}))
    loaded = await owner.store.load(owner.claim)
    assert set(loaded.slots.values()) == {make_slot(-1, 5)}


async def test_record_reconciliation_without_trades_keeps_how_far_it_was(owner: Owner) -> None:
    await owner.record(Changes(is_reconciled=True, reconciled_trade_id="41"))
    await owner.record(Changes(is_reconciled=True))
    assert (await owner.claim_again()).claim.reconciled_trade_id == "41"


async def test_record_finding_seen_often_is_taken(owner: Owner) -> None:
    finding = Finding(kind="stray", subject="c1", detail={"status": "open"})
    for _ in range(2):
        await owner.record(Changes(findings=[finding], is_reconciled=True))
    assert (await owner.claim_again()).claim.reconciled_trade_id is None


async def test_held_inventory_is_what_the_slots_hold_until_the_symbol_is_removed(
    owner: Owner,
) -> None:
    await owner.record(Changes(slots={slot_id(0): make_slot(0, 100), slot_id(1): make_slot(1, 50)}))
    assert await owner.store.held_inventory("sim", "BTC") == BTC.lots_to_quantity(150)
    assert await owner.store.held_inventory("sim", "DOGE") == 0
    await owner.backend.wish(Desired.REMOVED)
    await owner.store.set_status(owner.claim.ownership, Status.REMOVED, "")
    assert await owner.store.held_inventory("sim", "BTC") == 0


async def test_record_ladder_makes_it_the_current_one_for_the_next_owner(owner: Owner) -> None:
    (first,) = owner.claim.ladders
    wider = LadderVersion(
        version=2, anchor=Decimal(100), spacing=ArithmeticSpacing(step=Decimal(3))
    )
    between = replace(wider, version=1)
    for ladder in (wider, between):
        await owner.record(Changes(ladder=ladder))
    assert (await owner.claim_again()).claim.ladders == (first, wider, between)


async def test_record_ladder_version_again_replaces_its_levels(owner: Owner) -> None:
    (first,) = owner.claim.ladders
    wider = LadderVersion(
        version=1, anchor=Decimal(100), spacing=ArithmeticSpacing(step=Decimal(3))
    )
    widest = replace(wider, spacing=ArithmeticSpacing(step=Decimal(4)))
    for ladder in (wider, widest):
        await owner.record(Changes(ladder=ladder))
    assert (await owner.claim_again()).claim.ladders == (first, widest)


async def test_record_phase_outlives_its_owner(owner: Owner) -> None:
    ended = Phase(stage=Stage.ENDED, reason="stop-loss: enough", shift=-2)
    await owner.record(Changes(phase=ended))
    assert (await owner.claim_again()).claim.phase == ended


async def test_load_adds_up_what_all_pairs_earned(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    for number, proceeds_units in enumerate((150, 70)):
        changes = own_fill(intent, str(number), 1)
        pair = Pair(
            slot=intent.tag.slot,
            quantity_units=1,
            cost_units=100,
            proceeds_units=proceeds_units,
            fee_quote_units=0,
            fee_base_units=0,
        )
        changes.pairs.append(ClosedPair(pair, changes.fills[str(number)].trade))
        await owner.record(changes)
    assert (await owner.store.load(owner.claim)).paired_units == 20


async def test_slots_of_two_ladders_are_two(owner: Owner) -> None:
    former, current = SlotId(0, 4), SlotId(1, 4)
    slots = {key: replace(make_slot(4, 10), id=key) for key in (former, current)}
    await owner.record(Changes(slots=slots))
    loaded = await owner.store.load(owner.claim)
    assert {key: slot.held_units for key, slot in loaded.slots.items()} == {
        key: slot.held_units for key, slot in slots.items()
    }


async def test_held_inventory_of_short_slots_is_taken_from_what_was_declared(
    declared: Owner,
) -> None:
    assert await declared.store.held_inventory("sim", "BTC") == Decimal(2)
    sold = make_slot(3, -100, cost_units=-BTC.notional_units(10_400, 100))
    await declared.record(Changes(slots={sold.id: sold}))
    assert await declared.store.held_inventory("sim", "BTC") == 2 - BTC.lots_to_quantity(100)


COARSER = replace(BTC, tick_size=BTC.tick_size * 5, lot_size=BTC.lot_size * 2)


async def test_record_rules_numbers_them_for_the_next_owner(owner: Owner) -> None:
    for number, rules in enumerate((COARSER, BTC), start=2):
        await owner.record(Changes(instrument=rules))
        owner = await owner.claim_again()
        assert owner.claim.instrument == replace(rules, version=number)


async def test_order_of_former_rules_reads_back_in_the_steps_it_was_made_in(owner: Owner) -> None:
    old, new = owner.intent(), owner.intent(-2)
    await owner.place(old)
    await owner.record(Changes(instrument=COARSER))
    again = await owner.claim_again()
    await again.place(new)
    expected = {
        old.client_order_id: Order(intent=old, state=Intended(), rules=owner.claim.instrument),
        new.client_order_id: Order(intent=new, state=Intended()),
    }
    assert await again.loaded_orders() == expected
    partly = replace(expected[old.client_order_id], state=PartiallyFilled(venue_id(old), 3))
    await again.record(Changes(orders={old.client_order_id: partly}))
    found = await again.store.find_order(again.claim, old.client_order_id)
    assert found == (partly, Decimal(0))


async def test_order_of_former_rules_with_the_same_steps_counts_as_any(owner: Owner) -> None:
    intent = owner.intent()
    await owner.place(intent)
    await owner.record(Changes(instrument=replace(BTC, min_notional=BTC.min_notional * 2)))
    again = await owner.claim_again()
    assert await again.loaded_orders() == {
        intent.client_order_id: Order(intent=intent, state=Intended())
    }


async def test_record_rules_of_a_former_epoch_is_refused(owner: Owner) -> None:
    again = await owner.claim_again()
    with pytest.raises(OwnershipLost):
        await owner.record(Changes(instrument=COARSER))
    assert (await again.claim_again()).claim.instrument == owner.claim.instrument

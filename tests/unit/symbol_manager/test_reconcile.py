"""The exchange wins, but its silence proves nothing before the grace is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from domain.errors import TransientVenueError, VenueError
from domain.ids import ClientOrderId, Side
from domain.orders import (
    Absent,
    Cancelled,
    Filled,
    Intended,
    Open,
    Order,
    OrderReport,
    OrderState,
    PartiallyFilled,
    Rejected,
    Sent,
    Trade,
    Unknown,
    VenueStatus,
)
from ports.store import Changes, Origin
from support.fake_exchange import BTC, FakeExchange
from symbol_manager.doubts import Doubts
from symbol_manager.reconcile import (
    Survey,
    absorb_report,
    absorb_survey,
    base_shortfall,
    doubtful_orders,
    look_up,
    settle_parked,
    survey,
    why_not_alone,
    why_orphaned,
)
from symbol_manager.state import ShardState
from unit.symbol_manager.factories import (
    CAPABILITIES,
    ENTRY_LOTS,
    NONCE,
    SHARD,
    FakeClock,
    RecordingStore,
    make_intent,
    make_report,
    make_slot,
    make_state,
    make_trade,
    slot_id,
    venue_id,
)

ENTRY = make_intent(-1)
OTHER = make_intent(-2)
GRACE_MS = 1_500
UNKNOWN = Order(intent=ENTRY, state=Unknown("timeout"))
OPEN = Order(intent=ENTRY, state=Open(venue_id(ENTRY)))


@dataclass
class CutOffExchange(FakeExchange):
    """Answers every look-up with an error of the way to the venue."""

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        raise TransientVenueError("connection refused")


@dataclass
class Office:
    """A look-up and everything it touches."""

    state: ShardState
    exchange: FakeExchange = field(default_factory=FakeExchange)
    clock: FakeClock = field(default_factory=FakeClock)
    store: RecordingStore = field(default_factory=RecordingStore)

    def __post_init__(self) -> None:
        self.doubts = Doubts(self.clock, CAPABILITIES)
        for order in self.state.active_orders():
            self.doubts.raise_for(order.intent.client_order_id)

    async def look_up(self) -> Changes:
        changes = Changes()
        for order in doubtful_orders(self.state, self.doubts):
            await look_up(order, self.state, self.doubts, self.exchange, self.store, changes)
        return changes

    async def absorb_survey(self, found: Survey) -> Changes:
        changes = Changes()
        await absorb_survey(found, self.state, self.doubts, self.exchange, self.store, changes)
        return changes

    async def settle_parked(self) -> Changes:
        changes = Changes()
        await settle_parked(self.state, self.doubts, self.store, changes)
        return changes

    def state_of(self, client_order_id: ClientOrderId) -> OrderState:
        return self.state.order(client_order_id).state


def make_survey(*reports: OrderReport, trades: tuple[Trade, ...] = (), btc: str = "0") -> Survey:
    return Survey(reports, trades, {"BTC": Decimal(btc)})


async def test_look_up_found_order_is_adopted_and_in_no_doubt() -> None:
    office = Office(make_state(orders=[UNKNOWN]))
    office.exchange.orders[ENTRY.client_order_id] = make_report(ENTRY)
    changes = await office.look_up()
    assert changes.orders[ENTRY.client_order_id].state == Open(venue_id(ENTRY))
    assert ENTRY.client_order_id not in office.doubts


async def test_look_up_ended_order_brings_its_trades() -> None:
    office = Office(make_state(orders=[UNKNOWN]))
    report = make_report(ENTRY, VenueStatus.FILLED, ENTRY_LOTS)
    office.exchange.orders[ENTRY.client_order_id] = report
    office.exchange.trades = [make_trade(ENTRY, "1", ENTRY_LOTS), make_trade(OTHER, "2", 1)]
    changes = await office.look_up()
    assert list(changes.fills) == ["1"]
    assert changes.slots[slot_id(-1)].inventory_units > 0
    assert not office.state.active_orders()


async def test_look_up_missing_order_is_absent_only_after_the_grace() -> None:
    office = Office(make_state(orders=[UNKNOWN]))
    office.clock.ms += GRACE_MS - 1
    assert not await office.look_up()
    assert office.state_of(ENTRY.client_order_id) == UNKNOWN.state

    office.clock.ms += 1
    changes = await office.look_up()
    assert isinstance(changes.orders[ENTRY.client_order_id].state, Absent)
    assert ENTRY.client_order_id not in office.doubts


async def test_look_up_missing_order_that_is_listed_as_open_is_not_absent() -> None:
    """Venues answer from several places: one may not know yet what another shows."""

    class ForgetfulExchange(FakeExchange):
        def open_orders(self) -> list[OrderReport]:
            return [make_report(ENTRY)]

    office = Office(make_state(orders=[UNKNOWN]), ForgetfulExchange())
    office.clock.ms += GRACE_MS
    assert not await office.look_up()
    assert office.state_of(ENTRY.client_order_id) == UNKNOWN.state


async def test_look_up_missing_order_asked_for_within_the_grace_is_not_absent() -> None:
    """However late the answer comes: the order may have arrived after it was written."""

    class SlowExchange(FakeExchange):
        async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
            office.clock.ms += GRACE_MS
            return await super().fetch_order(symbol, client_order_id)

    office = Office(make_state(orders=[UNKNOWN]), SlowExchange())
    assert not await office.look_up()
    assert office.state_of(ENTRY.client_order_id) == UNKNOWN.state

    assert await office.look_up()
    assert isinstance(office.state_of(ENTRY.client_order_id), Absent)


async def test_look_up_transport_error_proves_nothing() -> None:
    office = Office(make_state(orders=[UNKNOWN]), CutOffExchange())
    office.clock.ms += 10 * GRACE_MS
    with pytest.raises(VenueError):
        await office.look_up()
    assert office.state_of(ENTRY.client_order_id) == UNKNOWN.state
    assert ENTRY.client_order_id in office.doubts


async def test_look_up_order_that_outlived_its_cancel_may_be_cancelled_again() -> None:
    office = Office(make_state(orders=[replace(OPEN, cancel_requested=True)]))
    office.exchange.orders[ENTRY.client_order_id] = make_report(ENTRY)
    changes = await office.look_up()
    assert changes.orders[ENTRY.client_order_id] == OPEN


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(
            Order(intent=ENTRY, state=Filled(venue_id(ENTRY), ENTRY_LOTS)), id="filled, unsettled"
        ),
        pytest.param(
            Order(intent=ENTRY, state=PartiallyFilled(venue_id(ENTRY), 4_000)), id="partly filled"
        ),
    ],
)
async def test_look_up_order_with_fills_is_never_absent(order: Order) -> None:
    office = Office(make_state(orders=[order], settled_lots={ENTRY.client_order_id: 0}))
    office.clock.ms += GRACE_MS
    await office.look_up()
    assert office.state.order(ENTRY.client_order_id).filled_lots == order.filled_lots


@pytest.mark.parametrize(
    ("order", "settled_lots", "is_doubtful"),
    [
        pytest.param(Order(intent=ENTRY, state=Intended()), 0, True, id="intended"),
        pytest.param(Order(intent=ENTRY, state=Sent()), 0, True, id="sent"),
        pytest.param(UNKNOWN, 0, True, id="unknown"),
        pytest.param(OPEN, 0, False, id="open"),
        pytest.param(
            Order(intent=ENTRY, state=Cancelled(venue_id(ENTRY), 5)), 4, True, id="trades missing"
        ),
        pytest.param(
            Order(intent=ENTRY, state=Cancelled(venue_id(ENTRY), 5)), 5, False, id="settled"
        ),
        pytest.param(Order(intent=ENTRY, state=Rejected("no")), 0, False, id="rejected"),
    ],
)
def test_doubtful_orders_are_those_whose_fate_is_open(
    order: Order, settled_lots: int, is_doubtful: bool
) -> None:
    state = make_state(orders=[order], settled_lots={ENTRY.client_order_id: settled_lots})
    doubts = Doubts(FakeClock(), CAPABILITIES)
    assert bool(doubtful_orders(state, doubts)) is is_doubtful


def test_doubtful_orders_include_a_live_one_in_doubt() -> None:
    state = make_state(orders=[OPEN])
    doubts = Doubts(FakeClock(), CAPABILITIES)
    doubts.raise_for(ENTRY.client_order_id)
    assert doubtful_orders(state, doubts) == [OPEN]


async def test_absorb_survey_doubts_live_orders_it_does_not_show_and_no_others() -> None:
    other = Order(intent=OTHER, state=Open(venue_id(OTHER)))
    office = Office(make_state(orders=[OPEN, other]))
    office.doubts.clear(OTHER.client_order_id)
    await office.absorb_survey(make_survey(make_report(ENTRY)))
    assert doubtful_orders(office.state, office.doubts) == [other]
    await office.absorb_survey(make_survey(make_report(ENTRY), make_report(OTHER)))
    assert doubtful_orders(office.state, office.doubts) == []


async def test_absorb_survey_order_that_outlives_its_cancel_may_be_cancelled_again() -> None:
    office = Office(make_state(orders=[replace(OPEN, cancel_requested=True)]))
    found = Survey([make_report(ENTRY, VenueStatus.OPEN)], [], {})

    changes = await office.absorb_survey(found)

    assert not office.state.order(ENTRY.client_order_id).cancel_requested
    assert not changes.orders[ENTRY.client_order_id].cancel_requested


async def test_survey_asks_for_trades_after_the_last_reconciled_one() -> None:
    exchange = FakeExchange(trades=[make_trade(ENTRY, str(number), 1) for number in (1, 2, 3)])
    exchange.orders[ENTRY.client_order_id] = make_report(ENTRY)
    found = await survey(exchange, BTC, "1", needs_trades=bool)
    assert [trade.trade_id for trade in found.trades or ()] == ["2", "3"]
    assert list(found.open_orders) == [make_report(ENTRY)]


async def test_absorb_survey_adopts_orders_and_their_trades_and_remembers_how_far() -> None:
    office = Office(make_state(orders=[UNKNOWN]))
    found = make_survey(
        make_report(ENTRY, filled=4),
        trades=(make_trade(ENTRY, "1", 1), make_trade(ENTRY, "2", 3)),
    )
    changes = await office.absorb_survey(found)
    assert changes.orders[ENTRY.client_order_id].state == PartiallyFilled(venue_id(ENTRY), 4)
    assert {fill.origin for fill in changes.fills.values()} == {Origin.OWN}
    assert changes.reconciled_trade_id == "2"


@pytest.mark.parametrize(
    "client_order_id",
    [
        pytest.param("web_1234", id="a person's"),
        pytest.param(make_intent(nonce=NONCE + 1).client_order_id, id="another installation's"),
        pytest.param(make_intent(shard=99).client_order_id, id="another shard's"),
    ],
)
async def test_absorb_report_of_somebody_else_is_left_alone(client_order_id: str) -> None:
    office = Office(make_state())
    report = make_report(ENTRY, client_order_id=ClientOrderId(client_order_id))
    changes = Changes()
    await absorb_report(report, office.state, office.exchange, office.store, changes)
    assert not changes
    assert not office.state.active_orders()


async def test_absorb_report_of_a_forgotten_order_reads_it_from_the_store() -> None:
    office = Office(make_state(slots=[make_slot(-1)]))
    forgotten = Order(intent=ENTRY, state=Cancelled(venue_id(ENTRY), 0))
    office.store.forgotten[ENTRY.client_order_id] = forgotten, 0
    changes = Changes()
    report = make_report(ENTRY, VenueStatus.CANCELLED, 2)
    await absorb_report(report, office.state, office.exchange, office.store, changes)
    assert changes.orders[ENTRY.client_order_id].state == Cancelled(venue_id(ENTRY), 2)
    assert list(office.state.unsettled()) == [(slot_id(-1), Side.BUY)]


async def test_absorb_report_of_an_own_order_without_intent_is_a_finding() -> None:
    office = Office(make_state())
    changes = Changes()
    await absorb_report(make_report(ENTRY), office.state, office.exchange, office.store, changes)
    assert [(found.kind, found.subject) for found in changes.findings] == [
        ("order_without_intent", ENTRY.client_order_id)
    ]
    assert not office.state.knows(ENTRY.client_order_id)


def test_orders_of_others_of_this_product_are_recognised_by_nonce_and_shard() -> None:
    state, exchange = make_state(orders=[OPEN]), FakeExchange()
    foreign = make_report(ENTRY, client_order_id=ClientOrderId("web_1234"))
    stranger = make_intent(nonce=NONCE + 1)
    assert why_not_alone(make_survey(make_report(ENTRY), foreign), state, exchange) == ""
    told = why_not_alone(make_survey(make_report(stranger)), state, exchange)
    assert told == f"another installation ({NONCE + 1}) trades this symbol"
    former = make_intent(shard=SHARD - 1)
    assert why_not_alone(make_survey(make_report(former)), state, exchange) == ""
    assert why_orphaned(make_survey(make_report(stranger)), state, exchange) == ""
    told = why_orphaned(make_survey(make_report(former)), state, exchange)
    assert told.startswith(
        f"order {former.client_order_id} of shard {SHARD - 1}, which was removed"
    )


async def test_settle_parked_waits_until_every_own_order_is_accounted_for() -> None:
    trade = make_trade(OTHER, "1", 1)
    office = Office(make_state(orders=[UNKNOWN], parked=[trade]))
    assert not await office.settle_parked()

    office.state.set_state(ENTRY.client_order_id, Absent("not found"), Changes())
    changes = await office.settle_parked()
    assert changes.fills["1"].origin is Origin.EXTERNAL
    assert not office.state.parked


async def test_settle_parked_trade_of_an_order_that_left_memory_is_its_own() -> None:
    office = Office(make_state(parked=[make_trade(ENTRY, "1", 4)]))
    forgotten = Order(intent=ENTRY, state=Cancelled(venue_id(ENTRY), 0))
    office.store.forgotten[venue_id(ENTRY)] = forgotten, 0
    changes = await office.settle_parked()
    assert changes.fills["1"].client_order_id == ENTRY.client_order_id
    assert changes.orders[ENTRY.client_order_id].state == Cancelled(venue_id(ENTRY), 4)
    assert changes.slots[slot_id(-1)].inventory_units == 4 * BTC.base_units_per_lot
    assert not office.state.active_orders()


async def test_look_up_order_whose_trade_was_taken_for_a_persons_claims_it() -> None:
    """It counted as absent, and its trade as external, before the venue showed it as filled."""
    office = Office(make_state(orders=[UNKNOWN], parked=[make_trade(ENTRY, "1", ENTRY_LOTS)]))
    office.state.set_state(ENTRY.client_order_id, Absent("not found"), Changes())
    assert (await office.settle_parked()).fills["1"].origin is Origin.EXTERNAL

    report = make_report(ENTRY, VenueStatus.FILLED, ENTRY_LOTS)
    office.exchange.orders[ENTRY.client_order_id] = report
    office.exchange.trades = [make_trade(ENTRY, "1", ENTRY_LOTS)]
    office.state.absorb_report(report, Changes())
    assert list(office.state.unsettled()) == [(slot_id(-1), Side.BUY)]
    changes = await office.look_up()
    assert changes.fills["1"].client_order_id == ENTRY.client_order_id
    assert changes.slots[slot_id(-1)].inventory_units == ENTRY_LOTS * BTC.base_units_per_lot
    assert not office.state.active_orders()


async def test_look_up_order_claims_only_trades_that_are_not_booked_yet() -> None:
    filled = Order(intent=ENTRY, state=Filled(venue_id(ENTRY), ENTRY_LOTS))
    office = Office(make_state(orders=[filled], settled_lots={ENTRY.client_order_id: 4}))
    office.store.own_trades[ENTRY.client_order_id] = frozenset({"1"})
    office.exchange.orders[ENTRY.client_order_id] = make_report(
        ENTRY, VenueStatus.FILLED, ENTRY_LOTS
    )
    office.exchange.trades = [
        make_trade(ENTRY, "1", 4),
        make_trade(ENTRY, "2", ENTRY_LOTS - 4),
    ]
    changes = await office.look_up()
    assert list(changes.fills) == ["2"]
    assert changes.slots[slot_id(-1)].inventory_units == (ENTRY_LOTS - 4) * BTC.base_units_per_lot
    assert not office.state.active_orders()


async def test_absorb_survey_order_that_ended_here_and_rests_there_is_a_stray() -> None:
    """It is cancelled on sight, also when this is first seen after a restart."""
    successor = replace(OPEN, intent=make_intent(-1, generation=2))
    office = Office(make_state(orders=[successor]))
    office.store.forgotten[ENTRY.client_order_id] = Order(intent=ENTRY, state=Absent("gone")), 0
    successor_report = make_report(successor.intent)
    changes = await office.absorb_survey(make_survey(make_report(ENTRY), successor_report))
    assert list(office.state.strays) == [ENTRY.client_order_id]
    assert [found.kind for found in changes.findings] == ["stray"]
    assert not changes.orders[ENTRY.client_order_id].is_live
    assert office.state.live_orders() == {
        (slot_id(-1), Side.BUY): replace(successor, state=Open(venue_id(successor.intent)))
    }
    again = await office.absorb_survey(make_survey(make_report(ENTRY), successor_report))
    assert not again


@pytest.mark.parametrize(
    ("btc", "held", "missing"),
    [
        pytest.param("0.3", "0.2", "0", id="more than held"),
        pytest.param("0.2", "0.2", "0", id="exactly"),
        pytest.param("0.1", "0.2", "0.1", id="less"),
    ],
)
def test_base_shortfall_is_what_the_slots_hold_beyond_the_account(
    btc: str, held: str, missing: str
) -> None:
    found = make_survey(btc=btc)
    assert base_shortfall(found, Decimal(held), "BTC") == Decimal(missing)


def test_base_shortfall_asset_not_reported_counts_as_none() -> None:
    assert base_shortfall(Survey((), (), {}), Decimal("0.2"), "BTC") == Decimal("0.2")

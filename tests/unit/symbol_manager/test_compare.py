"""A comparison is made when due, changes nothing unless it is whole, and says what it means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
import structlog

from domain.errors import AuthenticationRefused, DatabaseRolledBack, TransientVenueError
from domain.ids import ClientOrderId
from domain.orders import Absent, Cancelled, Intent, Open, Order, OrderReport, Sent, VenueStatus
from exchanges.capabilities import Call
from exchanges.rate_budget import RateBudget
from exchanges.venues.binance import BINANCE
from ports.exchange import Capabilities
from ports.store import Changes, Origin
from support.fake_exchange import FakeExchange
from symbol_manager.compare import (
    COMPARE_AGAIN_MS,
    FAILED_COMPARISONS_MAX,
    INCOMPLETE_MAX,
    LOOK_UPS_A_ROUND,
    PLENTY,
    Comparison,
)
from symbol_manager.doubts import Doubts
from symbol_manager.state import ShardState
from unit.symbol_manager.factories import (
    CAPABILITIES,
    NONCE,
    OWNERSHIP,
    SHARD,
    FakeClock,
    RecordingStore,
    make_intent,
    make_report,
    make_slot,
    make_state,
    make_trade,
    venue_id,
)

EVERY_MS = 60_000
ENTRY = make_intent(-1)
ORPHAN = make_intent(-1, shard=SHARD - 1)


@dataclass
class KeyRefusingExchange(FakeExchange):
    async def fetch_open_orders(self, symbol: str) -> list[OrderReport]:
        raise AuthenticationRefused("no such key")


@dataclass
class Office:
    """A comparison and everything it touches."""

    state: ShardState = field(default_factory=make_state)
    exchange: FakeExchange = field(default_factory=FakeExchange)
    clock: FakeClock = field(default_factory=FakeClock)
    store: RecordingStore = field(default_factory=RecordingStore)
    capabilities: Capabilities = CAPABILITIES

    def __post_init__(self) -> None:
        self.doubts = Doubts(self.clock, self.capabilities)
        self.comparison = Comparison(
            state=self.state,
            doubts=self.doubts,
            exchange=self.exchange,
            store=self.store,
            clock=self.clock,
            every_ms=EVERY_MS,
            record=self.record,
            log=structlog.get_logger("test"),
        )

    async def record(self, changes: Changes) -> None:
        if changes:
            await self.store.record(OWNERSHIP, self.state.claim.instrument, changes)

    async def compared(self, after_ms: int = 0) -> bool:
        """Whether the exchange is asked when time has passed."""
        self.clock.ms += after_ms
        asked = self.exchange.asked.count("fetch_open_orders")
        await self.comparison.keep_in_touch()
        return self.exchange.asked.count("fetch_open_orders") > asked


async def test_comparison_is_made_at_first_and_then_when_it_is_due() -> None:
    office = Office()
    assert not office.comparison.is_made
    assert await office.compared()
    assert office.comparison.is_made
    assert not await office.compared(EVERY_MS - 1)
    assert await office.compared(1)


async def test_comparison_asked_for_now_or_soon_comes_before_it_is_due() -> None:
    office = Office()
    assert await office.compared()
    office.comparison.ask_soon()
    assert not await office.compared(COMPARE_AGAIN_MS - 1)
    assert await office.compared(1)
    office.comparison.ask_now()
    assert await office.compared()
    # What is due before stays so.
    assert not await office.compared(EVERY_MS - 1)
    office.comparison.ask_soon()
    assert await office.compared(1)


@pytest.mark.parametrize("query", ["fetch_open_orders", "fetch_trades", "fetch_balances"])
async def test_comparison_that_lacks_an_answer_changes_nothing(query: str) -> None:
    office = Office()
    office.exchange.trades.append(make_trade(ENTRY, "1", 5))
    office.exchange.failing = {query}
    with pytest.raises(TransientVenueError):
        await office.comparison.make()
    assert not office.comparison.is_made
    assert office.store.recorded == []
    assert not office.state.parked


async def test_comparison_goes_on_after_the_last_trade_it_has_seen() -> None:
    office = Office()
    office.exchange.trades.append(make_trade(ENTRY, "41", 5))
    await office.comparison.make()
    office.exchange.trades.append(make_trade(ENTRY, "42", 5))
    await office.comparison.make()
    await office.comparison.make()
    seen = [(list(found.fills), found.reconciled_trade_id) for found in office.store.recorded]
    assert seen == [(["41"], "41"), (["42"], "42"), ([], None)]


async def test_comparison_failures_wait_longer_each_time_and_halt_at_the_bound() -> None:
    office = Office()
    office.exchange.failing = {"fetch_balances"}
    assert await office.compared()
    for failures in range(1, FAILED_COMPARISONS_MAX):
        assert office.comparison.halt_reason == ""
        assert not await office.compared(COMPARE_AGAIN_MS * failures - 1)
        assert await office.compared(1)
    assert office.comparison.halt_reason == "exchange: fetch_balances: no answer"

    office.exchange.failing = set()
    assert await office.compared(COMPARE_AGAIN_MS * FAILED_COMPARISONS_MAX)
    assert office.comparison.halt_reason == ""


async def test_comparison_refused_keys_are_raised_at_once() -> None:
    office = Office(exchange=KeyRefusingExchange())
    with pytest.raises(AuthenticationRefused):
        await office.comparison.keep_in_touch()


async def test_comparison_order_of_another_installation_halts_until_it_is_gone() -> None:
    office = Office()
    foreign = make_intent(-1, nonce=NONCE + 1)
    office.exchange.orders[foreign.client_order_id] = make_report(foreign)
    await office.comparison.make()
    assert office.comparison.halt_reason == f"another installation ({NONCE + 1}) trades this symbol"
    office.exchange.orders.clear()
    await office.comparison.make()
    assert office.comparison.halt_reason == ""


async def test_comparison_shortfall_is_looked_at_again_soon_and_halts_when_it_stays() -> None:
    office = Office()
    office.store.held = Decimal("0.1")
    assert await office.compared()
    assert office.comparison.halt_reason == ""
    assert await office.compared(COMPARE_AGAIN_MS)
    assert office.comparison.halt_reason == "the account holds 0.1 BTC less than the slots"
    # It is known now: the next look has time.
    assert not await office.compared(COMPARE_AGAIN_MS)


async def test_comparison_order_of_a_removed_shard_seen_once_does_not_halt() -> None:
    """Its cancel was on its way."""
    office = Office()
    office.exchange.orders[ORPHAN.client_order_id] = make_report(ORPHAN)
    assert await office.compared()
    assert office.comparison.halt_reason == ""
    office.exchange.orders.clear()
    assert await office.compared(COMPARE_AGAIN_MS)
    assert office.comparison.halt_reason == ""
    assert not await office.compared(EVERY_MS - 1)


async def test_comparison_order_of_a_removed_shard_halts_while_it_rests() -> None:
    """It is looked for less and less often: each look costs as much as any comparison."""
    office = Office()
    office.exchange.orders[ORPHAN.client_order_id] = make_report(ORPHAN)
    assert await office.compared()
    for looks in (1, 2, 3):
        assert not await office.compared(COMPARE_AGAIN_MS * looks - 1)
        assert await office.compared(1)
        assert f"{ORPHAN.client_order_id} of shard {SHARD - 1}" in office.comparison.halt_reason
    office.exchange.orders.clear()
    assert await office.compared(COMPARE_AGAIN_MS * 4)
    assert office.comparison.halt_reason == ""


@pytest.mark.parametrize("failing", [set(), {"fetch_balances"}])
async def test_comparison_looks_few_doubtful_orders_up_in_a_round(failing: set[str]) -> None:
    """Also while the comparison itself gets no answers."""
    intents = [make_intent(number) for number in range(-20, -20 + 2 * LOOK_UPS_A_ROUND)]
    office = Office(make_state(orders=[Order(intent=intent, state=Sent()) for intent in intents]))
    office.exchange.failing = failing
    await office.comparison.keep_in_touch()
    assert office.exchange.asked.count("fetch_order") == LOOK_UPS_A_ROUND


async def test_comparison_records_what_look_ups_prove_though_a_later_one_fails() -> None:
    """Of two orders in doubt the first is proven absent, then the exchange goes away."""

    class LeavingExchange(FakeExchange):
        async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
            if client_order_id != ENTRY.client_order_id:
                raise TransientVenueError("gone")
            return await super().fetch_order(symbol, client_order_id)

    orders = [Order(intent=intent, state=Sent()) for intent in (ENTRY, make_intent(-2))]
    office = Office(make_state(orders=orders), LeavingExchange())
    for order in orders:
        office.doubts.raise_for(order.intent.client_order_id)
    await office.compared()
    await office.compared(EVERY_MS // 2)
    assert isinstance(office.state.order(ENTRY.client_order_id).state, Absent)
    (proof,) = [found for found in office.store.recorded if not found.is_reconciled]
    assert list(proof.orders) == [ENTRY.client_order_id]


async def test_comparison_order_that_is_shown_is_in_no_doubt() -> None:
    office = Office(make_state(orders=[Order(intent=ENTRY, state=Sent())]))
    office.exchange.orders[ENTRY.client_order_id] = make_report(ENTRY)
    await office.comparison.keep_in_touch()
    assert office.state.order(ENTRY.client_order_id).state == Open(venue_id(ENTRY))
    assert "fetch_order" not in office.exchange.asked


async def test_comparison_asks_for_no_trades_while_the_budget_is_short_and_then_for_all() -> None:
    office = Office()
    office.exchange.rate.level = PLENTY / 2
    assert await office.compared()
    assert office.comparison.is_made
    assert "fetch_trades" not in office.exchange.asked
    assert office.store.recorded == []  # it was no complete one
    assert not await office.compared(EVERY_MS - 1)

    office.exchange.rate.level = PLENTY
    assert await office.compared()
    assert office.exchange.asked.count("fetch_trades") == 1
    assert [found.is_reconciled for found in office.store.recorded] == [True]
    assert not await office.compared(EVERY_MS - 1)


async def test_comparison_without_trades_is_followed_by_a_complete_one_in_the_end() -> None:
    office = Office()
    office.exchange.rate.level = 0.0
    for _ in range(INCOMPLETE_MAX):
        assert await office.compared(EVERY_MS)
    assert "fetch_trades" not in office.exchange.asked
    assert await office.compared(EVERY_MS)
    assert office.exchange.asked.count("fetch_trades") == 1


async def test_comparison_that_must_be_complete_is_so_whatever_the_budget() -> None:
    office = Office()
    office.exchange.rate.level = 0.0
    office.comparison.ask_now(must_be_complete=True)
    assert await office.compared()
    assert office.exchange.asked.count("fetch_trades") == 1
    office.comparison.ask_now()
    assert await office.compared()
    assert office.exchange.asked.count("fetch_trades") == 1


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        pytest.param([ENTRY], [], id="an order of ours is not shown"),
        pytest.param([ENTRY], [make_report(ENTRY, filled=2)], id="more is filled than we know"),
        pytest.param([], [make_report(ENTRY)], id="one that left memory is shown"),
    ],
)
async def test_comparison_asks_for_trades_of_which_the_orders_tell(
    known: list[Intent], shown: list[OrderReport]
) -> None:
    orders = [Order(intent=intent, state=Open(venue_id(intent))) for intent in known]
    office = Office(make_state(orders=orders, slots=[make_slot(-1)]))
    gone = Order(intent=ENTRY, state=Cancelled(venue_id(ENTRY), 0))
    office.store.forgotten[ENTRY.client_order_id] = (gone, 0)
    office.exchange.rate.level = 0.0
    office.exchange.orders |= {report.client_order_id: report for report in shown}
    await office.comparison.make()
    assert office.exchange.asked.count("fetch_trades") == 1


async def test_comparison_orders_that_rest_as_they_are_known_tell_of_no_trades() -> None:
    office = Office(make_state(orders=[Order(intent=ENTRY, state=Open(venue_id(ENTRY)))]))
    office.exchange.rate.level = 0.0
    office.exchange.orders[ENTRY.client_order_id] = make_report(ENTRY)
    await office.comparison.make()
    assert "fetch_trades" not in office.exchange.asked


class BudgetedExchange(FakeExchange):
    """Spends the weights of a venue, and has none to wait for."""

    def __init__(self, budget: RateBudget, clock: FakeClock) -> None:
        super().__init__()
        self._budget = budget
        self._clock = clock

    def _ask(self, query: str) -> None:
        super()._ask(query)
        call = {
            "fetch_open_orders": Call.OPEN_ORDERS,
            "fetch_newest_orders": Call.ORDERS,
            "fetch_trades": Call.TRADES,
        }.get(query)
        if call is not None:  # balances are asked for once for all symbols
            assert self._budget.take(BINANCE.costs[call], self._clock.ms) == 0
        self.rate.level = self._budget.weight_level(self._clock.ms)


async def test_comparisons_of_a_hundred_symbols_at_once_fit_the_budget_of_one_account() -> None:
    clock, budget = FakeClock(), RateBudget(BINANCE.limits)
    exchanges = [BudgetedExchange(budget, clock) for _ in range(100)]
    offices = [Office(exchange=exchange, clock=clock) for exchange in exchanges]
    for office in offices:
        await office.comparison.make()
    complete = sum("fetch_trades" in exchange.asked for exchange in exchanges)
    assert 0 < complete < len(offices)

    for _ in range(EVERY_MS // 1_000):
        clock.ms += 1_000
        for office, exchange in zip(offices, exchanges, strict=True):
            exchange.rate.level = budget.weight_level(clock.ms)
            await office.comparison.keep_in_touch()
    assert all("fetch_trades" in exchange.asked for exchange in exchanges)


@pytest.mark.parametrize(
    ("generation", "is_resting", "is_stored", "is_behind"),
    [
        pytest.param(2, False, False, True, id="the slot never came so far"),
        pytest.param(1, False, False, False, id="ended and forgotten"),
        pytest.param(1, True, True, False, id="left memory and rests"),
        pytest.param(1, True, False, True, id="rests and was never made"),
    ],
)
async def test_comparison_refuses_a_database_that_never_made_an_order_shown(
    generation: int, is_resting: bool, is_stored: bool, is_behind: bool
) -> None:
    intent = make_intent(-1, generation=generation)
    office = Office(make_state(slots=[make_slot(-1)]))
    if is_stored:
        ended = Order(intent=intent, state=Cancelled(venue_id(intent), 0))
        office.store.forgotten[intent.client_order_id] = (ended, 0)
    status = VenueStatus.OPEN if is_resting else VenueStatus.CANCELLED
    report = make_report(intent, status=status)
    office.exchange.orders[report.client_order_id] = report
    if not is_behind:
        await office.comparison.make()
        return
    office.exchange.trades.append(make_trade(intent, "1", 5))
    with pytest.raises(DatabaseRolledBack, match="gridkeeper restore"):
        await office.comparison.make()
    (recorded,) = office.store.recorded
    assert [finding.subject for finding in recorded.findings] == [intent.client_order_id]
    assert not recorded.fills
    assert not office.comparison.is_made


async def test_comparison_passes_over_orders_of_other_installations_and_former_shards() -> None:
    office = Office(make_state(slots=[make_slot(-1)]))
    tag = make_intent(-1, generation=9).tag
    for other in (replace(tag, nonce=tag.nonce + 1), replace(tag, shard=tag.shard - 1)):
        client_order_id = office.exchange.ids.encode(other)
        report = replace(make_report(ENTRY), client_order_id=client_order_id)
        office.exchange.orders[client_order_id] = replace(report, status=VenueStatus.CANCELLED)
    await office.comparison.make()
    assert office.comparison.halt_reason == ""


async def test_comparison_looks_at_ended_orders_once_a_tenure() -> None:
    office = Office()
    await office.comparison.make()
    await office.comparison.make()
    assert office.comparison.ids_are_new
    assert office.exchange.asked.count("fetch_newest_orders") == 1


async def test_comparison_short_of_budget_looks_at_ended_orders_when_one_is_to_be_placed() -> None:
    office = Office()
    office.exchange.rate.level = 0.0
    await office.comparison.make()
    assert "fetch_newest_orders" not in office.exchange.asked
    office.exchange.failing = {"fetch_newest_orders"}
    await office.comparison.prove_ids_new()
    office.exchange.failing = set()
    office.clock.ms += COMPARE_AGAIN_MS - 1
    await office.comparison.prove_ids_new()  # not so soon
    assert not office.comparison.ids_are_new
    office.clock.ms += 1
    await office.comparison.prove_ids_new()
    assert office.comparison.ids_are_new
    assert office.exchange.asked.count("fetch_newest_orders") == 2


async def test_trade_is_nobody_elses_until_the_newest_orders_are_known() -> None:
    office = Office()
    office.exchange.trades.append(make_trade(ENTRY, "1", 5))
    office.exchange.failing = {"fetch_newest_orders"}
    await office.comparison.make()
    assert [fill.origin for fill in office.store.recorded[0].fills.values()] == [Origin.PARKED]
    office.exchange.failing = set()
    office.clock.ms += COMPARE_AGAIN_MS
    await office.comparison.make()
    assert [fill.origin for fill in office.store.recorded[1].fills.values()] == [Origin.EXTERNAL]


async def test_ids_of_a_database_that_is_behind_are_refused_before_one_is_placed() -> None:
    office = Office(make_state(slots=[make_slot(-1)]))
    office.exchange.rate.level = 0.0
    intent = make_intent(-1, generation=2)
    report = make_report(intent, status=VenueStatus.CANCELLED)
    office.exchange.orders[report.client_order_id] = report
    await office.comparison.make()
    with pytest.raises(DatabaseRolledBack):
        await office.comparison.prove_ids_new()

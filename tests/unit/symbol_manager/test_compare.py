"""A comparison is made when due, changes nothing unless it is whole, and says what it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
import structlog

from domain.errors import AuthenticationRefused, TransientVenueError
from domain.ids import ClientOrderId
from domain.orders import Absent, Open, Order, OrderReport, Sent
from ports.exchange import Capabilities
from ports.store import Changes
from support.fake_exchange import FakeExchange
from symbol_manager.compare import (
    COMPARE_AGAIN_MS,
    FAILED_COMPARISONS_MAX,
    LOOK_UPS_A_ROUND,
    Comparison,
)
from symbol_manager.doubts import Doubts
from symbol_manager.state import ShardState
from unit.symbol_manager.factories import (
    CAPABILITIES,
    NONCE,
    OWNERSHIP,
    FakeClock,
    RecordingStore,
    make_intent,
    make_report,
    make_state,
    make_trade,
    venue_id,
)

EVERY_MS = 60_000
ENTRY = make_intent(-1)


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

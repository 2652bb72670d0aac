"""The venue's decisions: balances conserve, refusals name their reason, state is its records."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.config import Limits, SimulatorConfig
from simulator.errors import VenueError
from simulator.records import (
    OrderRequest,
    OrderType,
    Record,
    Side,
    Status,
    TimeInForce,
    from_json,
    to_json,
)
from simulator.spot_state import SpotState
from simulator.spot_venue import SpotVenue
from simulator.symbols import DEFAULT_SYMBOLS, Rules
from simulator.units import UNIT, parse_e8

SYMBOL = "BTCUSDT"
NOW_MS = 1_700_000_000_000
RULES = {symbol.name: Rules.of(symbol) for symbol in DEFAULT_SYMBOLS}


def e8(text: str) -> int:
    return parse_e8(text)


class Market:
    """A venue with one funded account and a book of 1 BTC at 100.00 / 100.01."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.records: list[Record] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.venue = SpotVenue(SpotState(RULES), limits or Limits(), first_id=1)
        for asset in ("USDT", "BTC"):
            self.venue.deposit("main", asset, 1000 * UNIT, NOW_MS, initial=True)
        self.show("100.00", "100.01")

    def show(self, bid: str, ask: str, quantity: str = "1") -> None:
        self.venue.books[SYMBOL].display({e8(bid): e8(quantity)}, {e8(ask): e8(quantity)})

    def place(self, side: str, price: str, quantity: str, **changes: Any) -> Any:
        request = OrderRequest(
            account="main",
            symbol=SYMBOL,
            side=Side(side),
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            client_order_id=f"id-{len(self.records)}-{len(self.events)}",
            price_e8=e8(price),
            quantity_e8=e8(quantity),
        )
        try:
            return self.venue.place(dataclasses.replace(request, **changes), NOW_MS)
        finally:
            self.drain()

    def market(self, side: str, **amounts: str) -> Any:
        values = {f"{name}_e8": e8(text) for name, text in amounts.items()}
        return self.place(side, "0", "0", type=OrderType.MARKET, **values)

    def trade(self, price: str, quantity: str, *, buyer_is_maker: bool) -> None:
        self.venue.trade(SYMBOL, e8(price), e8(quantity), NOW_MS, buyer_is_maker=buyer_is_maker)
        self.drain()

    def drain(self) -> None:
        outbox = self.venue.drain(NOW_MS)
        self.records += outbox.records
        self.events += outbox.events

    def balance(self, asset: str) -> tuple[int, int]:
        balance = self.venue.state.balances["main"][asset]
        return balance.free_e8, balance.locked_e8


def test_buy_that_is_filled_pays_its_price_and_its_fee_in_base() -> None:
    market = Market()
    order = market.place("BUY", "99.00", "2")
    assert market.balance("USDT") == (e8("802"), e8("198"))

    market.trade("99.00", "5", buyer_is_maker=True)

    assert order.status is Status.FILLED
    assert market.balance("USDT") == (e8("802"), 0)
    assert market.balance("BTC") == (e8("1001.998"), 0)


def test_sell_that_is_filled_pays_its_fee_in_quote() -> None:
    market = Market()
    market.place("SELL", "101.00", "2")
    market.trade("101.00", "5", buyer_is_maker=False)

    assert market.balance("BTC") == (e8("998"), 0)
    assert market.balance("USDT") == (e8("1201.798"), 0)


def test_limit_that_takes_pays_the_displayed_price_and_rests_with_the_remainder() -> None:
    market = Market()
    order = market.place("BUY", "101.00", "1.5")

    assert order.status is Status.PARTIALLY_FILLED
    assert order.executed_quote_e8 == e8("100.01")
    assert market.balance("USDT") == (e8("849.49"), e8("50.5"))


def test_ioc_expires_its_remainder() -> None:
    market = Market()
    order = market.place("BUY", "100.01", "1.5", time_in_force=TimeInForce.IOC)

    assert (order.status, order.executed_e8) == (Status.EXPIRED, UNIT)
    assert market.balance("USDT")[1] == 0


def test_fok_that_cannot_fill_whole_expires_untouched() -> None:
    market = Market()
    order = market.place("BUY", "100.01", "1.5", time_in_force=TimeInForce.FOK)

    assert (order.status, order.executed_e8) == (Status.EXPIRED, 0)


def test_market_order_by_quote_amount_buys_whole_steps() -> None:
    market = Market()
    order = market.market("BUY", quote_quantity="50")

    assert order.status is Status.FILLED
    assert order.executed_e8 % RULES[SYMBOL].step_e8 == 0
    assert e8("49.99") < order.executed_quote_e8 <= e8("50")


def test_cancel_releases_what_was_locked() -> None:
    market = Market()
    order = market.place("BUY", "99.00", "2")
    market.trade("99.00", "0.5", buyer_is_maker=True)

    market.venue.cancel(order, "cancel", NOW_MS)

    assert order.status is Status.CANCELED
    assert market.balance("USDT") == (e8("950.5"), 0)


def test_order_that_meets_own_resting_order_expires_that_one() -> None:
    market = Market()
    market.show("99.00", "105.00")
    resting = market.place("SELL", "101.00", "1")

    market.place("BUY", "102.00", "1")

    assert resting.status is Status.EXPIRED_IN_MATCH
    assert market.balance("BTC") == (e8("1000"), 0)


@pytest.mark.parametrize(
    ("order", "changes", "code", "reason"),
    [
        pytest.param(("BUY", "99.001", "1"), {}, -1013, "PRICE_FILTER", id="off-tick"),
        pytest.param(("BUY", "99", "0.000001"), {}, -1013, "LOT_SIZE", id="off-lot"),
        pytest.param(("BUY", "99", "0.00001"), {}, -1013, "NOTIONAL", id="too-small"),
        pytest.param(("BUY", "99", "11"), {}, -2010, "insufficient balance", id="no-quote"),
        pytest.param(("SELL", "101", "1001"), {}, -2010, "insufficient balance", id="no-base"),
        pytest.param(
            ("BUY", "100.01", "1"),
            {"type": OrderType.LIMIT_MAKER},
            -2010,
            "immediately match and take",
            id="post-only-crossing",
        ),
        pytest.param(
            ("BUY", "99", "1"), {"symbol": "NOPE"}, -1121, "Invalid symbol", id="unknown-symbol"
        ),
    ],
)
def test_place_refused_records_code_and_changes_nothing(
    order: tuple[str, str, str], changes: dict[str, Any], code: int, reason: str
) -> None:
    market = Market()
    with pytest.raises(VenueError, match=reason) as refusal:
        market.place(*order, **changes)

    assert refusal.value.code == code
    assert to_json(market.records[-1])["code"] == code
    assert market.balance("USDT") == (e8("1000"), 0)


def test_price_far_from_last_is_refused() -> None:
    market = Market()
    market.trade("100.00", "1", buyer_is_maker=True)
    with pytest.raises(VenueError, match="PERCENT_PRICE_BY_SIDE"):
        market.place("BUY", "19.99", "1")


def test_client_id_is_refused_while_open_and_accepted_after() -> None:
    market = Market()
    first = market.place("BUY", "99.00", "1", client_order_id="same")
    with pytest.raises(VenueError, match="Duplicate order sent"):
        market.place("BUY", "98.00", "1", client_order_id="same")
    market.venue.cancel(first, "cancel", NOW_MS)

    second = market.place("BUY", "98.00", "1", client_order_id="same")

    assert market.venue.state.order_by_client_id("main", SYMBOL, "same") is second


def test_open_orders_beyond_the_limit_are_refused() -> None:
    market = Market(Limits(open_orders_per_symbol=1))
    market.place("BUY", "99.00", "1")
    with pytest.raises(VenueError, match="MAX_NUM_ORDERS"):
        market.place("BUY", "98.00", "1")


def test_changed_rules_apply_to_new_orders_only() -> None:
    market = Market()
    order = market.place("BUY", "99.01", "1")
    market.venue.change_rules(SYMBOL, {"tick_size": "0.1"}, NOW_MS)

    with pytest.raises(VenueError, match="PRICE_FILTER"):
        market.place("BUY", "99.02", "1")
    assert order.is_open


def test_events_report_each_execution_with_running_totals() -> None:
    market = Market()
    market.place("BUY", "99.00", "2")
    market.trade("99.00", "0.5", buyer_is_maker=True)
    market.trade("99.00", "1.5", buyer_is_maker=True)

    reports = [event for _, event in market.events if event["e"] == "executionReport"]

    assert [(report["x"], report["X"], report["z"]) for report in reports] == [
        ("NEW", "NEW", "0.00000000"),
        ("TRADE", "PARTIALLY_FILLED", "0.50000000"),
        ("TRADE", "FILLED", "2.00000000"),
    ]


PRICES = st.integers(9_900, 10_100).map(lambda ticks: ticks * RULES[SYMBOL].tick_e8)
LOTS = st.integers(1_000, 300_000).map(lambda lots: lots * RULES[SYMBOL].step_e8)
ACTIONS = st.one_of(
    st.tuples(st.just("place"), st.sampled_from(Side), PRICES, LOTS, st.sampled_from(OrderType)),
    st.tuples(st.just("trade"), PRICES, LOTS, st.booleans()),
    st.tuples(st.just("show"), PRICES, LOTS),
    st.tuples(st.just("cancel"), st.integers(1, 20)),
    st.tuples(st.just("deposit"), st.integers(-100 * UNIT, 100 * UNIT)),
)


def act(market: Market, action: tuple[Any, ...]) -> None:
    venue = market.venue
    match action:
        case ("place", side, price_e8, quantity_e8, kind):
            price_e8 = 0 if kind is OrderType.MARKET else price_e8
            market.place(side, "0", "0", price_e8=price_e8, quantity_e8=quantity_e8, type=kind)
        case ("trade", price_e8, quantity_e8, buyer_is_maker):
            venue.trade(SYMBOL, price_e8, quantity_e8, NOW_MS, buyer_is_maker=buyer_is_maker)
        case ("show", price_e8, quantity_e8):
            venue.books[SYMBOL].display({price_e8: quantity_e8}, {price_e8 + UNIT: quantity_e8})
        case ("cancel", order_id):
            order = venue.state.order("main", SYMBOL, order_id)
            if order is not None:
                venue.cancel(order, "cancel", NOW_MS)
        case ("deposit", amount_e8):
            venue.deposit("main", "USDT", amount_e8, NOW_MS)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_money_is_conserved_and_records_rebuild_the_state(actions: list[tuple[Any, ...]]) -> None:
    market = Market()
    market.drain()
    for action in actions:
        try:
            act(market, action)
        except VenueError:
            continue
    market.drain()
    state = market.venue.state

    for asset in ("USDT", "BTC"):
        own = sum(market.balance(asset))
        given_e8 = state.initial_e8["main"][asset] + state.deposits_e8["main"][asset]
        assert own + state.counterparty_e8[asset] + state.fees_e8[asset] == given_e8
    locked = {"USDT": 0, "BTC": 0}
    for order in state.open_orders[SYMBOL].values():
        locked["USDT" if order.side is Side.BUY else "BTC"] += state.locked_e8(order)
    assert {asset: market.balance(asset)[1] for asset in locked} == locked

    rebuilt = SpotState(RULES)
    for record in market.records:
        rebuilt.apply(from_json(to_json(record)))
    assert rebuilt.balances == state.balances
    assert rebuilt.fills == state.fills
    assert rebuilt.open_orders[SYMBOL].keys() == state.open_orders[SYMBOL].keys()


def test_configuration_of_defaults_is_valid(tmp_path: Path) -> None:
    assert len(SimulatorConfig(data_dir=tmp_path).symbols) >= 5

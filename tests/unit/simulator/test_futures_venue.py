"""The futures venue's decisions: money that adds up, margin, reduce-only, funding, liquidation."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.config import Limits
from simulator.errors import FuturesError, VenueError
from simulator.futures_state import EntryKind, FuturesState
from simulator.futures_venue import FuturesVenue
from simulator.positions import Position
from simulator.records import (
    OrderFilled,
    OrderRequest,
    OrderType,
    Record,
    Side,
    Status,
    TimeInForce,
    from_json,
    to_json,
)
from simulator.symbols import DEFAULT_PERPETUALS, Rules
from simulator.units import UNIT, parse_e8

SYMBOL = "BTCUSDT"
NOW_MS = 1_700_000_000_000
RULES = {symbol.name: Rules.of(symbol) for symbol in DEFAULT_PERPETUALS}
START_E8 = 10_000 * UNIT


def e8(text: str) -> int:
    return parse_e8(text)


class Market:
    """A venue with one account of 10,000 USDT and a book of 5 BTC at 50,000.0 / 50,000.1."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.events: list[dict[str, Any]] = []
        self.venue = FuturesVenue(FuturesState(RULES), Limits(), first_id=1)
        self.venue.deposit("main", "USDT", START_E8, NOW_MS, initial=True)
        self.show("50000")

    def show(self, bid: str, quantity: str = "5") -> None:
        bid_e8, tick_e8 = e8(bid), RULES[SYMBOL].tick_e8
        self.venue.books[SYMBOL].display({bid_e8: e8(quantity)}, {bid_e8 + tick_e8: e8(quantity)})
        self.venue.marks_e8[SYMBOL] = bid_e8
        self.drain()

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

    def market(self, side: str, quantity: str) -> Any:
        return self.place(side, "0", quantity, type=OrderType.MARKET)

    def trade(self, price: str, quantity: str, *, buyer_is_maker: bool) -> None:
        self.venue.trade(SYMBOL, e8(price), e8(quantity), NOW_MS, buyer_is_maker=buyer_is_maker)
        self.drain()

    def drain(self) -> None:
        outbox = self.venue.drain(NOW_MS)
        self.records += outbox.records
        self.events += [event for _, event in outbox.events]

    @property
    def wallet_e8(self) -> int:
        return self.venue.state.wallets_e8["main"]["USDT"]

    @property
    def position(self) -> Position:
        return self.venue.state.position("main", SYMBOL)


def refused(error: FuturesError) -> Any:
    return pytest.raises(VenueError, match=str(error.value[0]))


def test_round_trip_books_profit_and_both_commissions() -> None:
    market = Market()
    market.market("BUY", "1")
    market.show("50100")
    market.market("SELL", "1")

    paid_e8 = e8("25.00005") + e8("25.05")
    assert market.wallet_e8 == START_E8 + e8("99.9") - paid_e8
    kinds = [entry.kind for entry in market.venue.state.entries["main"]]
    assert kinds == [
        EntryKind.TRANSFER,
        EntryKind.COMMISSION,
        EntryKind.REALISED,
        EntryKind.COMMISSION,
    ]


def test_margin_limits_what_may_be_opened_and_orders_count() -> None:
    market = Market()
    with refused(FuturesError.MARGIN_INSUFFICIENT):
        market.place("BUY", "49000", "4.1")
    market.place("BUY", "49000", "2")
    with refused(FuturesError.MARGIN_INSUFFICIENT):
        market.place("BUY", "49000", "2.1")
    # the other side needs margin only beyond what the bids need already
    market.place("SELL", "51000", "1.9")


def test_leverage_limits_the_notional() -> None:
    market = Market()
    market.venue.configure("main", SYMBOL, NOW_MS, leverage=125)
    market.place("BUY", "49000", "1")
    with refused(FuturesError.POSITION_TOO_LARGE):
        market.place("BUY", "49000", "0.1")
    with refused(FuturesError.LEVERAGE_INVALID):
        market.venue.configure("main", SYMBOL, NOW_MS, leverage=126)


def test_closing_needs_no_margin() -> None:
    market = Market()
    market.market("BUY", "3")
    market.show("47500")
    standing = market.venue.standing("main", "USDT")
    assert standing.available_e8 == 0
    market.market("SELL", "3")
    assert market.position.quantity_e8 == 0


@pytest.mark.parametrize(
    ("side", "quantity"),
    [
        pytest.param("BUY", "1", id="same-side"),
        pytest.param("SELL", "1.001", id="beyond-the-position"),
    ],
)
def test_reduce_only_that_would_increase_is_refused(side: str, quantity: str) -> None:
    market = Market()
    market.market("BUY", "1")
    with refused(FuturesError.REDUCE_ONLY):
        market.place(side, "50050", quantity, reduce_only=True)


def test_reduce_only_order_shrinks_and_ends_with_its_position() -> None:
    market = Market()
    market.market("BUY", "1")
    order = market.place("SELL", "50500", "1", reduce_only=True)
    market.place("SELL", "50400", "0.7")

    market.trade("50600", "5", buyer_is_maker=False)

    assert market.position.quantity_e8 == 0
    assert (order.status, order.executed_e8) == (Status.EXPIRED, e8("0.3"))


def test_good_till_crossing_is_refused_where_it_would_take() -> None:
    market = Market()
    with refused(FuturesError.POST_ONLY):
        market.place("BUY", "50000.1", "0.1", time_in_force=TimeInForce.GTX)
    order = market.place("BUY", "50000", "0.1", time_in_force=TimeInForce.GTX)
    assert order.status is Status.NEW


def test_amended_order_keeps_its_queue_only_where_it_shrinks() -> None:
    market = Market()
    order = market.place("BUY", "50000", "1")
    market.trade("50000", "4.9", buyer_is_maker=True)

    market.venue.amend(order, e8("50000"), e8("0.5"), NOW_MS)
    market.trade("50000", "0.2", buyer_is_maker=True)
    assert order.executed_e8 == e8("0.1")

    market.venue.amend(order, e8("50000"), e8("1"), NOW_MS)
    market.trade("50000", "0.2", buyer_is_maker=True)
    assert order.executed_e8 == e8("0.1")


def test_amended_order_may_take_and_may_end() -> None:
    market = Market()
    order = market.place("BUY", "49000", "1")
    with refused(FuturesError.NOTHING_TO_AMEND):
        market.venue.amend(order, e8("49000"), e8("1"), NOW_MS)
    market.venue.amend(order, e8("50001"), e8("1"), NOW_MS)
    assert order.status is Status.FILLED

    post_only = market.place("BUY", "49000", "0.1", time_in_force=TimeInForce.GTX)
    market.venue.amend(post_only, e8("50001"), e8("0.1"), NOW_MS)
    assert post_only.status is Status.CANCELED


def test_amendment_that_is_refused_leaves_the_order_as_it_was() -> None:
    market = Market()
    order = market.place("BUY", "49000", "1")
    with refused(FuturesError.MARGIN_INSUFFICIENT):
        market.venue.amend(order, e8("49000"), e8("4.5"), NOW_MS)
    with refused(FuturesError.PRICE_TICK):
        market.venue.amend(order, e8("49000.05"), e8("1"), NOW_MS)
    assert (order.quantity_e8, order.price_e8, order.is_open) == (UNIT, e8("49000"), True)


@pytest.mark.parametrize(("side", "sign"), [("BUY", -1), ("SELL", 1)])
def test_funding_is_paid_by_longs_to_shorts(side: str, sign: int) -> None:
    market = Market()
    market.market(side, "1")
    before_e8 = market.wallet_e8

    market.venue.settle_funding(SYMBOL, e8("0.0001"), NOW_MS)

    assert market.wallet_e8 == before_e8 + sign * 5 * UNIT


def test_liquidation_takes_the_margin_and_no_more() -> None:
    market = Market()
    market.market("BUY", "3")
    resting = market.place("BUY", "45000", "0.1")
    exact = market.venue.standing("main", "USDT").liquidation_price_e8(SYMBOL, e8("50000"))
    tick_e8 = RULES[SYMBOL].tick_e8
    above_e8 = exact - exact % tick_e8 + tick_e8
    market.venue.marks_e8[SYMBOL] = above_e8
    market.venue.check_margins(NOW_MS)
    assert market.position.quantity_e8 == 3 * UNIT

    market.venue.marks_e8[SYMBOL] = above_e8 - tick_e8
    market.venue.check_margins(NOW_MS)
    market.drain()

    assert market.position.quantity_e8 == 0
    assert resting.status is Status.CANCELED
    assert 0 <= market.wallet_e8 <= 3 * tick_e8
    forced = market.records[-1]
    assert isinstance(forced, OrderFilled)
    assert forced.client_order_id.startswith("autoclose-")


def test_isolated_liquidation_leaves_the_rest_of_the_wallet() -> None:
    market = Market()
    market.venue.configure("main", SYMBOL, NOW_MS, isolated=True)
    market.market("SELL", "1")
    set_aside_e8 = market.position.isolated_e8
    before_e8 = market.wallet_e8

    market.show("52500")
    market.venue.check_margins(NOW_MS)

    assert market.position.quantity_e8 == 0
    lost_e8 = before_e8 - market.wallet_e8
    assert 0 <= set_aside_e8 - lost_e8 <= RULES[SYMBOL].tick_e8


def test_countdown_cancels_when_its_time_is_over() -> None:
    market = Market()
    order = market.place("BUY", "49000", "1")
    market.venue.set_countdown("main", SYMBOL, 500, NOW_MS)
    market.venue.run_countdowns(NOW_MS + 499)
    assert order.is_open
    market.venue.set_countdown("main", SYMBOL, 500, NOW_MS + 499)
    market.venue.run_countdowns(NOW_MS + 998)
    assert order.is_open

    market.venue.run_countdowns(NOW_MS + 999)

    assert order.status is Status.CANCELED
    assert market.venue.state.countdowns == {}


PRICES = st.integers(498_000, 502_000).map(lambda ticks: ticks * RULES[SYMBOL].tick_e8)
LOTS = st.integers(10, 2_000).map(lambda lots: lots * RULES[SYMBOL].step_e8)
ACTIONS = st.one_of(
    st.tuples(
        st.just("place"),
        st.sampled_from(Side),
        PRICES,
        LOTS,
        st.sampled_from(TimeInForce),
        st.booleans(),
    ),
    st.tuples(st.just("take"), st.sampled_from(Side), LOTS),
    st.tuples(st.just("trade"), PRICES, LOTS, st.booleans()),
    st.tuples(st.just("show"), PRICES, LOTS),
    st.tuples(st.just("amend"), st.integers(1, 20), PRICES, LOTS),
    st.tuples(st.just("cancel"), st.integers(1, 20)),
    st.tuples(st.just("deposit"), st.integers(-1_000 * UNIT, 1_000 * UNIT)),
    st.tuples(st.just("fund"), st.integers(-100_000, 100_000)),
    st.tuples(st.just("crash"), st.integers(400_000, 600_000)),
    st.tuples(st.just("configure"), st.sampled_from([1, 20, 100]), st.booleans()),
)


def act(market: Market, action: tuple[Any, ...]) -> None:
    venue = market.venue
    match action:
        case ("place", side, price_e8, quantity_e8, force, reduce_only):
            market.place(
                side,
                "0",
                "0",
                price_e8=price_e8,
                quantity_e8=quantity_e8,
                time_in_force=force,
                reduce_only=reduce_only,
            )
        case ("take", side, quantity_e8):
            market.place(side, "0", "0", quantity_e8=quantity_e8, type=OrderType.MARKET)
        case ("trade", price_e8, quantity_e8, buyer_is_maker):
            venue.trade(SYMBOL, price_e8, quantity_e8, NOW_MS, buyer_is_maker=buyer_is_maker)
        case ("show", price_e8, quantity_e8):
            venue.books[SYMBOL].display(
                {price_e8: quantity_e8}, {price_e8 + RULES[SYMBOL].tick_e8: quantity_e8}
            )
            venue.marks_e8[SYMBOL] = price_e8
            venue.check_margins(NOW_MS)
        case ("amend", order_id, price_e8, quantity_e8):
            order = venue.state.order("main", SYMBOL, order_id)
            if order is not None and order.is_open:
                venue.amend(order, price_e8, quantity_e8, NOW_MS)
        case ("cancel", order_id):
            order = venue.state.order("main", SYMBOL, order_id)
            if order is not None:
                venue.cancel(order, "cancel", NOW_MS)
        case ("deposit", amount_e8):
            venue.deposit("main", "USDT", amount_e8, NOW_MS)
        case ("fund", rate_e8):
            venue.settle_funding(SYMBOL, rate_e8, NOW_MS)
        case ("crash", ticks):
            venue.marks_e8[SYMBOL] = ticks * RULES[SYMBOL].tick_e8
            venue.check_margins(NOW_MS)
        case ("configure", leverage, isolated):
            venue.configure("main", SYMBOL, NOW_MS, leverage=leverage)
            venue.configure("main", SYMBOL, NOW_MS, isolated=isolated)


def folded_wallet_e8(records: list[Record]) -> int:
    """The wallet by the ledger alone, as an auditor would add it up."""
    total_e8 = 0
    for record in records:
        document = to_json(record)
        match document["kind"]:
            case "deposited" | "funding_paid":
                total_e8 += parse_e8(document["amount"])
            case "order_filled":
                total_e8 += parse_e8(document["realised"]) - parse_e8(document["fee"])
    return total_e8


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_wallet_and_position_are_what_the_ledger_says(actions: list[tuple[Any, ...]]) -> None:
    market = Market()
    for action in actions:
        try:
            act(market, action)
        except VenueError:
            continue
        finally:
            market.drain()
    state, position = market.venue.state, market.position

    assert market.wallet_e8 == folded_wallet_e8(market.records)
    assert market.wallet_e8 == sum(entry.amount_e8 for entry in state.entries["main"])
    fills = [record for record in market.records if isinstance(record, OrderFilled)]
    assert position.quantity_e8 == sum(fill.side.sign * fill.quantity_e8 for fill in fills)

    rebuilt = FuturesState(RULES)
    for record in market.records:
        rebuilt.apply(from_json(to_json(record)))
    assert rebuilt.wallets_e8 == state.wallets_e8
    assert rebuilt.position("main", SYMBOL) == position
    assert rebuilt.open_orders[SYMBOL].keys() == state.open_orders[SYMBOL].keys()


#: Above the market, so that all of it rests: exits of a long position, reduce-only or not.
EXITS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 1_000), st.booleans()), min_size=1, max_size=8
)
RALLIES = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3_000)), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(EXITS, RALLIES)
def test_reduce_only_fills_never_flip_nor_grow_a_position(
    exits: list[tuple[int, int, bool]], rallies: list[tuple[int, int]]
) -> None:
    market = Market()
    rules = RULES[SYMBOL]
    start_e8 = e8("50010")
    market.market("BUY", "1")
    for ticks, lots, reduce_only in exits:
        market.place(
            "SELL",
            "0",
            "0",
            price_e8=start_e8 + ticks * rules.tick_e8,
            quantity_e8=(lots + 2) * rules.step_e8 if not reduce_only else lots * rules.step_e8,
            reduce_only=reduce_only,
        )
    for ticks, lots in rallies:
        price_e8, quantity_e8 = start_e8 + ticks * rules.tick_e8, lots * rules.step_e8
        market.venue.trade(SYMBOL, price_e8, quantity_e8, NOW_MS, buyer_is_maker=False)
    market.drain()

    orders = market.venue.state.orders[SYMBOL]
    position_e8 = 0
    for record in market.records:
        if isinstance(record, OrderFilled):
            after_e8 = position_e8 + record.side.sign * record.quantity_e8
            if orders[record.order_id].reduce_only:
                assert 0 <= after_e8 < position_e8
            position_e8 = after_e8
    for order in market.venue.state.open_orders_of("main", SYMBOL):
        assert not order.reduce_only or market.position.closable_e8(order.side) > 0

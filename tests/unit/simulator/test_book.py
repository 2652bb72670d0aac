"""Matching: price-time priority, the queue ahead, and volume that is spent only once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.book import Book, Match
from simulator.records import Side

PRICES = st.integers(90, 110)
QUANTITIES = st.integers(1, 50)


def a_book(bid: int = 100, ask: int = 101, quantity: int = 10) -> Book:
    book = Book(1)
    book.display({bid: quantity, bid - 1: quantity}, {ask: quantity, ask + 1: quantity})
    return book


def test_resting_order_at_displayed_price_waits_for_queue_ahead() -> None:
    book = a_book()
    book.rest(1, "a", Side.BUY, 100, 5)

    assert list(book.trade(100, 10, buyer_is_maker=True)) == []
    assert list(book.trade(100, 3, buyer_is_maker=True)) == [Match(1, 100, 3)]
    assert list(book.trade(100, 9, buyer_is_maker=True)) == [Match(1, 100, 2)]


def test_resting_order_better_than_best_is_first() -> None:
    book = a_book(bid=99, ask=102)
    book.rest(1, "a", Side.SELL, 101, 5)

    assert list(book.trade(101, 4, buyer_is_maker=False)) == [Match(1, 101, 4)]


def test_trade_through_price_fills_whatever_the_queue() -> None:
    book = a_book()
    book.rest(1, "a", Side.BUY, 100, 5)

    assert list(book.trade(99, 8, buyer_is_maker=True)) == [Match(1, 100, 5)]


def test_trade_at_price_by_aggressor_of_own_side_fills_nothing() -> None:
    book = a_book(bid=99)
    book.rest(1, "a", Side.BUY, 100, 5)

    assert list(book.trade(100, 8, buyer_is_maker=False)) == []


def test_trade_quantity_is_shared_in_price_time_order() -> None:
    book = a_book(bid=95)
    book.rest(1, "a", Side.BUY, 98, 5)
    book.rest(2, "a", Side.BUY, 99, 5)
    book.rest(3, "a", Side.BUY, 98, 5)

    assert list(book.trade(98, 12, buyer_is_maker=True)) == [
        Match(2, 99, 5),
        Match(1, 98, 5),
        Match(3, 98, 2),
    ]


def test_queue_ahead_of_two_orders_is_consumed_once() -> None:
    book = a_book()
    book.rest(1, "a", Side.BUY, 100, 5)
    book.rest(2, "a", Side.BUY, 100, 5)

    assert list(book.trade(100, 18, buyer_is_maker=True)) == [Match(1, 100, 5), Match(2, 100, 3)]


def test_queue_ahead_shrinks_to_what_is_displayed() -> None:
    book = a_book()
    order = book.rest(1, "a", Side.BUY, 100, 5)

    book.display({100: 4, 99: 10}, {101: 10})
    assert order.queue_ahead_e8 == 4
    book.display({100: 20, 99: 10}, {101: 10})
    assert order.queue_ahead_e8 == 4


@pytest.mark.parametrize(
    ("bids", "expected"),
    [
        pytest.param({99: 10, 98: 10}, 0, id="price-better-than-best"),
        pytest.param({103: 10, 102: 10}, 10, id="price-deeper-than-displayed"),
        pytest.param({}, 10, id="side-empty"),
    ],
)
def test_queue_ahead_after_quote_moves(bids: dict[int, int], expected: int) -> None:
    book = a_book()
    order = book.rest(1, "a", Side.BUY, 100, 5)

    book.display(bids, {104: 1})

    assert order.queue_ahead_e8 == expected


def test_taker_walks_displayed_levels_up_to_its_limit() -> None:
    book = a_book()

    taken = book.take("a", Side.BUY, 102, 15)

    assert taken.parts == ((101, 10), (102, 5))
    assert book.asks == {102: 5}


def test_taken_quantity_is_gone_until_displayed_anew() -> None:
    book = a_book()
    book.take("a", Side.BUY, 101, 10)

    assert book.take("a", Side.BUY, 101, 10).parts == ()
    book.display({100: 10}, {101: 7})
    assert book.take("a", Side.BUY, 101, 10).parts == ((101, 7),)


def test_taker_meets_only_own_orders_it_reaches() -> None:
    book = a_book(ask=105)
    book.rest(1, "a", Side.SELL, 103, 5)
    book.rest(2, "b", Side.SELL, 103, 5)
    book.rest(3, "a", Side.SELL, 106, 5)

    assert book.take("a", Side.BUY, 106, 10).met_own == (1,)


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        pytest.param(Side.BUY, 101, True, id="buy-at-ask"),
        pytest.param(Side.BUY, 100, False, id="buy-at-bid"),
        pytest.param(Side.SELL, 100, True, id="sell-at-bid"),
        pytest.param(Side.SELL, 101, False, id="sell-at-ask"),
    ],
)
def test_would_take_follows_displayed_best(side: Side, price: int, expected: bool) -> None:
    assert a_book().would_take("a", side, price) is expected


def test_changes_name_every_touched_price_and_reset() -> None:
    book = a_book()
    book.changes()

    book.display({100: 10, 99: 10}, {101: 3, 102: 10})

    assert book.changes() == (book.update_id, {(Side.SELL, 101)})
    assert book.changes()[1] == set()
    book.take("a", Side.SELL, 99, 15)
    assert book.changes() == (book.update_id, {(Side.BUY, 100), (Side.BUY, 99)})


@given(
    orders=st.lists(st.tuples(st.sampled_from(Side), PRICES, QUANTITIES), max_size=12),
    trades=st.lists(st.tuples(PRICES, QUANTITIES, st.booleans()), max_size=20),
    shown=QUANTITIES,
)
def test_fills_never_exceed_volume_at_or_through_nor_jump_the_queue(
    orders: list[tuple[Side, int, int]], trades: list[tuple[int, int, bool]], shown: int
) -> None:
    book = Book(1)
    book.display({100: shown, 99: shown}, {101: shown, 102: shown})
    placed = [
        (book.rest(number, "a", side, price, quantity), quantity)
        for number, (side, price, quantity) in enumerate(orders)
    ]
    queues = {order.order_id: order.queue_ahead_e8 for order, _ in placed}
    filled = dict.fromkeys(queues, 0)
    for price, volume, buyer_is_maker in trades:
        matches = list(book.trade(price, volume, buyer_is_maker=buyer_is_maker))
        assert sum(match.quantity_e8 for match in matches) <= volume
        for match in matches:
            filled[match.order_id] += match.quantity_e8

    for order, quantity in placed:
        buying = order.side is Side.BUY
        through = sum(
            volume
            for price, volume, _ in trades
            if (price < order.price_e8 if buying else price > order.price_e8)
        )
        at_price = sum(
            volume
            for price, volume, buyer_is_maker in trades
            if price == order.price_e8 and buyer_is_maker is buying
        )
        assert filled[order.order_id] <= quantity
        assert filled[order.order_id] + order.remaining_e8 == quantity
        if not through:
            assert filled[order.order_id] <= max(0, at_price - queues[order.order_id])
        assert filled[order.order_id] <= through + at_price

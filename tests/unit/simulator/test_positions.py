"""Positions in integers: sums that must hold, and the prices at which a position ends."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.positions import (
    BRACKETS,
    Position,
    bankruptcy_price_e8,
    liquidation_price_e8,
    maintenance_e8,
    notional_max_e8,
)
from simulator.records import Side
from simulator.units import UNIT, notional_e8

TICK_E8 = UNIT // 10
FILLS = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 500), st.integers(900_000, 1_100_000)),
    min_size=1,
    max_size=30,
)
LEVERAGES = st.sampled_from([1, 3, 20, 125])


def amounts(lots: int, ticks: int) -> tuple[int, int]:
    """Quantity and quote of so many thousandths at so many ticks."""
    quantity_e8 = lots * UNIT // 1000
    return quantity_e8, notional_e8(ticks * TICK_E8, quantity_e8)


@given(FILLS, LEVERAGES, st.booleans())
def test_position_is_the_sum_of_its_trades(
    fills: list[tuple[Side, int, int]], leverage: int, isolated: bool
) -> None:
    position = Position(leverage=leverage, isolated=isolated)
    quantity_e8 = spent_e8 = realised_e8 = 0
    for side, lots, ticks in fills:
        traded_e8, quote_e8 = amounts(lots, ticks)
        expected_e8 = position.realised_by(side, traded_e8, quote_e8)
        assert position.trade(side, traded_e8, quote_e8) == expected_e8
        quantity_e8 += side.sign * traded_e8
        spent_e8 += side.sign * quote_e8
        realised_e8 += expected_e8
        assert position.quantity_e8 == quantity_e8
        assert position.cost_e8 == spent_e8 + realised_e8
        assert position.cost_e8 * quantity_e8 >= 0
        assert (position.cost_e8 == 0) == (quantity_e8 == 0)
        assert position.isolated_e8 >= 0
        if quantity_e8 == 0 or not isolated:
            assert position.isolated_e8 == 0


@given(FILLS, st.integers(900_000, 1_100_000))
def test_equity_does_not_depend_on_when_profit_is_realised(
    fills: list[tuple[Side, int, int]], mark_ticks: int
) -> None:
    position = Position()
    cash_e8 = 0
    for side, lots, ticks in fills:
        traded_e8, quote_e8 = amounts(lots, ticks)
        position.trade(side, traded_e8, quote_e8)
        cash_e8 -= side.sign * quote_e8
    mark_e8 = mark_ticks * TICK_E8
    worth_e8 = position.notional_e8(mark_e8)
    assert position.realised_e8 + position.unrealised_e8(mark_e8) == cash_e8 + worth_e8


def test_position_that_is_reversed_closes_first_and_opens_at_the_new_price() -> None:
    position = Position()
    position.trade(Side.BUY, *amounts(2_000, 1_000_000))

    realised_e8 = position.trade(Side.SELL, *amounts(3_000, 1_010_000))

    assert realised_e8 == 2 * 1_000 * UNIT
    assert position.quantity_e8 == -UNIT
    assert position.entry_price_e8 == 101_000 * UNIT


def test_position_partly_closed_keeps_its_entry_price() -> None:
    position = Position()
    position.trade(Side.SELL, *amounts(1_000, 1_000_000))
    position.trade(Side.SELL, *amounts(1_000, 1_020_000))

    realised_e8 = position.trade(Side.BUY, *amounts(500, 1_000_000))

    assert realised_e8 == 500 * UNIT
    assert position.entry_price_e8 == 101_000 * UNIT


def test_isolated_margin_follows_the_open_part() -> None:
    position = Position(leverage=10, isolated=True)
    position.trade(Side.BUY, *amounts(1_000, 1_000_000))
    assert position.isolated_e8 == 10_000 * UNIT

    position.trade(Side.SELL, *amounts(250, 1_000_000))

    assert position.isolated_e8 == 7_500 * UNIT


@given(st.integers(1, 1_000_000_000), st.integers(0, UNIT - 1))
def test_maintenance_margin_grows_with_the_notional(whole: int, fraction: int) -> None:
    worth_e8 = whole * UNIT + fraction
    assert 0 < maintenance_e8(worth_e8) <= maintenance_e8(worth_e8 + 1) <= worth_e8


def test_maintenance_margin_does_not_jump_between_brackets() -> None:
    for lower, upper in itertools.pairwise(BRACKETS):
        step_e8 = maintenance_e8(upper.floor_e8 + 1) - maintenance_e8(lower.cap_e8)
        assert 0 <= step_e8 <= 1


@pytest.mark.parametrize(("leverage", "most"), [(125, 50_000), (20, 10_000_000), (21, 1_000_000)])
def test_greatest_notional_depends_on_leverage(leverage: int, most: int) -> None:
    assert notional_max_e8(leverage) == most * UNIT


@given(st.sampled_from(Side), st.integers(10, 3_000), st.integers(900_000, 1_100_000), LEVERAGES)
def test_position_ends_between_its_entry_and_its_bankruptcy(
    side: Side, lots: int, ticks: int, leverage: int
) -> None:
    position = Position(leverage=leverage, isolated=True)
    position.trade(side, *amounts(lots, ticks))
    margin_e8 = position.isolated_e8

    bankrupt_e8 = bankruptcy_price_e8(position, margin_e8, TICK_E8)
    left_e8 = margin_e8 + position.unrealised_e8(bankrupt_e8)
    assert bankrupt_e8 % TICK_E8 == 0
    assert left_e8 >= 0
    if bankrupt_e8 > TICK_E8:
        assert left_e8 <= notional_e8(TICK_E8, abs(position.quantity_e8)) + 1

    ended_e8 = liquidation_price_e8(position, position.entry_price_e8, margin_e8)
    if side is Side.BUY:
        assert ended_e8 >= bankrupt_e8 - TICK_E8
    else:
        assert ended_e8 <= bankrupt_e8 + TICK_E8

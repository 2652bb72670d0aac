"""Trades into slots and pairs: every unit of base and quote is somewhere."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvariantViolation
from domain.ids import OrderTag, Purpose, Side
from domain.orders import Trade
from grid.slots import Pair, Slot, apply_trade, close_round, record_intent
from unit.grid.factories import INSTRUMENT, LOT_UNITS, make_slot, make_trade, slot_id

#: Level of the exit of slot 0: 101 quote, so that one lot is worth 10.1 and orderable.
EXIT = 10_100


def apply(
    slot: Slot, trade: Trade, *, exit_live: bool = False, exit_level_ticks: int = EXIT
) -> tuple[Slot, Pair | None]:
    return apply_trade(
        slot,
        trade,
        Purpose.ENTRY if trade.side is Side.BUY else Purpose.EXIT,
        INSTRUMENT,
        exit_level_ticks=exit_level_ticks,
        exit_live=exit_live,
    )


@pytest.mark.parametrize(
    ("trade", "expected"),
    [
        pytest.param(
            make_trade(Side.BUY, "100", "1", fee="0.001", fee_asset="ABC"),
            {"inventory_units": 99_900_000, "cost_units": 100 * 10**8, "fee_base_units": 100_000},
            id="a base fee lowers the inventory",
        ),
        pytest.param(
            make_trade(Side.BUY, "100", "1", fee="0.1", fee_asset="USDT"),
            {"inventory_units": 10**8, "cost_units": 10_010_000_000, "fee_quote_units": 10**7},
            id="a quote fee raises the cost",
        ),
        pytest.param(
            make_trade(Side.BUY, "99.5", "1", fee="0.1", fee_asset="BNB"),
            {"inventory_units": 10**8, "cost_units": 9_950_000_000},
            id="a third asset's fee touches neither",
        ),
        pytest.param(
            make_trade(Side.BUY, "100", "1", fee="-0.01", fee_asset="USDT"),
            {"inventory_units": 10**8, "cost_units": 9_999_000_000, "fee_quote_units": -(10**6)},
            id="a rebate lowers the cost",
        ),
    ],
)
def test_apply_trade_entry_adds_inventory_and_cost(trade: Trade, expected: dict[str, Any]) -> None:
    assert apply(make_slot(0), trade) == (make_slot(0, **expected, trades=1), None)


def test_apply_trade_exit_of_all_records_pair() -> None:
    bought, _ = apply(make_slot(0), make_trade(Side.BUY, "100", "1", fee="0.1", fee_asset="USDT"))
    sold, pair = apply(bought, make_trade(Side.SELL, "101", "1", fee="0.101", fee_asset="USDT"))
    assert sold == make_slot(0, trades=2)
    assert pair is not None
    assert (pair.quantity_units, pair.fee_quote_units) == (10**8, 20_100_000)
    assert pair.profit_units == 10**8 - 20_100_000


def test_apply_trade_exit_after_base_fee_keeps_dust_with_its_cost() -> None:
    bought, _ = apply(make_slot(0), make_trade(Side.BUY, "100", "1", fee="0.001", fee_asset="ABC"))
    sold, pair = apply(bought, make_trade(Side.SELL, "101", "0.9"))
    assert pair is not None
    assert (sold.inventory_units, sold.cost_units) == (9_900_000, 990_990_991)
    assert pair.cost_units == 9_009_009_009
    assert sold.closed_units == 0


def test_apply_trade_exit_in_parts_records_one_pair() -> None:
    slot, first = apply(make_slot(0, 10), make_trade(Side.SELL, "101", "0.4"), exit_live=True)
    assert first is None
    assert (slot.closed_units, slot.inventory_units) == (4 * LOT_UNITS, 6 * LOT_UNITS)
    slot, second = apply(slot, make_trade(Side.SELL, "102", "0.6"))
    assert second is not None
    assert (second.quantity_units, second.proceeds_units) == (10**8, 10_160_000_000)
    assert slot == make_slot(0, trades=2)


@pytest.mark.parametrize(
    ("exit_live", "exit_level", "is_recorded"),
    [
        pytest.param(False, 4_000, True, id="under the minimum and nothing rests: dust"),
        pytest.param(True, 4_000, False, id="under the minimum and its exit rests: not over"),
        pytest.param(False, 6_000, False, id="another exit can be placed: not over"),
    ],
)
def test_apply_trade_exit_leaving_a_lot_records_pair_only_when_it_is_dust(
    exit_live: bool, exit_level: int, is_recorded: bool
) -> None:
    slot, pair = apply(
        make_slot(0, 10),
        make_trade(Side.SELL, "101", "0.9"),
        exit_live=exit_live,
        exit_level_ticks=exit_level,
    )
    assert (pair is not None) is is_recorded
    assert slot.inventory_units == LOT_UNITS


def test_apply_trade_entry_after_cancelled_exit_closes_the_old_round_first() -> None:
    sell, buy = make_trade(Side.SELL, "101", "0.9"), make_trade(Side.BUY, "100", "1")
    slot, _ = apply(make_slot(0, 10), sell, exit_live=True, exit_level_ticks=4_000)
    slot, pair = apply(slot, buy, exit_level_ticks=4_000)
    assert pair is not None
    assert pair.quantity_units == 9 * LOT_UNITS
    assert slot == make_slot(0, 11, trades=2)


def test_close_round_nothing_sold_records_nothing() -> None:
    slot = make_slot(0, inventory_units=5, cost_units=7)
    closed = close_round(slot, INSTRUMENT, exit_level_ticks=EXIT, exit_live=False)
    assert closed == (slot, None)


@pytest.mark.parametrize(
    ("trade", "purpose"),
    [
        pytest.param(make_trade(Side.SELL, "101", "1.1"), Purpose.EXIT, id="more than held"),
        pytest.param(
            make_trade(Side.SELL, "101", "1", fee="0.1", fee_asset="ABC"),
            Purpose.EXIT,
            id="more than held with the fee",
        ),
        pytest.param(make_trade(Side.SELL, "101", "1"), Purpose.ENTRY, id="an entry that sells"),
        pytest.param(make_trade(Side.BUY, "101", "1"), Purpose.EXIT, id="an exit that buys"),
        pytest.param(make_trade(Side.BUY, "101", "0"), Purpose.ENTRY, id="an empty trade"),
    ],
)
def test_apply_trade_impossible_raises(trade: Trade, purpose: Purpose) -> None:
    with pytest.raises(InvariantViolation):
        apply_trade(
            make_slot(0, 10), trade, purpose, INSTRUMENT, exit_level_ticks=EXIT, exit_live=False
        )


def test_record_intent_each_side_counts_by_itself_and_only_upwards() -> None:
    def tag(side: Side, generation: int) -> OrderTag:
        return OrderTag(
            nonce=1,
            shard=1,
            slot=slot_id(0),
            purpose=Purpose.ENTRY,
            side=side,
            generation=generation,
        )

    slot = record_intent(record_intent(make_slot(0), tag(Side.BUY, 1)), tag(Side.BUY, 2))
    assert (slot.next_generation(Side.BUY), slot.next_generation(Side.SELL)) == (3, 1)
    assert record_intent(slot, tag(Side.SELL, 1)) == replace(slot, sell_generation=1)
    with pytest.raises(InvariantViolation):
        record_intent(slot, tag(Side.BUY, 2))


FEES = st.sampled_from(["ABC", "USDT", "BNB"])


@given(
    steps=st.lists(
        st.tuples(
            st.booleans(),
            st.integers(1, 40),
            st.integers(9_000, 11_000),
            st.integers(-50, 200),
            FEES,
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_apply_trade_any_history_conserves_base_and_quote(
    steps: list[tuple[bool, int, int, int, str, bool]],
) -> None:
    slot = make_slot(0)
    paid = received = held = 0
    pairs: list[Pair] = []
    for is_buy, most_lots, ticks, fee_bp, asset, exit_live in steps:
        lots = most_lots if is_buy else min(most_lots, slot.inventory_units // LOT_UNITS)
        fee_asset = asset if is_buy or asset != "ABC" else "USDT"
        if lots == 0:
            continue
        quantity, price = INSTRUMENT.lots_to_quantity(lots), INSTRUMENT.ticks_to_price(ticks)
        whole = quantity if fee_asset == "ABC" else quantity * price
        fee = (whole * fee_bp / 10_000).quantize(Decimal("1E-8"))
        side = Side.BUY if is_buy else Side.SELL
        trade = make_trade(side, str(price), str(quantity), fee=str(fee), fee_asset=fee_asset)
        slot, pair = apply(slot, trade, exit_live=exit_live)
        pairs += [pair] if pair else []

        notional = INSTRUMENT.notional_units(ticks, lots)
        fee_units = int(fee.scaleb(8))
        fee_quote = fee_units if fee_asset == "USDT" else 0
        held += lots * LOT_UNITS * (1 if is_buy else -1)
        held -= fee_units if fee_asset == "ABC" else 0
        paid += notional + fee_quote if is_buy else 0
        received += 0 if is_buy else notional - fee_quote

        assert slot.inventory_units == held >= 0
        assert slot.cost_units >= 0
        assert paid == sum(p.cost_units for p in pairs) + slot.closed_cost_units + slot.cost_units
        assert received == sum(p.proceeds_units for p in pairs) + slot.proceeds_units

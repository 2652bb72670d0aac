"""Conversions at the border between Decimal and integers lose nothing, or say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from domain.instrument import Instrument, Rounding
from support.fake_exchange import BTC

amounts = st.integers(0, 10**18)


@given(amounts, amounts)
def test_instrument_any_integers_read_back_equal(steps: int, units: int) -> None:
    assert BTC.price_to_ticks(BTC.ticks_to_price(steps)) == steps
    assert BTC.quantity_to_lots(BTC.lots_to_quantity(steps)) == steps
    assert BTC.base_to_units(BTC.units_to_base(units)) == units
    assert BTC.quote_to_units(BTC.units_to_quote(units)) == units


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_notional_units_any_order_equals_decimal_product(ticks: int, lots: int) -> None:
    product = BTC.ticks_to_price(ticks) * BTC.lots_to_quantity(lots)
    assert BTC.notional_units(ticks, lots) == BTC.quote_to_units(product)


@given(st.decimals(0, 10**9, places=8))
def test_instrument_any_rounding_stays_within_one_step(value: Decimal) -> None:
    floor = BTC.price_to_ticks(value, Rounding.FLOOR)
    ceil = BTC.price_to_ticks(value, Rounding.CEIL)
    assert BTC.ticks_to_price(floor) <= value <= BTC.ticks_to_price(ceil)
    assert ceil - floor in {0, 1}
    assert (ceil == floor) is (BTC.ticks_to_price(floor) == value)


@pytest.mark.parametrize(
    ("convert", "field"),
    [
        pytest.param(lambda: BTC.price_to_ticks(Decimal("1.005")), "price", id="price"),
        pytest.param(lambda: BTC.quantity_to_lots(Decimal("0.000001")), "quantity", id="quantity"),
        pytest.param(lambda: BTC.base_to_units(Decimal("1E-9")), "base amount", id="base"),
        pytest.param(lambda: BTC.quote_to_units(Decimal("1E-9")), "quote amount", id="quote"),
    ],
)
def test_instrument_inexact_value_is_refused(convert: Callable[[], int], field: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        convert()
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"tick_size": Decimal(0)}, "tick_size", id="no tick"),
        pytest.param({"tick_size": Decimal("NaN")}, "tick_size", id="tick is no number"),
        pytest.param({"lot_size": Decimal("-0.1")}, "lot_size", id="negative lot"),
        pytest.param({"lot_size": Decimal("Infinity")}, "lot_size", id="infinite lot"),
        pytest.param({"lot_size": Decimal("1E-9")}, "lot_size", id="lot below a unit"),
        pytest.param({"tick_size": Decimal("1E-6")}, "tick_size", id="tick x lot below a unit"),
    ],
)
def test_instrument_impossible_rules_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        replace(BTC, **changes)
    assert refusal.value.field == field


def test_min_notional_between_two_units_is_rounded_up() -> None:
    instrument = replace(BTC, min_notional=Decimal("5.000000001"))
    assert instrument.min_notional_units == 500_000_001


def test_tradable_lots_leaves_the_fraction_of_a_lot_as_dust() -> None:
    assert BTC.tradable_lots(7 * BTC.base_units_per_lot + 999) == 7
    assert BTC.tradable_lots(BTC.base_units_per_lot - 1) == 0


@pytest.mark.parametrize(
    ("instrument", "lots", "expected"),
    [
        pytest.param(BTC, 5_000, True, id="exactly the least notional"),
        pytest.param(BTC, 4_999, False, id="a lot below the least notional"),
        pytest.param(replace(BTC, min_quantity_lots=5_001), 5_000, False, id="least quantity"),
    ],
)
def test_is_orderable_at_the_venue_minimum_is_exact(
    instrument: Instrument, lots: int, expected: bool
) -> None:
    assert instrument.is_orderable(10_000, lots) is expected

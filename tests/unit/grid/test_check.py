"""Refusals by meaning: each names the field, and its remedy is the smallest that works."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from domain.instrument import MarketKind
from grid.check import check_spec, why_idle
from grid.spec import GridSpec
from unit.grid.factories import INSTRUMENT, make_book, make_grid, make_instrument, make_spec

PRICE = Decimal(100)


def refusal(price: Decimal = PRICE, **changes: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check_spec(make_spec(**changes), INSTRUMENT, price)
    return caught.value


def remedy_amount(error: ConfigurationError) -> Decimal:
    found = re.search(r"\d+(\.\d+)?", error.remedy)
    assert found, error.remedy
    return Decimal(found[0])


def test_check_spec_window_reports_the_numbers() -> None:
    report = check_spec(make_spec(), INSTRUMENT, PRICE)
    assert report.slots == 10
    assert report.lowest_buy == 90
    assert report.highest_sell == 100
    assert report.order_quantity == 1
    # 0.999 base arrive, sell at 100 and pay 0.1 %: 99.8001, less the 99 they cost.
    assert report.profit_per_round_trip == Decimal("0.8001")
    assert report.max_inventory == 10
    assert report.quote_needed == Decimal(945) * Decimal("1.001")


def test_check_spec_fixed_reports_all_slots() -> None:
    spec = make_spec(range={"kind": "fixed", "lower": "90", "upper": "110.5"}, budget_quote="350")
    report = check_spec(spec, INSTRUMENT, PRICE)
    assert report.anchor == report.lowest_buy == 90
    assert report.highest_sell == 110
    assert report.slots == 20
    assert report.max_inventory == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param(
            {"spacing": {"kind": "arithmetic", "step": "0.005"}}, "spacing.step", id="part of tick"
        ),
        pytest.param(
            {"spacing": {"kind": "arithmetic", "step": "1.005"}}, "spacing.step", id="odd step"
        ),
        pytest.param(
            {"spacing": {"kind": "geometric", "ratio": "1.00001"}}, "spacing.ratio", id="fine ratio"
        ),
        pytest.param(
            {"range": {"kind": "fixed", "lower": "90.001", "upper": "110"}},
            "range.lower",
            id="odd lower price",
        ),
        pytest.param(
            {"range": {"kind": "fixed", "lower": "90", "upper": "90.99"}},
            "range.upper",
            id="no slot",
        ),
        pytest.param(
            {"range": {"kind": "fixed", "lower": "10", "upper": "2010"}}, "range", id="many levels"
        ),
        pytest.param(
            {"range": {"kind": "window", "buy_window": 5, "sell_window": 5, "anchor": "0.001"}},
            "anchor",
            id="anchor under a tick",
        ),
        pytest.param(
            {"spacing": {"kind": "arithmetic", "step": "100"}}, "range.anchor", id="no level below"
        ),
        pytest.param({"budget_quote": "999999999999"}, "budget_quote", id="budget beyond int64"),
    ],
)
def test_check_spec_impossible_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    error = refusal(**changes)
    assert error.field == field
    assert error.remedy


@pytest.mark.parametrize(
    "grid_range",
    [
        pytest.param({"kind": "window", "buy_window": 10, "sell_window": 10}, id="window"),
        pytest.param(
            {"kind": "window", "buy_window": 9, "sell_window": 9, "anchor": "97.13"}, id="anchored"
        ),
        pytest.param({"kind": "fixed", "lower": "90", "upper": "110"}, id="fixed"),
    ],
)
def test_check_spec_step_below_fees_names_smallest_step(grid_range: dict[str, Any]) -> None:
    step = remedy_amount(refusal(range=grid_range, spacing={"kind": "arithmetic", "step": "0.05"}))
    accepted = make_spec(range=grid_range, spacing={"kind": "arithmetic", "step": str(step)})
    assert check_spec(accepted, INSTRUMENT, PRICE).profit_per_round_trip > 0
    smaller = {"kind": "arithmetic", "step": str(step - INSTRUMENT.tick_size)}
    assert refusal(range=grid_range, spacing=smaller).field == "spacing.step"


def test_check_spec_range_below_fees_asks_for_wider_range() -> None:
    error = refusal(
        range={"kind": "fixed", "lower": "100", "upper": "100.1"},
        spacing={"kind": "arithmetic", "step": "0.05"},
    )
    assert "wider range" in error.remedy


def test_check_spec_ratio_below_fees_names_ratio_that_works() -> None:
    ratio = remedy_amount(refusal(spacing={"kind": "geometric", "ratio": "1.001"}))
    assert Decimal("1.002") < ratio < Decimal("1.003")
    accepted = make_spec(spacing={"kind": "geometric", "ratio": str(ratio)})
    assert check_spec(accepted, INSTRUMENT, PRICE).profit_per_round_trip > 0


@pytest.mark.parametrize(
    ("size", "step"),
    [
        pytest.param({"kind": "quote", "amount": "2"}, Decimal("0.001"), id="quote"),
        pytest.param({"kind": "base", "amount": "0.01"}, Decimal("0.1"), id="base"),
    ],
)
def test_check_spec_small_order_names_smallest_amount(size: dict[str, Any], step: Decimal) -> None:
    amount = remedy_amount(refusal(order_size=size))
    check_spec(make_spec(order_size=size | {"amount": str(amount)}), INSTRUMENT, PRICE)
    smaller = size | {"amount": str(amount - step)}
    assert refusal(order_size=smaller).field == "order_size.amount"


def test_check_spec_small_budget_names_smallest_budget() -> None:
    budget = remedy_amount(refusal(budget_quote="50"))
    check_spec(make_spec(budget_quote=str(budget)), INSTRUMENT, PRICE)
    assert refusal(budget_quote=str(budget - Decimal("0.00000001"))).field == "budget_quote"


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        pytest.param({}, "", id="as accepted"),
        pytest.param({"min_notional": Decimal(200)}, "`order_size.amount`", id="minimum"),
        pytest.param({"min_quantity_lots": 10**6}, "`order_size.amount`", id="quantity"),
        pytest.param({"maker_fee": Decimal("0.1")}, "`spacing.step`", id="fee"),
    ],
)
@pytest.mark.parametrize("mode", ["long", "short", "neutral"])
@pytest.mark.parametrize(
    "grid_range",
    [
        pytest.param({"kind": "window", "buy_window": 3, "sell_window": 3}, id="window"),
        pytest.param({"kind": "fixed", "lower": "90", "upper": "110"}, id="fixed"),
    ],
)
def test_why_idle_under_later_rules_tells_what_check_spec_would_refuse(
    rules: dict[str, Any], told: str, mode: str, grid_range: dict[str, Any]
) -> None:
    declared = {} if mode == "long" else {"base_inventory": "10"}
    grid = make_grid(make_instrument(**rules), mode=mode, range=grid_range, **declared)
    why = why_idle(grid, make_book(10_000, 10_001))
    assert why.startswith(told)
    assert bool(why) is bool(told)


@given(
    fee=st.decimals("-0.0002", "0.02", places=5),
    price=st.integers(50, 5_000_000),
    step=st.integers(1, 400),
)
def test_check_spec_any_fee_accepts_only_profit(fee: Decimal, price: int, step: int) -> None:
    instrument = make_instrument(maker_fee=fee)
    spec = make_spec(
        spacing={"kind": "arithmetic", "step": str(instrument.ticks_to_price(step))},
        range={"kind": "window", "buy_window": 3, "sell_window": 3},
        order_size={"kind": "quote", "amount": "1000000"},
        budget_quote="10000000",
    )
    anchor = instrument.ticks_to_price(price)
    refused: str | None = None
    try:
        report = check_spec(spec, instrument, anchor)
    except ConfigurationError as error:
        refused = error.field
    else:
        assert report.profit_per_round_trip > 0
        assert report.quote_needed > 0
    level = price - step
    is_profitable = level > 0 and price * (1 - fee) ** 2 > level
    assert refused == (None if is_profitable else "range.anchor" if level < 1 else "spacing.step")


@pytest.mark.parametrize("mode", ["long", "short"])
@pytest.mark.parametrize("initial", [False, True])
def test_check_spec_remedy_is_the_smallest_step_that_works(mode: str, initial: bool) -> None:
    instrument = make_instrument(kind=MarketKind.LINEAR)

    def spec_of(step: Decimal) -> GridSpec:
        return make_spec(
            mode=mode,
            initial_position=initial,
            spacing={"kind": "arithmetic", "step": str(step)},
            range={"kind": "window", "buy_window": 5, "sell_window": 40},
            budget_quote="100000",
        )

    with pytest.raises(ConfigurationError) as refusal:
        check_spec(spec_of(Decimal("0.02")), instrument, Decimal(100))
    smallest = Decimal(refusal.value.remedy.split()[-1])
    assert check_spec(spec_of(smallest), instrument, Decimal(100)).profit_per_round_trip > 0
    with pytest.raises(ConfigurationError, match=r"spacing\.step"):
        check_spec(spec_of(smallest - instrument.tick_size), instrument, Decimal(100))

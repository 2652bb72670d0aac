"""Levels: whole ticks, strictly increasing, the same whenever they are asked for."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from domain.instrument import Instrument
from grid.ladder import INDEX_MAX, INDEX_MIN, Ladder, LadderVersion, anchor_for
from grid.spec import GridSpec
from unit.grid.factories import INSTRUMENT, make_instrument, make_spec

WINDOW = {"kind": "window", "buy_window": 10, "sell_window": 10}


def ladder_of(spec: GridSpec, instrument: Instrument, anchor: Decimal) -> Ladder:
    version = LadderVersion(version=0, anchor=anchor, spacing=spec.spacing)
    return Ladder.of(version, spec.range, instrument)


def make_ladder(anchor: str = "100", **changes: Any) -> Ladder:
    return ladder_of(make_spec(**changes), INSTRUMENT, Decimal(anchor))


def test_arithmetic_ladder_window_runs_from_one_price_to_index_limit() -> None:
    ladder = make_ladder("100.5")
    assert [ladder.price_ticks(index) for index in (-1, 0, 1)] == [9950, 10050, 10150]
    assert ladder.price_ticks(ladder.lowest_index) == 50
    assert ladder.highest_index == INDEX_MAX


def test_geometric_ladder_levels_are_rounded_powers() -> None:
    ladder = make_ladder(spacing={"kind": "geometric", "ratio": "1.0005"})
    levels = [ladder.price_ticks(index) for index in (-2, -1, 0, 1, 2, 700)]
    # 10000 · 1.0005^i = 9990.0075, 9995.0025, 10000, 10005, 10010.0025, 14189.43
    assert levels == [9990, 9995, 10000, 10005, 10010, 14189]


def test_geometric_ladder_built_again_shares_its_levels() -> None:
    spacing = {"kind": "geometric", "ratio": "1.0005"}
    assert make_ladder(spacing=spacing).spacing is make_ladder(spacing=spacing).spacing
    assert make_ladder("100.5", spacing=spacing).spacing.price_ticks(0) == 10_050


@pytest.mark.parametrize(
    ("spacing", "upper", "levels"),
    [
        pytest.param({"kind": "arithmetic", "step": "1"}, "110", 11, id="upper is a level"),
        pytest.param({"kind": "arithmetic", "step": "1"}, "109.99", 10, id="upper is no level"),
        pytest.param({"kind": "geometric", "ratio": "1.01"}, "110", 10, id="geometric"),
    ],
)
def test_fixed_ladder_runs_from_lower_to_upper(
    spacing: dict[str, str], upper: str, levels: int
) -> None:
    fixed = {"kind": "fixed", "lower": "100", "upper": upper}
    ladder = make_ladder(range=fixed, spacing=spacing)
    assert (ladder.lowest_index, ladder.highest_index) == (0, levels - 1)
    assert ladder.index_below(1) == -1
    assert ladder.index_below(10**9) == levels - 1


@pytest.mark.parametrize(
    ("grid_range", "expected"),
    [
        pytest.param(WINDOW, Decimal(123), id="a window starts at the price"),
        pytest.param(WINDOW | {"anchor": "90"}, Decimal(90), id="or at the anchor asked for"),
        pytest.param(
            {"kind": "fixed", "lower": "80", "upper": "99"}, Decimal(80), id="a range at its foot"
        ),
    ],
)
def test_anchor_for_range_is_level_zero(grid_range: dict[str, Any], expected: Decimal) -> None:
    assert anchor_for(make_spec(range=grid_range), Decimal(123)) == expected


def test_ladder_tick_grown_past_step_is_refused() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        ladder_of(make_spec(), make_instrument(tick_size=Decimal(2)), Decimal(100))
    assert refusal.value.field == "spacing.step"


@given(
    anchor=st.integers(100, 10**9),
    step=st.integers(1, 10**6),
    price=st.integers(1, 10**10),
)
def test_arithmetic_ladder_any_price_lies_above_its_index(
    anchor: int, step: int, price: int
) -> None:
    spec = make_spec(spacing={"kind": "arithmetic", "step": str(Decimal(step) / 100)})
    ladder = ladder_of(spec, INSTRUMENT, Decimal(anchor) / 100)
    assert_tight(ladder, price)


@given(
    step=st.integers(7, 500),
    tick=st.sampled_from(["0.02", "0.03", "0.05", "0.07"]),
    index=st.integers(-100, 1_000),
    price=st.integers(1, 10**5),
)
def test_arithmetic_ladder_of_coarser_ticks_stays_within_a_tick_of_its_levels(
    step: int, tick: str, index: int, price: int
) -> None:
    exact = Decimal(step) / 100
    spec = make_spec(spacing={"kind": "arithmetic", "step": str(exact)})
    instrument = make_instrument(tick_size=Decimal(tick))
    ladder = ladder_of(spec, instrument, 10_000 * instrument.tick_size)
    level = ladder.anchor_ticks * instrument.tick_size + index * exact
    assert 0 <= level - instrument.ticks_to_price(ladder.price_ticks(index)) < instrument.tick_size
    assert ladder.price_ticks(index) < ladder.price_ticks(index + 1)
    assert ladder.price_ticks(ladder.lowest_index) >= 1
    assert ladder.price_ticks(ladder.lowest_index - 1) < 1
    assert_tight(ladder, price)


@given(
    anchor=st.integers(100, 10**9),
    ratio=st.decimals("1.01", "2", places=5),
    price=st.integers(1, 10**10),
)
def test_geometric_ladder_any_price_lies_above_its_index(
    anchor: int, ratio: Decimal, price: int
) -> None:
    spec = make_spec(spacing={"kind": "geometric", "ratio": str(ratio)})
    ladder = ladder_of(spec, INSTRUMENT, Decimal(anchor) / 100)
    assert_tight(ladder, price)


@given(anchor=st.integers(10_000, 10**8), ratio=st.decimals("1.0001", "1.5", places=6))
def test_geometric_ladder_levels_rise_strictly_and_within_half_a_tick(
    anchor: int, ratio: Decimal
) -> None:
    spec = make_spec(spacing={"kind": "geometric", "ratio": str(ratio)})
    ladder = ladder_of(spec, INSTRUMENT, Decimal(anchor) / 100)
    lowest = ladder.lowest_index
    around = {*range(lowest, lowest + 50), *range(-50, 50)}
    for index in sorted(index for index in around if lowest <= index < ladder.highest_index):
        level = ladder.price_ticks(index)
        assert 1 <= level < ladder.price_ticks(index + 1)
        with localcontext() as context:
            context.prec = 80
            assert abs(level - anchor * ratio**index) <= Decimal("0.5")


def assert_tight(ladder: Ladder, price: int) -> None:
    index = ladder.index_below(price)
    assert INDEX_MIN <= ladder.lowest_index <= ladder.highest_index <= INDEX_MAX
    if index >= ladder.lowest_index:
        assert ladder.price_ticks(index) < price
    if index < ladder.highest_index:
        assert price <= ladder.price_ticks(index + 1)

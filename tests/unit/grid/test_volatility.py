"""The ladder follows the true range of closed candles, rarely and upwards from its own step."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.market import Candle
from grid.ladder import Ladder, LadderVersion, spacing_of
from grid.spec import ArithmeticSpacing, GeometricSpacing
from grid.volatility import average_true_range, next_ladder
from unit.grid.factories import INSTRUMENT, make_spec

BASE = ArithmeticSpacing(step=Decimal(1))
VOLATILITY: dict[str, Any] = {"timeframe": "1m", "candles": 2, "scale": "0.5"}


def candle(high: str, low: str, close: str, at: int = 0) -> Candle:
    return Candle(
        open_ms=at,
        open=Decimal(close),
        high=Decimal(high),
        low=Decimal(low),
        close=Decimal(close),
    )


def candles(width: str) -> list[Candle]:
    """Three candles around 100, each as wide as that."""
    half = Decimal(width) / 2
    return [candle(str(100 + half), str(100 - half), "100", at) for at in range(3)]


def test_average_true_range_counts_gaps_from_the_close_before() -> None:
    rows = [candle("101", "99", "100"), candle("106", "104", "105"), candle("106", "102", "103")]
    # 106 - 100 = 6 with the gap, then 106 - 102 = 4.
    assert average_true_range(rows) == 5


@pytest.mark.parametrize(
    ("width", "current", "expected"),
    [
        pytest.param("4", "1", "2", id="wider: half of the range"),
        pytest.param("1", "2", "1", id="quieter: back to its own step"),
        pytest.param("1", "1", None, id="never narrower than its own step"),
        pytest.param("2.18", "1", None, id="less than a tenth: the present one will do"),
        pytest.param("2.2", "1", "1.1", id="a tenth"),
        pytest.param("2.201", "1", "1.11", id="rounded up to whole ticks"),
    ],
)
def test_next_ladder_steps_with_the_range(width: str, current: str, expected: str | None) -> None:
    spec = make_spec(volatility=VOLATILITY)
    spacing = ArithmeticSpacing(step=Decimal(current))
    now = LadderVersion(version=4, anchor=Decimal(100), spacing=spacing)
    ladder = next_ladder(spec, INSTRUMENT, now, set(), candles(width))
    if expected is None:
        assert ladder is None
    else:
        step = ArithmeticSpacing(step=Decimal(expected))
        assert ladder == LadderVersion(version=5, anchor=Decimal(100), spacing=step)


def test_next_ladder_geometric_grows_by_the_range_as_a_part_of_the_price() -> None:
    spec = make_spec(volatility=VOLATILITY, spacing={"kind": "geometric", "ratio": "1.01"})
    now = LadderVersion(version=0, anchor=Decimal(100), spacing=spec.spacing)
    ladder = next_ladder(spec, INSTRUMENT, now, set(), candles("6"))
    assert ladder is not None
    assert ladder.spacing == GeometricSpacing(ratio=Decimal("1.03"))


def test_next_ladder_leaves_versions_alone_that_still_hold_something() -> None:
    spec = make_spec(volatility=VOLATILITY)
    now = LadderVersion(version=254, anchor=Decimal(100), spacing=BASE)
    ladder = next_ladder(spec, INSTRUMENT, now, {255, 0, 1}, candles("4"))
    assert ladder is not None
    assert ladder.version == 2
    taken = set(range(256)) - {254}
    assert next_ladder(spec, INSTRUMENT, now, taken, candles("4")) is None


def test_next_ladder_too_few_candles_or_no_wish_ask_for_nothing() -> None:
    now = LadderVersion(version=0, anchor=Decimal(100), spacing=BASE)
    spec = make_spec(volatility=VOLATILITY)
    assert next_ladder(spec, INSTRUMENT, now, set(), candles("9")[1:]) is None
    assert next_ladder(spec, INSTRUMENT, now, set(), ()) is None
    assert next_ladder(make_spec(), INSTRUMENT, now, set(), candles("9")) is None


@pytest.mark.parametrize(
    ("spacing", "least"),
    [
        pytest.param({"kind": "arithmetic", "step": "1"}, Decimal(4), id="arithmetic"),
        pytest.param({"kind": "geometric", "ratio": "1.006"}, Decimal("1.04"), id="geometric"),
    ],
)
def test_next_ladder_steps_by_a_tick_at_least_where_ticks_became_coarser(
    spacing: dict[str, Any], least: Decimal
) -> None:
    """Its own step no longer fits, and the market is too quiet for a wider one."""
    coarse = replace(INSTRUMENT, tick_size=Decimal(4))
    spec = make_spec(spacing=spacing, volatility=VOLATILITY)
    wide = spacing_of(spec, INSTRUMENT).model_copy(
        update={"step": Decimal(10)}
        if spacing["kind"] == "arithmetic"
        else {"ratio": Decimal("1.1")}
    )
    now = LadderVersion(version=4, anchor=Decimal(100), spacing=wide)
    ladder = next_ladder(spec, coarse, now, set(), candles("0.1"))
    assert ladder is not None
    found = ladder.spacing
    assert (found.step if isinstance(found, ArithmeticSpacing) else found.ratio) == least
    assert Ladder.of(ladder, spec.range, coarse)

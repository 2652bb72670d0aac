"""The level engine: its two implementations agree on tables, prices and real-looking ticks."""

from __future__ import annotations

from array import array
from itertools import accumulate
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext import _engine_py

compiled: ModuleType = pytest.importorskip("ext._engine", reason="the kernels are not compiled")

ENGINES = [pytest.param(compiled, id="compiled"), pytest.param(_engine_py, id="python")]
PRICES = st.integers(min_value=-(2**61), max_value=2**61)
GAPS = st.lists(st.integers(1, 10**6), min_size=1, max_size=300)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param(5, -1, id="at the first level"),
        pytest.param(6, 0, id="above the first level"),
        pytest.param(8, 0, id="at the second level"),
        pytest.param(13, 1, id="at the last level"),
        pytest.param(14, 2, id="above all"),
        pytest.param(-3, -1, id="below all"),
    ],
)
def test_level_table_finds_the_last_level_below(
    engine: ModuleType, price: int, expected: int
) -> None:
    assert engine.LevelTable(array("q", [5, 8, 13])).index_below(price) == expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("levels", [[], [5], [5, 5], [5, 4]])
def test_level_table_refuses_levels_that_do_not_rise(engine: ModuleType, levels: list[int]) -> None:
    with pytest.raises(ValueError, match="rise"):
        engine.LevelTable(array("q", levels))


def test_level_table_refuses_other_arrays() -> None:
    with pytest.raises(TypeError):
        compiled.LevelTable(array("i", [1, 2]))


@given(start=st.integers(-(10**9), 10**9), gaps=GAPS, asked=st.data())
def test_level_table_agrees_with_its_twin(
    start: int, gaps: list[int], asked: st.DataObject
) -> None:
    levels = array("q", accumulate(gaps, initial=start))
    tables = compiled.LevelTable(levels), _engine_py.LevelTable(levels)
    near = st.integers(levels[0] - 2, levels[-1] + 2)
    prices = asked.draw(st.lists(near | st.sampled_from(list(levels)), min_size=1, max_size=50))
    for price in prices:
        assert tables[0].index_below(price) == tables[1].index_below(price)


def test_level_table_with_one_tiny_gap_in_a_wide_span_is_still_right() -> None:
    levels = array("q", [0, 1, 10**12, 2 * 10**12])
    table = compiled.LevelTable(levels)
    assert [table.index_below(price) for price in (1, 2, 10**12, 10**12 + 1)] == [0, 1, 1, 2]


@given(band=st.tuples(PRICES, PRICES, PRICES, PRICES), bid=PRICES, ask=PRICES)
def test_quiet_band_agrees_with_its_twin(
    band: tuple[int, int, int, int], bid: int, ask: int
) -> None:
    ticks = compiled.QuietBand(*band), _engine_py.QuietBand(*band)
    assert ticks[0].is_quiet(bid, ask) == ticks[1].is_quiet(bid, ask)


@pytest.mark.parametrize("engine", ENGINES)
def test_quiet_band_floors_the_middle(engine: ModuleType) -> None:
    band = engine.QuietBand(-2, 10, 100, -100)
    assert band.is_quiet(-3, 0)  # floor(-1.5) = -2
    assert not band.is_quiet(-4, -1)  # floor(-2.5) = -3
    assert band.ignore(0, 0)

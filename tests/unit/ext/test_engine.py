"""The level engine: its two implementations agree on tables, prices and real-looking ticks.

What counts ticks by digits says what `Decimal` says, or nothing.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from itertools import accumulate
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.instrument import Instrument
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


#: Prices as venues write them, as they might, and as nobody should.
PLAIN = st.from_regex(r"[0-9]{0,12}\.?[0-9]{0,10}", fullmatch=True)
SHORT = st.from_regex(r"[0-9]{1,5}(\.[0-9]{0,4})?", fullmatch=True)
TEXTS = (
    PLAIN
    | st.decimals(places=None).map(str)
    | st.text("0123456789.-+eE_ ", max_size=24)
    | st.text(max_size=8)
)
TICK_SIZES = st.sampled_from(
    [
        Decimal(size)
        for size in ("0.01", "0.01000000", "0.00000001", "0.5", "0.025", "1", "3", "1E+1")
    ]
) | st.decimals(min_value=Decimal("1E-19"), max_value=Decimal("1E+19"), allow_nan=False)


def instrument_of(tick_size: Decimal) -> Instrument:
    return Instrument(
        account="sim",
        symbol="BTC/USDT",
        base="BTC",
        quote="USDT",
        tick_size=tick_size,
        lot_size=Decimal(1),
        min_notional=Decimal(5),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
        quote_decimals=60,
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("tick_size", "price", "expected"),
    [
        pytest.param("0.01", "61799.99000000", 6_179_999, id="zeros behind"),
        pytest.param("0.01000000", "61799.99", 6_179_999, id="zeros behind the tick"),
        pytest.param("0.5", "10.5", 21, id="halves"),
        pytest.param("1E+1", "120", 12, id="tens"),
        pytest.param("0.01", "0", 0, id="nothing"),
        pytest.param("0.01", "999999999999999999", -1, id="too large in ticks"),
        pytest.param("0.01", "0000000000000000001", -1, id="too many digits"),
        pytest.param("0.01", "61799.995", -1, id="between ticks"),
        pytest.param("0.5", "10.4", -1, id="between halves"),
        pytest.param("0.01", "-1", -1, id="negative"),
        pytest.param("0.01", "1e3", -1, id="exponent"),
        pytest.param("0.01", "1.2.3", -1, id="two points"),
        pytest.param("0.01", ".", -1, id="no digit"),
        pytest.param("0.01", "", -1, id="empty"),
        pytest.param("0.01", "１２", -1, id="digits of another script"),
        pytest.param("0.01", "NaN", -1, id="no number"),
    ],
)
def test_tick_scale_counts_plain_prices_and_leaves_the_others(
    engine: ModuleType, tick_size: str, price: str, expected: int
) -> None:
    assert engine.TickScale(Decimal(tick_size)).ticks_of(price) == expected


@given(tick_size=TICK_SIZES, text=TEXTS)
def test_tick_scale_agrees_with_its_twin_and_with_the_instrument(
    tick_size: Decimal, text: str
) -> None:
    ticks = compiled.TickScale(tick_size).ticks_of(text)
    assert ticks == _engine_py.TickScale(tick_size).ticks_of(text)
    if ticks >= 0:
        assert instrument_of(tick_size).price_to_ticks(Decimal(text)) == ticks


@given(
    coefficient=st.integers(1, 10**4),
    exponent=st.integers(-6, 3),
    count=st.integers(0, 10**6),
    zeros=st.integers(0, 4),
)
def test_tick_scale_counts_whatever_ticks_are_written_plainly(
    coefficient: int, exponent: int, count: int, zeros: int
) -> None:
    tick_size = Decimal(coefficient).scaleb(exponent)
    text = f"{tick_size * count:f}"
    if "." in text:
        text += "0" * zeros
    assert compiled.TickScale(tick_size).ticks_of(text) == count


@given(bid=TEXTS, ask=TEXTS)
def test_sound_book_agrees_with_its_twin_and_with_decimals(bid: str, ask: str) -> None:
    is_sound = compiled.is_sound(bid, ask)
    assert is_sound == _engine_py.is_sound(bid, ask)
    if is_sound:
        assert 0 < Decimal(bid) < Decimal(ask)


@given(bid=SHORT, ask=SHORT)
def test_sound_book_of_few_digits_is_always_known(bid: str, ask: str) -> None:
    assert compiled.is_sound(bid, ask) == (0 < Decimal(bid) < Decimal(ask))


@pytest.mark.parametrize("engine", ENGINES)
def test_lull_keeps_the_last_quiet_quote_as_it_was_written(engine: ModuleType) -> None:
    lull = engine.Lull()
    assert not lull.keeps("10.00", "10.02", 1)
    lull.begin(engine.TickScale(Decimal("0.01")), engine.QuietBand(990, 1010, 1005, 0))
    assert lull.keeps("10.00", "10.02", 1)
    assert lull.keeps("10.01", "10.020", 2)
    for bid, ask in [("10.10", "10.20"), ("10.01", "10.01"), ("0", "20.00"), ("10.001", "10.02")]:
        assert not lull.keeps(bid, ask, 3)
    lull.end()
    assert not lull.keeps("10.00", "10.02", 4)
    assert lull.take() == ("10.01", "10.020", 2)
    assert lull.take() is None


@pytest.mark.parametrize("engine", ENGINES)
def test_lull_that_begins_again_counts_by_its_new_scale(engine: ModuleType) -> None:
    lull = engine.Lull()
    band = engine.QuietBand(990, 1010, 1005, 0)
    lull.begin(engine.TickScale(Decimal("0.01")), band)
    assert lull.keeps("10.00", "10.02", 1)
    lull.begin(engine.TickScale(Decimal("0.1")), band)
    assert not lull.keeps("10.00", "10.02", 2)
    assert lull.keeps("100.0", "100.2", 3)

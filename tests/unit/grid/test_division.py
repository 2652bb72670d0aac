"""A range cut into a count of levels: as many as asked for, from one end to the other."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.errors import ConfigurationError
from grid.check import check_spec
from grid.edits import Standing, edit_grid
from grid.grid import Grid
from grid.ladder import Ladder, LadderVersion
from grid.phase import Phase, Stage
from grid.spec import LEVELS_MAX, ArithmeticSpacing, GeometricSpacing, GridSpec
from unit.grid.factories import INSTRUMENT, make_spec

PRICE = Decimal(100)
Progression = Literal["arithmetic", "geometric"]
PROGRESSIONS: list[Progression] = ["arithmetic", "geometric"]


def divided(
    count: int, progression: Progression = "arithmetic", lower: str = "90", upper: str = "110"
) -> dict[str, Any]:
    return {
        "spacing": {"kind": "division", "count": count, "progression": progression},
        "range": {"kind": "fixed", "lower": lower, "upper": upper},
    }


def levels_of(spec: GridSpec) -> list[int]:
    version = LadderVersion.first(spec, INSTRUMENT, PRICE)
    ladder = Ladder.of(version, spec.range, INSTRUMENT)
    assert ladder.lowest_index == 0
    return [ladder.price_ticks(index) for index in range(ladder.highest_index + 1)]


def in_ticks(
    count: int, progression: Progression, lower_ticks: int, upper_ticks: int
) -> dict[str, Any]:
    ends = (str(INSTRUMENT.ticks_to_price(ticks)) for ticks in (lower_ticks, upper_ticks))
    return divided(count, progression, *ends)


def remedy_count(error: ConfigurationError) -> int:
    found = re.search(r"\d+", error.remedy)
    assert found, error.remedy
    return int(found[0])


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        pytest.param(divided(5), [9_000, 9_500, 10_000, 10_500, 11_000], id="whole steps"),
        pytest.param(
            divided(4, lower="90", upper="91"), [9_000, 9_033, 9_066, 9_100], id="parts of ticks"
        ),
        # 90 · (40/90 …): 9000 · 4^(i/2)
        pytest.param(
            divided(3, "geometric", "90", "360"), [9_000, 18_000, 36_000], id="in proportion"
        ),
        pytest.param(divided(2, "geometric", "0.03", "0.04"), [3, 4], id="one tick"),
    ],
)
def test_division_has_the_levels(changes: dict[str, Any], levels: list[int]) -> None:
    assert levels_of(make_spec(**changes)) == levels


@given(
    lower_ticks=st.integers(1, 10**9),
    span_ticks=st.integers(1, 10**9),
    count=st.integers(2, LEVELS_MAX),
    progression=st.sampled_from(PROGRESSIONS),
)
def test_division_has_its_count_of_levels_from_end_to_end_or_says_what_would_do(
    lower_ticks: int, span_ticks: int, count: int, progression: Progression
) -> None:
    upper_ticks = lower_ticks + span_ticks

    def levels_for(count: int) -> list[int]:
        return levels_of(make_spec(**in_ticks(count, progression, lower_ticks, upper_ticks)))

    works = count
    try:
        levels = levels_for(count)
    except ConfigurationError as refused:
        if "arithmetic" in refused.remedy:  # a narrow range of few ticks, or a wide one
            assert lower_ticks < 3
            return
        works = remedy_count(refused)
        levels = levels_for(works)
        with pytest.raises(ConfigurationError, match=r"spacing\.count"):
            levels_for(works + 1 if works < count else works - 1)
    assert len(levels) == works
    assert (levels[0], levels[-1]) == (lower_ticks, upper_ticks)
    assert levels == sorted(set(levels))
    if progression == "arithmetic":
        steps = len(levels) - 1
        assert levels == [lower_ticks + i * span_ticks // steps for i in range(len(levels))]


@pytest.mark.parametrize(
    ("changes", "field", "remedy"),
    [
        pytest.param(divided(12, lower="90", upper="90.1"), "spacing.count", "11", id="ticks"),
        pytest.param(
            divided(2, "geometric", "10", "1000"), "spacing.count", "use 8 or more", id="too far"
        ),
        pytest.param(divided(5, lower="90.005"), "range.lower", "90.01", id="odd lower price"),
        pytest.param(divided(5, upper="110.005"), "range.upper", "110.01", id="odd upper price"),
    ],
)
def test_check_of_a_division_that_cannot_be_is_refused_by_field(
    changes: dict[str, Any], field: str, remedy: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_spec(make_spec(**changes), INSTRUMENT, PRICE)
    assert refused.value.field == field
    assert remedy in refused.value.remedy


@pytest.mark.parametrize("progression", PROGRESSIONS)
def test_check_of_a_division_below_fees_names_the_most_levels_that_work(
    progression: Progression,
) -> None:
    with pytest.raises(ConfigurationError, match="maker fees") as refused:
        check_spec(make_spec(**divided(1000, progression)), INSTRUMENT, PRICE)
    most = remedy_count(refused.value)
    report = check_spec(make_spec(**divided(most, progression)), INSTRUMENT, PRICE)
    assert (report.slots, report.lowest_buy, report.highest_sell) == (most - 1, 90, 110)
    with pytest.raises(ConfigurationError, match="maker fees"):
        check_spec(make_spec(**divided(most + 1, progression)), INSTRUMENT, PRICE)


def test_check_of_a_division_in_a_range_below_fees_asks_for_a_wider_one() -> None:
    with pytest.raises(ConfigurationError, match="wider range"):
        check_spec(make_spec(**divided(3, lower="100", upper="100.1")), INSTRUMENT, PRICE)


def test_division_of_a_window_or_into_nothing_is_no_grid() -> None:
    with pytest.raises(ValidationError, match="needs a fixed range"):
        make_spec(spacing={"kind": "division", "count": 5})
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        make_spec(**divided(1))


def test_division_becomes_the_spacing_that_is_kept() -> None:
    spacings = [
        LadderVersion.first(make_spec(**divided(5, each)), INSTRUMENT, PRICE).spacing
        for each in PROGRESSIONS
    ]
    assert spacings[0] == ArithmeticSpacing(step=Decimal(5))
    assert isinstance(spacings[1], GeometricSpacing)


def test_edit_from_a_step_to_its_count_keeps_the_ladder() -> None:
    """The same levels in other words are no other levels; another count is."""
    stepped = make_spec(range=divided(5)["range"], spacing={"kind": "arithmetic", "step": "5"})
    now = Standing(
        spec=stepped,
        ladder=LadderVersion.first(stepped, INSTRUMENT, PRICE),
        taken=frozenset(),
        phase=Phase(stage=Stage.RUNNING),
        start_price=PRICE,
    )
    assert edit_grid(now, make_spec(**divided(5)), INSTRUMENT, PRICE).ladder is None
    other = edit_grid(now, make_spec(**divided(6)), INSTRUMENT, PRICE).ladder
    assert other is not None
    grid = Grid.of(make_spec(**divided(6)), INSTRUMENT, [other], PRICE)
    assert grid.ladder.highest_index == 5

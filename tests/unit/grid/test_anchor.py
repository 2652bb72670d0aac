"""The anchor of a ladder found again from the entries that stood on its levels."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.anchor import Sighting, find_ladder, widened
from grid.ladder import Ladder, LadderVersion
from grid.spec import ArithmeticSpacing, FixedRange, GeometricSpacing, WindowRange
from unit.grid.factories import INSTRUMENT

Spacing = ArithmeticSpacing | GeometricSpacing
WINDOW = WindowRange(kind="window", buy_window=10, sell_window=10)
STEP = ArithmeticSpacing(step=Decimal("0.5"))
RATIO = GeometricSpacing(ratio=Decimal("1.0051"))
#: Of a divided range: no whole number of ticks.
THIRD = ArithmeticSpacing(step=Decimal("0.333333"))


def see(ladder: LadderVersion, indices: list[int], first_ms: int = 1) -> list[Sighting]:
    levels = Ladder.of(ladder, WINDOW, INSTRUMENT)
    return [
        Sighting(
            index=index,
            price=INSTRUMENT.ticks_to_price(levels.price_ticks(index)),
            at_ms=first_ms + number,
        )
        for number, index in enumerate(indices)
    ]


def make_ladder(anchor: str, spacing: Spacing, version: int = 0) -> LadderVersion:
    return LadderVersion(version=version, anchor=Decimal(anchor), spacing=spacing)


@given(
    st.sampled_from([STEP, RATIO, THIRD]),
    st.integers(5_000, 900_000),
    st.lists(st.integers(-40, 40), min_size=1, max_size=12),
)
def test_find_ladder_puts_every_entry_on_its_level(
    spacing: Spacing, anchor_ticks: int, indices: list[int]
) -> None:
    anchor = str(INSTRUMENT.ticks_to_price(anchor_ticks))
    sightings = see(make_ladder(anchor, spacing), indices)
    fit = find_ladder(sightings, 0, spacing, WINDOW, INSTRUMENT)
    assert fit is not None
    assert fit.levels == len(set(indices))
    assert not fit.misfits
    assert fit.since_ms == 1
    found_ticks = INSTRUMENT.price_to_ticks(fit.ladder.anchor)
    assert found_ticks <= anchor_ticks <= found_ticks + fit.alternatives
    if isinstance(spacing, ArithmeticSpacing) or 0 in indices:
        assert fit.ladder.anchor == Decimal(anchor)


def test_find_ladder_prefers_the_anchor_that_was_asked_for() -> None:
    sightings = see(make_ladder("100", RATIO), [-200])
    found = find_ladder(sightings, 0, RATIO, WINDOW, INSTRUMENT)
    assert found is not None
    assert found.alternatives > 0
    highest = found.ladder.anchor + INSTRUMENT.tick_size * found.alternatives
    asked = WINDOW.model_copy(update={"anchor": highest})
    preferred = find_ladder(sightings, 0, RATIO, asked, INSTRUMENT)
    assert preferred is not None
    assert not preferred.misfits
    assert preferred.ladder.anchor == highest


def test_find_ladder_of_a_version_made_anew_takes_the_newer_one() -> None:
    old = see(make_ladder("90", STEP), [-1, -2, -3, 0] * 40)
    new = see(make_ladder("100.25", STEP), [-1, -2, -3] * 40, first_ms=1_000)
    fit = find_ladder([*old, *new], 0, STEP, WINDOW, INSTRUMENT)
    assert fit is not None
    assert fit.ladder.anchor == Decimal("100.25")
    assert (fit.since_ms, fit.levels, fit.misfits) == (1_000, 3, ())


def test_find_ladder_of_a_wrong_step_names_the_entries_beside_it() -> None:
    sightings = see(make_ladder("100", STEP), [-1, -2, -3])
    wrong = ArithmeticSpacing(step=Decimal("0.6"))
    fit = find_ladder(sightings, 0, wrong, WINDOW, INSTRUMENT)
    assert fit is not None
    assert len(fit.misfits) == 2


def test_find_ladder_without_an_entry_on_a_tick_finds_none() -> None:
    beside = [Sighting(index=1, price=Decimal("100.001"), at_ms=1)]
    assert find_ladder([], 0, STEP, WINDOW, INSTRUMENT) is None
    assert find_ladder(beside, 0, STEP, WINDOW, INSTRUMENT) is None


def test_find_ladder_of_a_fixed_range_begins_at_its_lower_end() -> None:
    fixed = FixedRange(kind="fixed", lower=Decimal(100), upper=Decimal(110))
    sightings = see(make_ladder("100", RATIO), [12, 3])
    fit = find_ladder(sightings, 0, RATIO, fixed, INSTRUMENT)
    assert fit is not None
    assert fit.ladder.anchor == Decimal(100)


@pytest.mark.parametrize(
    ("known", "other"),
    [
        pytest.param(STEP, ArithmeticSpacing(step=Decimal("0.83")), id="arithmetic"),
        pytest.param(RATIO, GeometricSpacing(ratio=Decimal("1.007213")), id="geometric"),
    ],
)
def test_widened_finds_the_spacing_that_volatility_made(known: Spacing, other: Spacing) -> None:
    fine = replace(INSTRUMENT, tick_size=Decimal("0.01"))
    version = make_ladder("25000", known)
    sightings = see(make_ladder("25000", other, 1), [-1, -2, -3, 1, 2, 14])
    found = widened(sightings, version, fine)
    assert found is not None
    fit = find_ladder(sightings, 1, found, WINDOW, fine)
    assert fit is not None
    assert not fit.misfits


def test_widened_without_a_level_beside_the_anchor_finds_none() -> None:
    version = make_ladder("100", STEP)
    assert widened(see(version, [0]), version, INSTRUMENT) is None

"""What another spec does to a grid that is there."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import ConfigurationError
from domain.ids import SlotId
from domain.instrument import MarketKind
from grid.edits import Edit, Standing, edit_grid
from grid.grid import Grid
from grid.ladder import LadderVersion
from grid.phase import Phase, Stage, next_phase
from grid.role import Role
from grid.spec import ArithmeticSpacing
from unit.grid.factories import INSTRUMENT, make_book, make_instrument, make_spec

LINEAR = make_instrument(kind=MarketKind.LINEAR, symbol="ABC/USDT:USDT")
PRICE = Decimal(100)
OPEN_WINDOW = {"kind": "window", "buy_window": 10, "sell_window": 10}
RANGE = {"kind": "fixed", "lower": "95", "upper": "105"}
STEP_2 = {"kind": "arithmetic", "step": "2"}


def make_standing(stage: Stage = Stage.RUNNING, **spec: Any) -> Standing:
    wanted = make_spec(**spec)
    start = wanted.trigger_price or PRICE
    return Standing(
        spec=wanted,
        ladder=LadderVersion.first(wanted, INSTRUMENT, start),
        taken=frozenset(),
        phase=Phase(stage=stage),
        start_price=start,
    )


def edit(now: Standing, price: str = "100", **spec: Any) -> Edit:
    return edit_grid(now, make_spec(**spec), INSTRUMENT, Decimal(price))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, {"budget_quote": "9000"}, id="budget"),
        pytest.param({}, {"range": OPEN_WINDOW}, id="anchor left out"),
        pytest.param({}, {"spacing": {"kind": "arithmetic", "step": "1.00"}}, id="same step"),
        pytest.param({"range": RANGE}, {"range": RANGE | {"upper": "120"}}, id="upper end"),
        pytest.param(
            {"volatility": {"scale": "1"}}, {"volatility": {"scale": "2"}}, id="volatility"
        ),
    ],
)
def test_edit_that_leaves_the_levels_makes_no_ladder(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    now = make_standing(**before)
    edited = edit(now, **after)
    assert (edited.ladder, edited.phase, edited.start_price) == (None, now.phase, PRICE)


@pytest.mark.parametrize(
    ("after", "anchor", "step"),
    [
        pytest.param({"spacing": STEP_2}, 100, 2, id="step"),
        pytest.param(
            {"range": OPEN_WINDOW | {"anchor": "100.5"}}, Decimal("100.5"), 1, id="anchor"
        ),
        pytest.param({"range": RANGE}, 95, 1, id="range"),
    ],
)
def test_edit_of_the_levels_makes_the_next_free_ladder(
    after: dict[str, Any], anchor: Decimal, step: int
) -> None:
    now = replace(make_standing(), taken=frozenset({0, 1, 3}))
    assert edit(now, **after).ladder == LadderVersion(
        version=2, anchor=anchor, spacing=ArithmeticSpacing(step=Decimal(step)), pivot=_pivot(after)
    )


def _pivot(after: dict[str, Any]) -> int:
    """Level 5 of the range is the price: slot 5 is the first that is wholly above."""
    return 5 if after.get("range") == RANGE else 0


def test_edit_without_a_free_ladder_is_refused() -> None:
    now = replace(make_standing(), taken=frozenset(range(256)))
    with pytest.raises(ConfigurationError, match="must stay while 256 ladders"):
        edit(now, spacing=STEP_2)


def test_edit_keeps_the_step_that_the_candles_made() -> None:
    scaled = ArithmeticSpacing(step=Decimal(3))
    now = make_standing(volatility={"scale": "1"})
    now = replace(now, ladder=replace(now.ladder, version=7, spacing=scaled))
    assert edit(now, volatility={"scale": "1"}, budget_quote="9000").ladder is None
    without = edit(now).ladder
    assert without is not None
    assert (without.version, without.spacing) == (8, now.spec.spacing)


def test_edit_of_a_range_lays_it_where_it_was_asked_for() -> None:
    now = make_standing(range=RANGE, trailing={"up_to": "130"})
    now = replace(now, phase=replace(now.phase, shift=4))
    assert edit(now, range=RANGE, trailing={"up_to": "140"}).phase.shift == 4
    wider = edit(now, range=RANGE | {"upper": "110"}, trailing={"up_to": "130"})
    assert (wider.ladder, wider.phase.shift) == (None, 0)


def test_edit_of_a_neutral_range_leaves_each_former_slot_its_side() -> None:
    """Slot 5 was short when the range began at 95; of the one that begins at 98, slot 2 is."""
    spec = {"mode": "neutral", "range": RANGE}
    wanted = make_spec(**spec)
    now = Standing(
        spec=wanted,
        ladder=LadderVersion.first(wanted, LINEAR, PRICE),
        taken=frozenset({0}),
        phase=Phase(stage=Stage.RUNNING),
        start_price=PRICE,
    )
    moved = make_spec(mode="neutral", range={"kind": "fixed", "lower": "98", "upper": "108"})
    edited = edit_grid(now, moved, LINEAR, Decimal("101.5"))
    assert edited.ladder is not None
    grid = Grid.of(moved, LINEAR, [now.ladder, edited.ladder], PRICE)
    assert [grid.role_of(SlotId(0, slot)) for slot in (4, 5)] == [Role.LONG, Role.SHORT]
    assert [grid.role_of(SlotId(1, slot)) for slot in (3, 4)] == [Role.LONG, Role.SHORT]


@pytest.mark.parametrize(
    ("trigger", "price", "stage", "start"),
    [
        pytest.param(None, "103", Stage.RUNNING, "103", id="at once"),
        pytest.param("110", "103", Stage.WAITING, "110", id="at its trigger"),
    ],
)
def test_edit_of_an_ended_grid_starts_it_again_where_the_price_is(
    trigger: str | None, price: str, stage: Stage, start: str
) -> None:
    now = make_standing(Stage.ENDED, range=OPEN_WINDOW)
    edited = edit(now, price, range=OPEN_WINDOW, trigger_price=trigger)
    assert edited.phase.stage is stage
    assert edited.start_price == Decimal(start)
    assert edited.ladder is not None
    assert (edited.ladder.version, edited.ladder.anchor) == (1, Decimal(start))


def test_edit_of_a_waiting_grid_moves_its_trigger_or_leaves_it_waiting() -> None:
    now = make_standing(Stage.WAITING, trigger_price="110")
    assert edit(now, trigger_price="110", budget_quote="9000").phase == now.phase
    lower = edit(now, trigger_price="90")
    assert (lower.phase.stage, lower.phase.trigger_above) == (Stage.WAITING, False)
    assert lower.start_price == Decimal(90)
    assert edit(now).phase.stage is Stage.RUNNING


def test_edit_of_a_running_grid_is_judged_at_the_price_though_it_had_a_trigger() -> None:
    now = make_standing(trigger_price="110")
    edited = edit(now, "120", trigger_price="110", stop_loss={"price": "115"})
    assert edited.phase.stage is Stage.RUNNING
    assert edited.start_price == Decimal(110)


def test_stop_raised_above_the_start_ends_a_long_grid_only_when_the_price_falls_to_it() -> None:
    """Profits are secured so: what once was above the price is below it by now."""
    edited = edit(make_standing(), "120", stop_loss={"price": "110"})
    grid = Grid.of(edited.spec, INSTRUMENT, [make_standing().ladder], edited.start_price)

    def stage_at(mid: int) -> Stage:
        book = make_book(mid - 1, mid + 1)
        return next_phase(edited.phase, grid, {}, book, lambda _: 0).stage

    assert stage_at(12_000) is stage_at(11_001) is Stage.RUNNING
    assert stage_at(11_000) is Stage.ENDED


@pytest.mark.parametrize(
    ("after", "field"),
    [
        pytest.param({"mode": "short", "base_inventory": "1"}, "mode", id="mode"),
        pytest.param({"stop_loss": {"price": "101"}}, "stop_loss.price", id="stop"),
        pytest.param({"take_profit": {"price": "99"}}, "take_profit.price", id="profit"),
        pytest.param({"spacing": {"kind": "arithmetic", "step": "0.1"}}, "spacing.step", id="step"),
        pytest.param({"budget_quote": "1"}, "budget_quote", id="budget"),
    ],
)
def test_edit_that_cannot_work_names_the_field(after: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        edit(make_standing(), **after)
    assert refused.value.field == field
    assert refused.value.remedy


def test_edit_that_would_end_a_neutral_grid_at_once_is_refused() -> None:
    """Between where it started and the price a stop was passed already."""
    neutral = {"mode": "neutral", "base_inventory": "100"}
    with pytest.raises(ConfigurationError, match="reached already"):
        edit(make_standing(**neutral), "104", stop_loss={"price": "103"}, **neutral)
    assert edit(make_standing(**neutral), "104", stop_loss={"price": "106"}, **neutral)

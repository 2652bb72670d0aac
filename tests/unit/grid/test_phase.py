"""A grid's life: when it starts, when it ends, and where its range goes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from grid.desired import Stance
from grid.grid import Grid
from grid.phase import Phase, Stage, first_phase, next_phase
from grid.slots import Slot
from unit.grid.factories import INSTRUMENT, make_book, make_slot, make_spec

RUNNING = Phase(stage=Stage.RUNNING)


def advance(phase: Phase, mid: int, *slots: Slot, profit: str = "0", **changes: Any) -> Phase:
    grid = Grid.fresh(make_spec(**changes), INSTRUMENT, Decimal(100)).shifted(phase.shift)
    return next_phase(
        phase,
        grid,
        {slot.id: slot for slot in slots},
        make_book(mid - 1, mid + 1),
        lambda _: INSTRUMENT.quote_to_units(Decimal(profit)),
    )


@pytest.mark.parametrize(
    ("price", "mid", "starts"),
    [
        pytest.param("100", 10_499, False, id="not risen to it"),
        pytest.param("100", 10_500, True, id="risen to it"),
        pytest.param("110", 10_501, False, id="not fallen to it"),
        pytest.param("110", 10_500, True, id="fallen to it"),
    ],
)
def test_next_phase_grid_with_a_trigger_waits_for_its_price(
    price: str, mid: int, starts: bool
) -> None:
    waiting = first_phase(Decimal(105), Decimal(price))
    assert waiting.stance is Stance.NOTHING
    after = advance(waiting, mid, trigger_price="105")
    assert after.stage is (Stage.RUNNING if starts else Stage.WAITING)
    assert after.reason == ("the trigger price was reached" if starts else "")


def test_first_phase_without_a_trigger_runs_at_once() -> None:
    assert first_phase(None, Decimal(100)) == RUNNING


@pytest.mark.parametrize(
    ("mid", "profit", "changes", "reason"),
    [
        pytest.param(9_500, "0", {"stop_loss": {"price": "95"}}, "stop-loss", id="price fell"),
        pytest.param(9_501, "0", {"stop_loss": {"price": "95"}}, None, id="not far enough"),
        pytest.param(
            10_500, "0", {"mode": "neutral", "stop_loss": {"price": "105"}}, "stop-loss", id="rose"
        ),
        pytest.param(10_000, "-50", {"stop_loss": {"quote": "50"}}, "-50", id="loss"),
        pytest.param(10_000, "-49.99", {"stop_loss": {"quote": "50"}}, None, id="lesser loss"),
        pytest.param(10_500, "0", {"take_profit": {"price": "105"}}, "take-profit", id="rose far"),
        pytest.param(10_000, "50", {"take_profit": {"quote": "50"}}, "50", id="profit"),
        pytest.param(
            10_000, "50", {"take_profit": {"price": "105", "quote": "50"}}, "50", id="either"
        ),
    ],
)
def test_next_phase_touched_stop_ends_the_grid_with_its_reason(
    mid: int, profit: str, changes: dict[str, Any], reason: str | None
) -> None:
    if changes.get("mode"):
        changes = changes | {"base_inventory": "10"}
    kept = advance(RUNNING, mid, profit=profit, **changes)
    assert kept.stage is (Stage.ENDED if reason else Stage.RUNNING)
    assert (reason or "") in kept.reason
    closed = advance(RUNNING, mid, profit=profit, on_stop="close", **changes)
    assert closed.stage is (Stage.CLOSING if reason else Stage.RUNNING)


def test_next_phase_stop_that_was_touched_stays_touched() -> None:
    ended = advance(RUNNING, 9_400, stop_loss={"price": "95"})
    assert advance(ended, 10_000, stop_loss={"price": "95"}) == ended
    assert ended.stance is Stance.NOTHING


def test_next_phase_closing_ends_when_nothing_is_left_to_close() -> None:
    closing = Phase(stage=Stage.CLOSING, reason="stop-loss")
    assert closing.stance is Stance.FLATTEN
    assert advance(closing, 10_000, make_slot(0, 10)) == closing
    dust = make_slot(0, 0, inventory_units=5)
    assert advance(closing, 10_000, dust) == replace(closing, stage=Stage.ENDED)


@pytest.mark.parametrize(
    ("mid", "shift"),
    [
        pytest.param(10_200, 0, id="at the upper end"),
        pytest.param(10_201, 1, id="above it"),
        pytest.param(9_799, -1, id="below the lower end"),
    ],
)
def test_next_phase_fixed_range_trails_the_price_by_a_level(mid: int, shift: int) -> None:
    spec: dict[str, Any] = {
        "range": {"kind": "fixed", "lower": "98", "upper": "102"},
        "trailing": {"up_to": "104", "down_to": "97"},
    }
    after = advance(RUNNING, mid, **spec)
    assert after.shift == shift


def test_next_phase_trailing_ends_at_its_limit() -> None:
    spec: dict[str, Any] = {
        "range": {"kind": "fixed", "lower": "98", "upper": "102"},
        "trailing": {"up_to": "104", "down_to": "97"},
    }
    phase = RUNNING
    for _ in range(5):
        phase = advance(phase, 11_000, **spec)
    assert phase.shift == 2
    for _ in range(8):
        phase = advance(phase, 9_000, **spec)
    assert phase.shift == -1


def test_grid_shifted_range_buys_where_it_went() -> None:
    grid = Grid.fresh(
        make_spec(range={"kind": "fixed", "lower": "98", "upper": "102"}), INSTRUMENT, Decimal(100)
    )
    moved = grid.shifted(3)
    assert (moved.ladder.lowest_index, moved.ladder.highest_index) == (3, 7)
    assert moved.ladder.price_ticks(3) == grid.ladder.price_ticks(3)

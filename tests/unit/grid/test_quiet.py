"""Where a tick changes nothing, and where it might."""

from __future__ import annotations

from typing import Any

import pytest

from domain.ids import Side
from domain.market import BookTop
from domain.orders import Order
from ext.engine import QuietBand
from grid.desired import Stance
from grid.phase import Phase, Stage
from grid.plan import live_by_slot
from grid.quiet import quiet_band
from grid.slots import Slot
from unit.grid.factories import make_book, make_grid, make_order, make_slot

#: Levels at 9,900, 10,000 and 10,100; the buffer is 10 ticks.
BOOK = make_book(10_040, 10_060)
RUNNING = Phase(stage=Stage.RUNNING)
ENTRIES = [make_order(number, Side.BUY, 10_000 + 100 * number) for number in range(-9, 1)]


def band_of(
    *slots: Slot,
    orders: list[Order] = ENTRIES,
    book: BookTop = BOOK,
    phase: Phase = RUNNING,
    stance: Stance = Stance.TRADE,
    **changes: Any,
) -> QuietBand | None:
    return quiet_band(
        make_grid(**changes),
        phase,
        {slot.id: slot for slot in slots},
        book,
        live_by_slot(orders),
        stance=stance,
        profit_at=lambda mark_ticks: (mark_ticks - 10_050) * 10**8,
    )


@pytest.mark.parametrize(
    ("mid", "is_quiet"),
    [
        pytest.param(10_010, False, id="inside the buffer of the level below"),
        pytest.param(10_011, True, id="just outside it"),
        pytest.param(10_089, True, id="just outside the buffer of the level above"),
        pytest.param(10_090, False, id="inside it"),
        pytest.param(10_101, False, id="between the next levels"),
    ],
)
def test_quiet_band_reaches_to_the_buffers_of_the_levels_around(mid: int, is_quiet: bool) -> None:
    band = band_of()
    assert band is not None
    assert band.is_quiet(mid - 2, mid + 2) is is_quiet


def test_quiet_band_ends_where_the_bid_crosses_an_exit() -> None:
    exit_ = make_order(0, Side.SELL, 10_100)
    band = band_of(make_slot(0, 10), orders=[*ENTRIES[:-1], exit_])
    assert band is not None
    assert band.is_quiet(10_079, 10_085)
    # A wide book whose middle is inside: its bid is what counts.
    assert band.is_quiet(10_000, 10_099)
    assert not band.is_quiet(10_100, 9_999)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"book": make_book(10_040, None)}, id="one side only"),
        pytest.param({"stance": Stance.FLATTEN}, id="closing"),
        pytest.param({"phase": Phase(stage=Stage.WAITING)}, id="waiting for its trigger"),
        pytest.param({"initial_position": True}, id="initial position still to be bought"),
        pytest.param({"price_collar": "0.005"}, id="bounded by the collar"),
        pytest.param({"take_profit": {"quote": "30"}}, id="a stop inside the cell"),
        pytest.param({"stop_loss": {"price": "100.3"}}, id="a stop price inside the cell"),
    ],
)
def test_quiet_band_is_none_while_something_waits_for_a_price(changes: dict[str, Any]) -> None:
    assert band_of(**changes) is None


def test_quiet_band_is_none_while_an_exit_does_not_rest() -> None:
    assert band_of(make_slot(0, 10)) is None


def test_quiet_band_leaves_exits_outside_the_window_alone() -> None:
    far = {"kind": "window", "buy_window": 10, "sell_window": 2, "anchor": "100"}
    assert band_of(make_slot(5, 10), range=far) is not None


def test_quiet_band_stop_that_the_cell_does_not_reach_does_no_harm() -> None:
    assert band_of(take_profit={"quote": "60"}, stop_loss={"price": "99"}) is not None

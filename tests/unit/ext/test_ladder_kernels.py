"""The ladder kernels: one table and one set of properties for both implementations."""

from __future__ import annotations

import subprocess
import sys
from array import array
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext import _ladder_py
from ext.ladder import DENIED, DESIRED, LIVE, PLACEABLE, VACANT, WANTED

compiled: ModuleType = pytest.importorskip("ext._ladder", reason="the kernels are not compiled")

KERNELS = [pytest.param(compiled, id="compiled"), pytest.param(_ladder_py, id="python")]
PRICES = st.integers(min_value=-(2**61), max_value=2**61)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param(100, -1, id="a level is not below itself"),
        pytest.param(101, 0, id="just above the anchor"),
        pytest.param(107, 0, id="at the next level"),
        pytest.param(108, 1, id="just above the next level"),
        pytest.param(94, -1, id="just above the level below"),
        pytest.param(93, -2, id="floors below the anchor"),
        pytest.param(1, -15, id="far below the anchor"),
        pytest.param(-20, -18, id="below zero"),
    ],
)
def test_arithmetic_index_below_price_is_last_level_below(
    kernel: ModuleType, price: int, expected: int
) -> None:
    assert kernel.arithmetic_index_below(100, 7, price) == expected


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param(5, -1, id="at the first level"),
        pytest.param(6, 0, id="above the first level"),
        pytest.param(8, 0, id="at the second level"),
        pytest.param(99, 2, id="above all"),
        pytest.param(-3, -1, id="below all"),
    ],
)
def test_search_below_price_is_last_position_below(
    kernel: ModuleType, price: int, expected: int
) -> None:
    assert kernel.search_below(array("q", [5, 8, 13]), price) == expected


@pytest.mark.parametrize("kernel", KERNELS)
def test_search_below_no_levels_is_none(kernel: ModuleType) -> None:
    assert kernel.search_below(array("q"), 5) == -1


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("costs", "states", "limits", "expected"),
    [
        pytest.param(
            [5, 5, 5],
            [WANTED] * 3,
            (10, 10, 9, 9),
            [DENIED, PLACEABLE, PLACEABLE],
            id="the nearest get the budget",
        ),
        pytest.param(
            [1, 5, 5],
            [WANTED] * 3,
            (6, 6, 9, 9),
            [DENIED, DENIED, PLACEABLE],
            id="a cheaper one does not overtake",
        ),
        pytest.param(
            [5, 5, 5],
            [LIVE, LIVE, WANTED],
            (10, 0, 9, 9),
            [DENIED, DESIRED, DESIRED],
            id="a nearer one takes the budget of the farthest and waits for it",
        ),
        pytest.param(
            [1, 5, 5],
            [WANTED, WANTED, LIVE],
            (20, 3, 9, 9),
            [DESIRED, DESIRED, DESIRED],
            id="who waits for money holds up those behind",
        ),
        pytest.param(
            [5, 5, 5],
            [WANTED, VACANT, WANTED],
            (99, 99, 9, 1),
            [DESIRED, DENIED, PLACEABLE],
            id="one free order",
        ),
        pytest.param(
            [5, 5, 5],
            [LIVE, LIVE, LIVE],
            (99, 0, 2, 0),
            [DENIED, DESIRED, DESIRED],
            id="too many orders",
        ),
        pytest.param(
            [5, 0, 5],
            [WANTED] * 3,
            (99, 99, 9, 9),
            [PLACEABLE, DENIED, PLACEABLE],
            id="a slot without an order is passed over",
        ),
        pytest.param([5], [WANTED], (99, 99, -1, -1), [DENIED], id="exits took all orders"),
        pytest.param([], [], (99, 99, 9, 9), [], id="no slots"),
    ],
)
def test_grant_entries_case_shares_budget(
    kernel: ModuleType,
    costs: list[int],
    states: list[int],
    limits: tuple[int, int, int, int],
    expected: list[int],
) -> None:
    budget, free, orders, free_orders = limits
    grants = kernel.grant_entries(
        array("q", costs),
        bytearray(states),
        budget_units=budget,
        free_units=free,
        max_orders=orders,
        free_orders=free_orders,
    )
    assert list(grants) == expected


@given(anchor=PRICES, step=st.integers(min_value=1, max_value=2**61), price=PRICES)
def test_arithmetic_index_below_any_price_same_and_tight(
    anchor: int, step: int, price: int
) -> None:
    index = _ladder_py.arithmetic_index_below(anchor, step, price)
    assert compiled.arithmetic_index_below(anchor, step, price) == index
    assert anchor + index * step < price <= anchor + (index + 1) * step


@given(levels=st.lists(PRICES, unique=True).map(sorted), price=PRICES)
def test_search_below_any_price_same_and_tight(levels: list[int], price: int) -> None:
    position = _ladder_py.search_below(array("q", levels), price)
    assert compiled.search_below(array("q", levels), price) == position
    assert position + 1 == sum(level < price for level in levels)


@given(
    slots=st.lists(st.tuples(st.integers(0, 50), st.sampled_from([VACANT, WANTED, LIVE]))),
    budget=st.integers(0, 400),
    free=st.integers(0, 400),
    orders=st.integers(-1, 12),
    free_orders=st.integers(-1, 12),
)
def test_grant_entries_any_input_same_and_within_limits(
    slots: list[tuple[int, int]], budget: int, free: int, orders: int, free_orders: int
) -> None:
    costs, states = array("q", [cost for cost, _ in slots]), bytearray(s for _, s in slots)
    limits = {
        "budget_units": budget,
        "free_units": free,
        "max_orders": orders,
        "free_orders": free_orders,
    }
    grants = _ladder_py.grant_entries(costs, states, **limits)
    assert compiled.grant_entries(costs, states, **limits) == grants

    granted = [cost for cost, grant in zip(costs, grants, strict=True) if grant != DENIED]
    placed = [cost for cost, grant in zip(costs, grants, strict=True) if grant == PLACEABLE]
    assert sum(granted) <= budget
    assert sum(placed) <= free
    assert len(granted) <= max(orders, 0)
    assert len(placed) <= max(free_orders, 0)
    assert all(
        state == WANTED for state, grant in zip(states, grants, strict=True) if grant == PLACEABLE
    )


@pytest.mark.parametrize(
    ("kernel_input", "error"),
    [
        pytest.param((array("i", [1]), bytearray(1)), TypeError, id="not int64"),
        pytest.param((array("q", [1]), bytearray(2)), IndexError, id="lengths differ"),
    ],
)
def test_compiled_grant_entries_bad_memory_is_refused(
    kernel_input: tuple[array[int], bytearray], error: type[Exception]
) -> None:
    with pytest.raises(error):
        compiled.grant_entries(
            *kernel_input, budget_units=1, free_units=1, max_orders=1, free_orders=1
        )


@pytest.mark.parametrize(("setting", "expected"), [("1", "False"), ("0", "True")])
def test_selection_by_environment_picks_implementation(setting: str, expected: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "from ext import ladder; print(ladder.COMPILED)"],
        env={"GRIDKEEPER_PURE_PYTHON": setting, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert answer.stdout.strip() == expected

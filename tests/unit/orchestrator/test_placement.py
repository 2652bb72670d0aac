"""Symbols are spread evenly, stay where they are if they can, and go where operators say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.placement import EXCHANGE_PATIENCE_S, MOVES_A_ROUND, find_homes, whereabouts
from store.nodes import ExecutorId, Member, Placed, Process

PROCESS = Process(host="here", boot_id="b", pid=1, pid_started=1)
ROUNDS_MAX = 200


def member(name: str, **changes: Any) -> Member:
    values: dict[str, Any] = {
        "executor_id": ExecutorId(name),
        "name": name,
        "process": PROCESS,
        "heartbeat_at": datetime(2026, 1, 1, tzinfo=UTC),
        "capacity": 100,
        "is_draining": False,
        "exchange_lost_s": 0.0,
    }
    return Member(**values | changes)


def placed(shard: int, on: str | None = None, pinned_to: str | None = None) -> Placed:
    executor_id = None if on is None else ExecutorId(on)
    return Placed(
        shard=shard,
        placed_on=executor_id,
        pinned_to=pinned_to,
        owner=executor_id,
        workflow_id=f"run_shard:sim-BTC-USDT:{shard}",
        queue=None,
        executor_id=executor_id,
    )


def counts(homes: Mapping[int, ExecutorId]) -> dict[str, int]:
    return dict(Counter(homes.values()))


def test_find_homes_of_new_symbols_are_even() -> None:
    homes = find_homes([member("a"), member("b"), member("c")], [placed(n) for n in range(8)])
    assert sorted(counts(homes).values()) == [2, 3, 3]


def test_find_homes_fill_nodes_by_their_capacity() -> None:
    homes = find_homes(
        [member("big", capacity=30), member("small", capacity=10)],
        [placed(n) for n in range(20)],
    )
    assert counts(homes) == {"big": 15, "small": 5}


def test_find_homes_beyond_all_capacity_leave_the_rest_without() -> None:
    homes = find_homes([member("a", capacity=2)], [placed(n) for n in range(5)])
    assert homes == {0: "a", 1: "a"}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        pytest.param({"a": 5, "b": 5}, {"a": 5, "b": 5}, id="even"),
        pytest.param({"a": 5, "b": 4}, {"a": 5, "b": 4}, id="as even as can be"),
        pytest.param({"a": 5, "b": 3}, {"a": 4, "b": 4}, id="uneven"),
        pytest.param({"a": 20}, {"a": 20 - MOVES_A_ROUND, "b": MOVES_A_ROUND}, id="a new node"),
        pytest.param({"a": 2, "gone": 2}, {"a": 2, "b": 2}, id="one is gone"),
    ],
)
def test_find_homes_move_no_more_than_evens_out(
    there: dict[str, int], expected: dict[str, int]
) -> None:
    names = [name for name, count in there.items() for _ in range(count)]
    symbols = [placed(shard, name) for shard, name in enumerate(names)]
    homes = find_homes([member("a"), member("b")], symbols)
    assert counts(homes) == expected


@pytest.mark.parametrize(
    ("changes", "takes"),
    [
        pytest.param({}, True, id="as it should be"),
        pytest.param({"is_draining": True}, False, id="drains"),
        pytest.param({"exchange_lost_s": EXCHANGE_PATIENCE_S + 1}, False, id="exchange lost"),
        pytest.param({"exchange_lost_s": EXCHANGE_PATIENCE_S - 1}, True, id="exchange blinked"),
        pytest.param({"exchange_lost_s": None}, False, id="exchange never reached"),
    ],
)
def test_find_homes_leave_a_node_that_must_not_run_symbols(
    changes: dict[str, Any], takes: bool
) -> None:
    homes = find_homes([member("a"), member("b", **changes)], [placed(1, "a"), placed(2, "b")])
    assert counts(homes) == ({"a": 1, "b": 1} if takes else {"a": 2})


def test_find_homes_when_nobody_reaches_the_exchange_leave_all_where_they_are() -> None:
    lost = {"exchange_lost_s": 60.0}
    homes = find_homes([member("a", **lost), member("b", **lost)], [placed(1, "a"), placed(2, "b")])
    assert homes == {1: "a", 2: "b"}


def test_find_homes_when_all_drain_are_none() -> None:
    assert find_homes([member("a", is_draining=True)], [placed(1, "a")]) == {}


@pytest.mark.parametrize(
    ("owner", "home"),
    [
        pytest.param("a", "a", id="not moved yet"),
        pytest.param(None, "b", id="on its way"),
        pytest.param("gone", "b", id="its owner died"),
        pytest.param("b", "b", id="moved"),
    ],
)
def test_whereabouts_of_a_symbol_that_is_moved_are_its_owner_while_that_lives(
    owner: str | None, home: str
) -> None:
    symbol = replace(placed(1, "b"), owner=None if owner is None else ExecutorId(owner))
    assert whereabouts([member("a"), member("b")], [symbol, placed(2, "gone")]) == {1: home}


def test_find_homes_keep_a_pinned_symbol_where_an_operator_moved_it() -> None:
    symbols = [placed(n, "a", pinned_to="b") for n in range(3)]
    homes = find_homes([member("a"), member("b")], symbols)
    assert counts(homes) == {"b": 3}
    moved = [placed(n, "b", pinned_to="b") for n in range(3)]
    assert find_homes([member("a"), member("b")], moved) == homes


def test_find_homes_of_a_pinned_symbol_whose_node_is_gone_is_another() -> None:
    assert find_homes([member("a")], [placed(1, "b", pinned_to="b")]) == {1: "a"}


@given(
    capacities=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    places=st.lists(st.integers(0, 6), max_size=30),
)
def test_find_homes_again_and_again_come_to_rest_within_capacity(
    capacities: list[int], places: list[int]
) -> None:
    members = [member(str(n), capacity=capacity) for n, capacity in enumerate(capacities)]
    symbols = [placed(shard, str(place)) for shard, place in enumerate(places)]
    for _ in range(ROUNDS_MAX):
        homes = find_homes(members, symbols)
        then = [placed(s.shard, homes.get(s.shard, s.placed_on)) for s in symbols]
        if then == symbols:
            break
        symbols = then
    else:
        pytest.fail("symbols never stop moving")
    taken = counts(homes)
    assert all(taken.get(m.executor_id, 0) <= m.capacity for m in members)
    assert len(homes) == min(len(places), sum(capacities))

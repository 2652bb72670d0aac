"""Which fault strikes when: decided by the seed alone, fair, and never twice in one place."""

from __future__ import annotations

from itertools import islice

import pytest

from chaos.faults import Broken
from chaos.schedule import PAUSE_S, Round, rounds
from chaos.table import FAULTS

SYMBOLS = ("BTC/USDT", "ETH/USDT")
ALL = tuple(FAULTS.values())


def first(seed: int, count: int, nodes: int = 2) -> list[Round]:
    return list(islice(rounds(seed, ALL, symbols=SYMBOLS, nodes=nodes), count))


def test_same_seed_gives_the_same_rounds() -> None:
    assert first(7, 100) == first(7, 100)


def test_other_seed_gives_other_rounds() -> None:
    assert first(7, 10) != first(8, 10)


def test_every_fault_strikes_once_before_any_strikes_again() -> None:
    struck = [item.fault.name for turn in first(3, 200) for item in turn.injections]
    for start in range(0, len(struck) - len(ALL), len(ALL)):
        assert sorted(struck[start : start + len(ALL)]) == sorted(FAULTS)


@pytest.mark.parametrize("seed", range(5))
def test_faults_of_one_round_strike_in_different_places(seed: int) -> None:
    turns = first(seed, 200)
    doubles = [turn for turn in turns if len(turn.injections) == 2]
    assert 20 < len(doubles) < 120
    for turn in doubles:
        one, other = turn.injections
        assert one.fault.place is not other.fault.place


def test_times_and_targets_are_within_their_bounds() -> None:
    for turn in first(1, 300):
        assert PAUSE_S[0] <= turn.pause_s <= PAUSE_S[1]
        for item in turn.injections:
            shortest, longest = item.fault.hold_s
            assert shortest <= item.hold_s <= longest
            assert set(item.nodes) <= {0, 1}
            assert item.symbol in SYMBOLS
            assert -1 <= item.strength <= 1


def test_only_lines_break_for_all_nodes_at_once() -> None:
    everywhere = {
        item.fault for turn in first(1, 300) for item in turn.injections if len(item.nodes) > 1
    }
    assert everywhere
    assert all(isinstance(fault.effect, Broken) for fault in everywhere)


def test_one_fault_alone_strikes_every_round() -> None:
    only = FAULTS["node-killed"]
    turns = list(islice(rounds(1, [only], symbols=SYMBOLS, nodes=1), 20))
    assert all([item.fault for item in turn.injections] == [only] for turn in turns)

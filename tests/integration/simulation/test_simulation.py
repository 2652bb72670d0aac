"""Simulated runs end well, are the same every time, and do not end well with a bug planted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import count
from unittest.mock import patch

import pytest

from orchestrator.takeover import Watchdog
from simulation.__main__ import main
from simulation.cut import Cut
from simulation.planted import BUGS
from simulation.sight import BreakdownError, violations_with
from simulation.world import simulate

SEEDS = range(1, 501)
#: So many in one test, to keep each within the time a test has.
SEEDS_AT_ONCE = 50
#: A seed that fails is shrunk, which takes as long as many seeds more.
SHRUNK_WITHIN_S = 900
#: Seeds a planted bug has to be seen in.
CAUGHT_WITHIN = 300
#: Where the search begins for bugs that few seeds see; it only saves time.
SEARCHED_FROM = {
    "lease_not_checked": 21,
    "draining_ignored": 27,
    "removed_before_all_is_closed": 31,
    "start_not_forgiven": 68,
    "reduce_only_beyond_the_position": 79,
    "lost_cancel_forgotten": 102,
    "older_wish_counts": 252,
}
#: Orders, trades and deaths that so many runs have at the least: else there was nothing to judge.
EVENTFUL = 200
#: Requests that are done as asked, and specs that are made by them.
ANSWERED = 100
EDITED = 10

_FINGERPRINT = "from simulation.world import simulate; print(simulate({seed}).fingerprint)"


@pytest.mark.timeout(SHRUNK_WITHIN_S)
@pytest.mark.parametrize("first", SEEDS[::SEEDS_AT_ONCE])
def test_simulate_many_seeds_break_no_promise(first: int) -> None:
    outcomes = [simulate(seed) for seed in range(first, first + SEEDS_AT_ONCE)]
    failed = {o.seed: o.violations for o in outcomes if o.violations}
    if failed:  # what is printed shows the first one shrunk, and the command that replays it
        main(["--seed", f"{min(failed)}"])
    assert not failed
    assert min(sum(o.orders for o in outcomes), sum(o.trades for o in outcomes)) > EVENTFUL
    assert sum(o.deaths for o in outcomes) > EVENTFUL
    assert sum(o.answers for o in outcomes) > ANSWERED
    assert sum(o.edits for o in outcomes) > EDITED


def test_simulate_same_seed_gives_the_same_trace() -> None:
    first, second = (simulate(7, keep_trace=True) for _ in range(2))
    assert first == second
    assert first.trace
    assert simulate(8).fingerprint != first.fingerprint


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_simulate_depends_on_no_hash(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONPATH": "tests", "PYTHONHASHSEED": hash_seed}
    printed = subprocess.run(
        [sys.executable, "-c", _FINGERPRINT.format(seed=11)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert printed.stdout.strip() == simulate(11).fingerprint


@pytest.mark.parametrize("bug", BUGS)
def test_simulate_with_a_planted_bug_fails_soon(bug: str) -> None:
    first = SEARCHED_FROM.get(bug, 1)
    assert any(violations_with(bug, seed) for seed in range(first, first + CAUGHT_WITHIN))


def test_violations_with_a_bug_that_breaks_down_are_not_taken_for_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unfit(self: Watchdog, of: str) -> None:
        return

    monkeypatch.setitem(BUGS, "unfit", lambda: patch.object(Watchdog, "_hand_on", unfit))
    with pytest.raises(BreakdownError, match=r"unfit, seed 1: .*TypeError"):
        violations_with("unfit", 1)


def test_main_failing_seeds_are_told_with_the_command_that_replays_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with BUGS["random_client_ids"]():
        seed = next(seed for seed in count(1) if simulate(seed).violations)
        assert main(["--seed", f"{seed}", "--trace"]) == 1
    printed = capsys.readouterr().out
    assert "venue deposited" in printed
    assert f"make simulate SEEDS=1 FIRST_SEED={seed}" in printed


def test_main_failing_seed_is_shrunk_and_replays_as_it_was_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with BUGS["absence_believed_at_once"]():
        failed = next(o for o in map(simulate, count(1)) if o.violations)
        assert main(["--seed", f"{failed.seed}"]) == 1
        printed = capsys.readouterr().out
        (cut,) = re.findall(r"--cut '(.*)'", printed)
        replayed = simulate(failed.seed, cut=Cut.parse(cut), keep_trace=True)
    assert replayed.lines < failed.lines
    assert len(replayed.accidents) + len(replayed.faults) < len(failed.accidents + failed.faults)
    assert "\n".join(replayed.trace[: replayed.lines]) in printed
    assert replayed.violations[0] in printed


@pytest.mark.parametrize(
    "cut", [Cut(), Cut(without=frozenset({"dies"}), accidents=(), storm_s=1.5, symbols=(0, 2))]
)
def test_cut_parse_reads_what_was_written(cut: Cut) -> None:
    assert Cut.parse(str(cut)) == cut


def test_main_good_seed_prints_only_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith("1 seeds, 0 failed:")

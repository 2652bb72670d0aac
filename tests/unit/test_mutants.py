"""The bugs that `make mutants` puts into the product still find their place in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mutants.bugs import BUGS, Bug
from mutants.trials import PROCESSES, trials

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_changes_one_text_of_the_product_and_has_tests_that_may_see_it(bug: Bug) -> None:
    assert (ROOT / "src" / bug.file).read_text().count(bug.before) == 1
    assert bug.before != bug.after
    assert (ROOT / "tests" / bug.tests.partition(" ")[0].partition("::")[0]).exists()


def test_every_trial_by_processes_has_a_test_of_its_own() -> None:
    named = [
        argument
        for trial in trials()
        if trial.place == PROCESSES
        for argument in trial.arguments
        if "::" in argument
    ]
    files = {name.partition("::")[0] for name in named}
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert len(named) == sum(trial.place == PROCESSES for trial in trials())
    assert set(named) <= set(listed.stdout.splitlines())

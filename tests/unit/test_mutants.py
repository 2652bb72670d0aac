"""The bugs that `make mutants` puts into the product still find their place in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mutants.bugs import BUGS, Bug
from mutants.seeds import SEEN
from mutants.trials import PROCESSES, Trial, Verdict, attempt, trials, verdict_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_changes_one_text_of_the_product_and_has_tests_that_may_see_it(bug: Bug) -> None:
    assert (ROOT / "src" / bug.file).read_text().count(bug.before) == 1
    assert bug.before != bug.after
    assert (ROOT / "tests" / bug.tests.partition(" ")[0].partition("::")[0]).exists()


#: As pytest sums up.
FAILED = "FAILED tests/unit/test_it.py::test_it - AssertionError\n1 failed in 0.1s\n"
UNREADABLE = "ERROR tests/unit/test_it.py\n!!! stopping after 1 failures !!!\n1 error in 0.1s\n"
UNPREPARED = "ERROR tests/unit/test_it.py::test_it - NameError\n1 error in 0.1s\n"


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


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_document_tells_how_many_bugs_there_are(document: str) -> None:
    told = re.findall(r"each of (\d+) bugs", (ROOT / document).read_text())
    assert told == [f"{len(trials())}"]


@pytest.mark.parametrize(
    ("place", "code", "printed", "expected"),
    [
        pytest.param("src/", 1, FAILED, Verdict.CAUGHT, id="test failed"),
        pytest.param("src/", 0, "1 passed", Verdict.MISSED, id="test passed"),
        pytest.param("src/", 1, UNREADABLE, Verdict.BROKEN, id="file not read"),
        pytest.param("src/", 1, UNPREPARED, Verdict.BROKEN, id="fixture failed"),
        pytest.param("src/", 2, UNREADABLE, Verdict.BROKEN, id="interrupted"),
        pytest.param("src/", 5, "no tests ran", Verdict.BROKEN, id="no test"),
        pytest.param("src/", -1, "", Verdict.BROKEN, id="test not ended"),
        pytest.param("processes", 0, "1 passed", Verdict.CAUGHT, id="auditor saw it"),
        pytest.param("processes", 1, FAILED, Verdict.MISSED, id="auditor saw nothing"),
        pytest.param("processes", 4, "not found", Verdict.BROKEN, id="no such test"),
        pytest.param("simulation", SEEN, "seed 1: I2", Verdict.CAUGHT, id="seed saw it"),
        pytest.param("simulation", 0, "", Verdict.MISSED, id="no seed saw it"),
        pytest.param("simulation", 1, "Traceback\nTypeError", Verdict.BROKEN, id="crashed"),
    ],
)
def test_verdict_of_trial_tells_what_was_seen_from_what_broke(
    place: str, code: int, printed: str, expected: Verdict
) -> None:
    trial = next(trial for trial in trials() if trial.place.startswith(place))
    assert verdict_of(trial, code, printed) is expected


def test_attempt_with_tests_that_cannot_be_read_is_broken(tmp_path: Path) -> None:
    of_texts = next(trial for trial in trials() if trial.bug is not None)
    names = ["test_first.py", "test_second.py"]
    for name in names:
        (tmp_path / name).write_text("import nothing_of_this_name\n")
    options = of_texts.arguments[:-1]
    trial = Trial(name="", place="", arguments=(*options, *names), meaning=of_texts.meaning)
    assert attempt(trial, tmp_path).verdict is Verdict.BROKEN

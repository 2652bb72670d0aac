"""One bug, one run of the tests that must see it, in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mutants.bugs import BUGS, Bug
from mutants.seeds import SEEN, UNBROKEN
from simulation.planted import BUGS as SIMULATED
from support.planted import BUGS as IN_PROCESSES

ROOT = Path(__file__).resolve().parents[2]
#: All that the tests read.
_COPIED = ("src", "tests", "migrations", "configs", "docs", "docker", "pyproject.toml", "README.md")
TRIAL_MAX_S = 300.0
TEST_MAX_S = 60
NO_BUG = "no bug"
#: Where bugs are planted that the auditor has to find.
PROCESSES = "processes"
_AUDITED = "tests/e2e/test_planted_bugs.py::test_planted_bug_is_found_by_the_auditor"
#: Of pytest: tests were run and some failed. With `-x` it says so of a file that it cannot read,
#: and Python of any program that fails unforeseen: only a test by name has seen a bug.
_FAILED = 1
_FAILURE = re.compile(r"^FAILED (?:tests/)?(\S+)", re.MULTILINE)


class Verdict(StrEnum):
    CAUGHT = "caught"
    #: There was no bug, and nothing was seen.
    QUIET = "quiet"
    MISSED = "MISSED"
    #: The tests could not be run: that is not to have seen the bug.
    BROKEN = "BROKEN"


#: What the end of a trial means, by its exit code; any other is `BROKEN`.
Meaning = Mapping[int, Verdict]
_BY_TESTS: Meaning = {0: Verdict.MISSED, _FAILED: Verdict.CAUGHT}
_BY_AUDITOR: Meaning = {0: Verdict.CAUGHT, _FAILED: Verdict.MISSED}
_BY_SEEDS: Meaning = {0: Verdict.MISSED, SEEN: Verdict.CAUGHT}
_NOTHING_TO_SEE: Meaning = {0: Verdict.QUIET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is to be run, and what its end means."""

    name: str
    #: Where the bug is planted.
    place: str
    #: How Python is to run what must see the bug.
    arguments: Sequence[str]
    meaning: Meaning
    bug: Bug | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    trial: Trial
    verdict: Verdict
    #: What saw the bug, or what went wrong.
    killer: str
    took_s: float


def trials() -> list[Trial]:
    """Every bug there is, the slowest first."""
    return [*_in_processes(), *_in_texts(), *_simulated()]


def baselines() -> list[Trial]:
    """The same tests without a bug, which must find nothing."""
    tests = sorted({f"tests/{bug.tests}" for bug in BUGS})
    halves = tests[::2], tests[1::2]
    return [
        Trial(
            name=NO_BUG,
            place="simulation",
            arguments=("-m", "mutants.seeds", UNBROKEN),
            meaning=_NOTHING_TO_SEE,
        ),
        *(
            Trial(name=NO_BUG, place=f"half {n}", arguments=_pytest(*half), meaning=_NOTHING_TO_SEE)
            for n, half in enumerate(halves, 1)
        ),
    ]


def attempt(trial: Trial, workspace: Path) -> Finding:
    """Run a trial in a workspace that `prepare` made, and leave that as it was."""
    started_s = time.monotonic()
    if trial.bug is None:
        code, printed = _run(trial, workspace)
    else:
        path = workspace / "src" / trial.bug.file
        original, kept = path.read_text(), workspace / "kept"
        if original.count(trial.bug.before) != 1:
            return _finding(trial, Verdict.BROKEN, f"{trial.bug.file} has changed", started_s)
        shutil.copy2(path, kept)
        path.write_text(original.replace(trial.bug.before, trial.bug.after))
        try:
            code, printed = _run(trial, workspace)
        finally:
            shutil.copy2(kept, path)  # its time, too: what Python compiled of it counts again
    verdict = verdict_of(trial, code, printed)
    return _finding(trial, verdict, _told(trial, verdict, printed), started_s)


def verdict_of(trial: Trial, code: int, printed: str) -> Verdict:
    """What the exit code of a trial, and what it printed, say about its bug."""
    if code == _FAILED and _FAILURE.search(printed) is None:
        return Verdict.BROKEN
    return trial.meaning.get(code, Verdict.BROKEN)


def prepare(workspace: Path) -> None:
    """Copy the tree, compiled kernels included."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, workspace / name)
        else:
            shutil.copy2(source, workspace / name)


def _in_texts() -> list[Trial]:
    return [
        Trial(
            name=bug.name,
            place=f"src/{bug.file}",
            arguments=_pytest(f"tests/{bug.tests}"),
            meaning=_BY_TESTS,
            bug=bug,
        )
        for bug in BUGS
    ]


def _simulated() -> list[Trial]:
    return [
        Trial(
            name=name.replace("_", " "),
            place="simulation",
            arguments=("-m", "mutants.seeds", name),
            meaning=_BY_SEEDS,
        )
        for name in SIMULATED
    ]


def _in_processes() -> list[Trial]:
    """Bugs in whole processes; their test passes if the auditor saw the bug."""
    return [
        Trial(
            name=name.replace("_", " "),
            place=PROCESSES,
            arguments=_pytest(f"{_AUDITED}[{name}]", f"--timeout={TRIAL_MAX_S:.0f}"),
            meaning=_BY_AUDITOR,
        )
        for name in IN_PROCESSES
    ]


def _pytest(*arguments: str) -> tuple[str, ...]:
    # A test that waits for what the bug keeps from happening has seen it.
    options = ("-q", "-x", "-p", "no:cacheprovider", "--tb=line", f"--timeout={TEST_MAX_S}")
    return ("-m", "pytest", *options, *arguments)


def _run(trial: Trial, workspace: Path) -> tuple[int, str]:
    """The exit code and what was printed; running too long says nothing about the bug."""
    # Before the installed tree, which lies behind these on the path.
    paths = [str(workspace / "src"), str(workspace / "tests")]
    try:
        finished = subprocess.run(
            [sys.executable, *trial.arguments],
            cwd=workspace,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=TRIAL_MAX_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"not ended after {TRIAL_MAX_S:.0f} s"
    return finished.returncode, finished.stdout + finished.stderr


def _told(trial: Trial, verdict: Verdict, printed: str) -> str:
    """What saw the bug, or what went wrong."""
    failed = _FAILURE.search(printed)
    lines = printed.strip().splitlines() or ["nothing was said"]
    match verdict:
        case Verdict.QUIET:
            return "nobody, as it should be"
        case Verdict.CAUGHT if trial.place == PROCESSES:
            return "auditor, end to end"
        case Verdict.CAUGHT | Verdict.BROKEN if failed is not None:
            return failed[1]
        case _:
            return lines[-1]


def _finding(trial: Trial, verdict: Verdict, killer: str, started_s: float) -> Finding:
    return Finding(trial=trial, verdict=verdict, killer=killer, took_s=time.monotonic() - started_s)

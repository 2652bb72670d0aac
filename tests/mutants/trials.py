"""One bug, one run of the tests that must see it, in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mutants.bugs import BUGS, Bug
from mutants.seeds import UNBROKEN
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
_BY_AUDITOR = "tests/e2e/test_planted_bugs.py::test_planted_bug_is_found_by_the_auditor"
#: Of pytest: tests were run and some failed.
_FAILED = 1
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", re.MULTILINE)


class Verdict(StrEnum):
    CAUGHT = "caught"
    #: There was no bug, and nothing was seen.
    QUIET = "quiet"
    MISSED = "MISSED"
    #: The tests could not be run: that is not to have seen the bug.
    BROKEN = "BROKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is to be run, and what its end means."""

    name: str
    #: Where the bug is planted.
    place: str
    #: How Python is to run what must see the bug.
    arguments: Sequence[str]
    #: The end that says that the bug was seen.
    code_caught: int = _FAILED
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
            code_caught=0,
        ),
        *(
            Trial(name=NO_BUG, place=f"half {n}", arguments=_pytest(*half), code_caught=0)
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
    if trial.name == NO_BUG:
        verdict = Verdict.QUIET if code == trial.code_caught else Verdict.BROKEN
        seen = "nobody, as it should be" if verdict is Verdict.QUIET else _killer(trial, printed)
        return _finding(trial, verdict, seen, started_s)
    if code == trial.code_caught:
        return _finding(trial, Verdict.CAUGHT, _killer(trial, printed), started_s)
    verdict = Verdict.MISSED if code in {0, _FAILED} else Verdict.BROKEN
    last = printed.strip().splitlines()[-1:] or ["nothing was said"]
    return _finding(trial, verdict, last[0], started_s)


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
        )
        for name in SIMULATED
    ]


def _in_processes() -> list[Trial]:
    """Bugs in whole processes; their test passes if the auditor saw the bug."""
    return [
        Trial(
            name=name.replace("_", " "),
            place=PROCESSES,
            arguments=_pytest(f"{_BY_AUDITOR}[{name}]", f"--timeout={TRIAL_MAX_S:.0f}"),
            code_caught=0,
        )
        for name in IN_PROCESSES
    ]


def _pytest(*arguments: str) -> tuple[str, ...]:
    # A test that waits for what the bug keeps from happening has seen it.
    options = ("-q", "-x", "-p", "no:cacheprovider", "--tb=line", f"--timeout={TEST_MAX_S}")
    return ("-m", "pytest", *options, *arguments)


def _run(trial: Trial, workspace: Path) -> tuple[int, str]:
    """The exit code and what was printed; running too long counts as a failure of the tests."""
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


def _killer(trial: Trial, printed: str) -> str:
    if trial.place == PROCESSES:
        return "auditor, end to end"
    if trial.place == "simulation":
        return printed.strip()
    failed = _FAILURE.search(printed)
    return failed[1] if failed else "no test by name"


def _finding(trial: Trial, verdict: Verdict, killer: str, started_s: float) -> Finding:
    return Finding(trial=trial, verdict=verdict, killer=killer, took_s=time.monotonic() - started_s)

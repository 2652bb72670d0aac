"""``python -m mutants``: break the product in every known way; each time a test must see it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mutants.trials import Finding, Trial, Verdict, attempt, baselines, prepare, trials

_KILLER_MAX = 100
_STYLES = {
    Verdict.CAUGHT: "green",
    Verdict.QUIET: "green",
    Verdict.MISSED: "bold red",
    Verdict.BROKEN: "bold red",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 unless every bug was caught, and nothing without one."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("--only", default="", help="bugs whose name or place has this in it")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time")
    chosen = parser.parse_args(arguments)
    todo = [trial for trial in trials() if chosen.only in f"{trial.name} {trial.place}"]
    if not todo:
        parser.error(f"no bug has {chosen.only!r} in its name or place")
    if not chosen.only:
        todo = [*baselines(), *todo]
    # Where there is no terminal, lines are as long as they have to be.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    started_s = time.monotonic()
    findings: list[Finding] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("bugs", total=len(todo))
        for finding in _findings(todo, chosen.workers):
            findings.append(finding)
            progress.update(bar, advance=1, description=finding.trial.name)
    console.print(_table(sorted(findings, key=lambda finding: todo.index(finding.trial))))
    as_hoped = {Verdict.CAUGHT, Verdict.QUIET}
    missed = [finding for finding in findings if finding.verdict not in as_hoped]
    took_s = time.monotonic() - started_s
    console.print(f"{len(findings)} trials, {len(missed)} not as they must be, in {took_s:.0f} s")
    return 1 if missed else 0


def _findings(todo: Sequence[Trial], workers: int) -> Iterator[Finding]:
    """As they come; each worker has a copy of the tree to itself."""
    with tempfile.TemporaryDirectory(prefix="gridkeeper-mutants-") as directory:
        Path(directory).chmod(0o755)  # root's Postgres, started by tests, runs as another user
        free: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            workspace = Path(directory) / str(number)
            workspace.mkdir()
            prepare(workspace)
            free.put(workspace)

        def take_turn(trial: Trial) -> Finding:
            workspace = free.get()
            try:
                return attempt(trial, workspace)
            finally:
                free.put(workspace)

        with ThreadPoolExecutor(workers) as pool:
            for finished in as_completed([pool.submit(take_turn, trial) for trial in todo]):
                yield finished.result()


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("bug", "planted in", "verdict", "seen by", "s"):
        table.add_column(title, justify="right" if title == "s" else "left", overflow="fold")
    for finding in findings:
        table.add_row(
            Text(finding.trial.name),
            Text(finding.trial.place),
            Text(finding.verdict.value, style=_STYLES[finding.verdict]),
            Text(finding.killer[:_KILLER_MAX]),
            Text(f"{finding.took_s:.0f}"),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())

"""``python -m simulation``: many seeds on all cores; one seed with its trace."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor

from rich.console import Console
from rich.progress import track

from simulation.cut import WHOLE, Cut
from simulation.shrink import shrink
from simulation.world import Outcome, simulate

#: Violations shown of a seed; its trace tells the rest.
_SHOWN_MAX = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if any seed failed."""
    chosen = _parser().parse_args(arguments)
    first, seeds = chosen.first_seed, chosen.seeds
    if chosen.seed is not None:
        first, seeds = chosen.seed, 1
    console = Console(highlight=False, soft_wrap=True)
    started_s = time.monotonic()
    keep_trace = chosen.trace or seeds == 1
    if chosen.cut:
        outcomes = [simulate(first, cut=chosen.cut, keep_trace=True)]
    else:
        outcomes = _run(range(first, first + seeds), console, keep_trace=keep_trace)
        if seeds == 1 and not chosen.trace:
            outcomes = [shrink(each) if each.violations else each for each in outcomes]
    failed = [outcome for outcome in outcomes if outcome.violations]
    for outcome in outcomes:
        if outcome.trace and (chosen.trace or outcome.violations):
            console.out("\n".join(outcome.trace))
    for outcome in failed:
        _show(outcome, console)
    console.print(_summary(outcomes, len(failed), time.monotonic() - started_s))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first-seed", type=int, default=1, help="where to begin")
    parser.add_argument("--seed", type=int, help="only this one; shrunk if it fails")
    parser.add_argument("--cut", type=Cut.parse, help="what of the seed is left out")
    parser.add_argument("--trace", action="store_true", help="tell all that happens, unshrunk")
    return parser


def _run(seeds: range, console: Console, *, keep_trace: bool) -> list[Outcome]:
    if len(seeds) == 1:
        return [simulate(seeds[0], keep_trace=keep_trace)]
    pool = ProcessPoolExecutor()
    try:
        running = [(seed, pool.submit(simulate, seed)) for seed in seeds]
        told = track(
            running,
            description="seeds",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        return [_outcome(seed, future) for seed, future in told]
    finally:
        pool.shutdown(cancel_futures=True)


def _outcome(seed: int, future: Future[Outcome]) -> Outcome:
    """Of a seed; what nobody foresaw is raised, with the seed that shows it."""
    error = future.exception()
    if error is not None:
        error.add_note(f"in seed {seed}")
        raise error
    return future.result()


def _show(outcome: Outcome, console: Console) -> None:
    console.print(f"seed {outcome.seed} FAILED", style="bold red")
    for violation in outcome.violations[:_SHOWN_MAX]:
        console.print(f"  {violation}", markup=False)
    left = len(outcome.violations) - _SHOWN_MAX
    if left > 0:
        console.print(f"  … and {left} more")
    if outcome.cut == WHOLE:
        console.print(f"  make simulate SEEDS=1 FIRST_SEED={outcome.seed}")
    else:
        command = f"python -m simulation --seed {outcome.seed} --cut '{outcome.cut}'"
        console.print(f"  PYTHONPATH=tests .venv/bin/{command}", markup=False)


def _summary(outcomes: Sequence[Outcome], failed: int, elapsed_s: float) -> str:
    hours = sum(outcome.virtual_s for outcome in outcomes) / 3_600
    orders = sum(outcome.orders for outcome in outcomes)
    trades = sum(outcome.trades for outcome in outcomes)
    deaths = sum(outcome.deaths for outcome in outcomes)
    return (
        f"{len(outcomes)} seeds, {failed} failed: {hours:.1f} virtual hours, {orders} orders,"
        f" {trades} trades, {deaths} deaths of processes in {elapsed_s:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())

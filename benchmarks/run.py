"""Measure the cases named on the command line, or all: `python benchmarks/run.py decision`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from measurement import Result, table
from telemetry.logs import configure_logs

#: Quickest first; each is a module `bench_<name>` with a coroutine `measure`.
CASES = (
    "ladder",
    "engine",
    "market_data",
    "simulator",
    "decision",
    "throughput",
    "cold_start",
    "take_over",
    "scale",
)

Measure = Callable[[], Awaitable[Sequence[Result]]]


def main() -> None:
    options = _options()
    configure_logs("error", "console", secrets=())
    # The in-memory exchange of the tests answers at once, which is what a decision needs.
    sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
    results: list[Result] = []
    for name in options.cases or CASES:
        started_s = time.monotonic()
        measure: Measure = importlib.import_module(f"bench_{name}").measure
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results += runner.run(_awaited(measure))
        _note(f"{name}: measured in {time.monotonic() - started_s:.0f} s")
    if options.output == "json":
        print(json.dumps([_document(result) for result in results], indent=2))
    else:
        print(table(results))


async def _awaited(measure: Measure) -> Sequence[Result]:
    return await measure()


def _document(result: Result) -> dict[str, object]:
    return asdict(result) | {"ratio": result.ratio, "is_met": result.is_met}


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - set(CASES))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    return options


if __name__ == "__main__":
    main()

"""What a case reports, and how a case and its baseline are timed in turn."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

WARM_UP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Medians of one run, in seconds unless it is something else that is compared."""

    case: str
    case_s: float
    baseline: str
    baseline_s: float
    repetitions: int
    #: Largest ratio that the design allows; `None` where it names none.
    aim: float | None = None
    #: What both figures count.
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.case_s / self.baseline_s

    @property
    def is_met(self) -> bool | None:
        return None if self.aim is None else self.ratio <= self.aim


async def interleave(
    case: Callable[[], Awaitable[object]],
    baseline: Callable[[], Awaitable[object]],
    repetitions: int,
    *,
    warm_up: int = WARM_UP,
) -> tuple[float, float]:
    """Run both in turn, so that a slow moment of the machine hits both; their medians in s."""
    case_s: list[float] = []
    baseline_s: list[float] = []
    for repetition in range(warm_up + repetitions):
        for timed, into in ((baseline, baseline_s), (case, case_s)):
            seconds = await _timed(timed)
            if repetition >= warm_up:
                into.append(seconds)
    return median(case_s), median(baseline_s)


def table(results: Sequence[Result]) -> str:
    """One line a result, with the ratio as the figure that travels between machines."""
    head = ("case", "p50", "baseline", "p50", "ratio", "aim", "")
    rows = [head] + [
        (
            result.case,
            _figure(result.case_s, result.unit),
            result.baseline,
            _figure(result.baseline_s, result.unit),
            f"{result.ratio:.3g} ×",
            "" if result.aim is None else f"≤ {result.aim:.3g} ×",
            {None: "", True: "met", False: "missed"}[result.is_met],
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _figure(value: float, unit: str) -> str:
    return duration(value) if unit == "s" else f"{value:.2f} {unit}"


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    started_s = time.perf_counter()
    await call()
    return time.perf_counter() - started_s

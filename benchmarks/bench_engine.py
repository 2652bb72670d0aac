"""The level engine: a tick that changes nothing, and the slot of a price."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from timeit import Timer

from ext._engine import LevelTable, QuietBand
from measurement import Result

REPETITIONS = 25
CALLS = 200_000
#: A geometric ladder of 5 bp around 60,000 in ticks of 0.01.
LEVELS = array("q", (round(6_000_000 * 1.0005**index) for index in range(-200, 201)))


async def measure() -> Sequence[Result]:
    band = QuietBand(5_990_000, 6_010_000, 6_010_000, 5_990_000)
    table = LevelTable(LEVELS)
    empty = partial(band.ignore, 5_999_999, 6_000_001)
    return [
        _compare(
            "a tick that changes nothing", partial(band.is_quiet, 5_999_999, 6_000_001), empty, 3
        ),
        _compare("slot of a price among 400 levels", partial(table.index_below, 6_123_457), empty),
    ]


def _compare(
    case: str, engine: Callable[[], object], empty: Callable[[], object], aim: float | None = None
) -> Result:
    timers = Timer(engine), Timer(empty)
    rounds = [[timer.timeit(CALLS) / CALLS for timer in timers] for _ in range(REPETITIONS)]
    return Result(
        case=case,
        case_s=median(engine_s for engine_s, _ in rounds),
        baseline="an empty compiled method of the same form",
        baseline_s=median(empty_s for _, empty_s in rounds),
        repetitions=REPETITIONS,
        aim=aim,
    )

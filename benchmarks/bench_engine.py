"""The level engine: a tick that changes nothing, the slot of a price, and a price in ticks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from statistics import median
from timeit import Timer

from domain.instrument import Instrument, Rounding
from ext._engine import LevelTable, QuietBand, TickScale
from measurement import Result

REPETITIONS = 25
CALLS = 200_000
#: A geometric ladder of 5 bp around 60,000 in ticks of 0.01.
LEVELS = array("q", (round(6_000_000 * 1.0005**index) for index in range(-200, 201)))
PRICE = "61799.99000000"
INSTRUMENT = Instrument(
    account="sim",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)


async def measure() -> Sequence[Result]:
    band = QuietBand(5_990_000, 6_010_000, 6_010_000, 5_990_000)
    table = LevelTable(LEVELS)
    empty = partial(band.ignore, 5_999_999, 6_000_001)
    scale = TickScale(INSTRUMENT.tick_size)

    def through_decimal() -> int:
        return INSTRUMENT.price_to_ticks(Decimal(PRICE), Rounding.FLOOR)

    assert scale.ticks_of(PRICE) == through_decimal()
    return [
        _compare(
            "a tick that changes nothing",
            partial(band.is_quiet, 5_999_999, 6_000_001),
            empty,
            aim=3,
        ),
        _compare("slot of a price among 400 levels", partial(table.index_below, 6_123_457), empty),
        _compare(
            "a price in ticks by its digits",
            partial(scale.ticks_of, PRICE),
            through_decimal,
            "the same through Decimal",
        ),
    ]


def _compare(
    case: str,
    engine: Callable[[], object],
    other: Callable[[], object],
    baseline: str = "an empty compiled method of the same form",
    *,
    aim: float | None = None,
) -> Result:
    timers = Timer(engine), Timer(other)
    rounds = [[timer.timeit(CALLS) / CALLS for timer in timers] for _ in range(REPETITIONS)]
    return Result(
        case=case,
        case_s=median(engine_s for engine_s, _ in rounds),
        baseline=baseline,
        baseline_s=median(other_s for _, other_s in rounds),
        repetitions=REPETITIONS,
        aim=aim,
    )

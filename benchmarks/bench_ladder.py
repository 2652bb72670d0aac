"""What the compiled ladder kernels gain over their pure-Python twins, alone and in a decision."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from statistics import median
from timeit import Timer
from unittest.mock import patch

from domain.instrument import Instrument
from domain.market import BookTop
from ext import _ladder, _ladder_py
from ext.ladder import WANTED
from grid.desired import Stance, desired_orders
from grid.grid import Grid
from grid.spec import GridSpec
from measurement import Result

LEVELS = array("q", range(1_000_000, 3_000_000, 1_000))
REPETITIONS = 15
#: One repetition calls a function as often as fits into this time.
REPETITION_S = 0.02


async def measure() -> Sequence[Result]:
    decide = _decision()
    return [
        _compare(
            "kernel: level below a price, arithmetic",
            partial(_ladder.arithmetic_index_below, 6_000_000, 700, 5_123_457),
            partial(_ladder_py.arithmetic_index_below, 6_000_000, 700, 5_123_457),
        ),
        _compare(
            "kernel: search of 2,000 levels",
            partial(_ladder.search_below, LEVELS, 2_345_678),
            partial(_ladder_py.search_below, LEVELS, 2_345_678),
        ),
        _compare(
            "kernel: budget over 2,000 slots",
            _budget(_ladder.grant_entries),
            _budget(_ladder_py.grant_entries),
        ),
        _compare("desired orders, window of 200", decide, partial(_with_twin, decide)),
    ]


def _budget(grant_entries: Callable[..., object]) -> Callable[[], object]:
    return partial(
        grant_entries,
        array("q", [1_000]) * 2_000,
        bytearray([WANTED]) * 2_000,
        budget_units=1 << 60,
        free_units=1 << 60,
        max_orders=1_000,
        free_orders=1_000,
    )


def _decision() -> Callable[[], object]:
    """The orders wanted in a wide window, on an idle book."""
    instrument = Instrument(
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
    spec = GridSpec.model_validate(
        {
            "spacing": {"kind": "arithmetic", "step": "150"},
            "range": {"kind": "window", "buy_window": 200, "sell_window": 200},
            "order_size": {"kind": "quote", "amount": "100"},
            "budget_quote": "1000000",
        }
    )
    grid = Grid.fresh(spec, instrument, Decimal(60_000))
    book = BookTop(bid_ticks=5_999_999, ask_ticks=6_000_001, exchange_ms=0)
    return partial(desired_orders, grid, {}, book, {}, stance=Stance.TRADE)


def _with_twin(decide: Callable[[], object]) -> object:
    with patch("grid.desired.grant_entries", _ladder_py.grant_entries):
        return decide()


def _compare(case: str, kernel: Callable[[], object], twin: Callable[[], object]) -> Result:
    timers = Timer(kernel), Timer(twin)
    calls = [_calls(timer) for timer in timers]
    rounds = [
        [timer.timeit(n) / n for timer, n in zip(timers, calls, strict=True)]
        for _ in range(REPETITIONS)
    ]
    return Result(
        case=case,
        case_s=median(kernel_s for kernel_s, _ in rounds),
        baseline="pure-Python twin",
        baseline_s=median(twin_s for _, twin_s in rounds),
        repetitions=REPETITIONS,
    )


def _calls(timer: Timer) -> int:
    calls, seconds = timer.autorange()
    return max(int(calls * REPETITION_S / seconds), 1)

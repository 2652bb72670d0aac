"""Candles of any length out of one tape of trades."""

import pytest

from simulator.outbox import PublicTrade
from simulator.tape import INTERVALS_MS, Tape
from simulator.units import UNIT

MINUTE_MS = 60_000
START_MS = 1_700_000_400_000 - 1_700_000_400_000 % (60 * MINUTE_MS)


def a_tape(*trades: tuple[int, int]) -> Tape:
    """Trades of one unit each, as (milliseconds after the start, price)."""
    tape = Tape()
    for number, (after_ms, price) in enumerate(trades, start=1):
        tape.add(
            PublicTrade(
                symbol="BTCUSDT",
                trade_id=number,
                price_e8=price * UNIT,
                quantity_e8=UNIT,
                time_ms=START_MS + after_ms,
                buyer_is_maker=number % 2 == 0,
            )
        )
    return tape


def shown(tape: Tape, interval: str, now_ms: int, last: int | None = None) -> list[list[int]]:
    return [
        [
            (candle.open_ms - START_MS) // MINUTE_MS,
            *(
                price // UNIT
                for price in (candle.open_e8, candle.high_e8, candle.low_e8, candle.close_e8)
            ),
            candle.count,
        ]
        for candle in tape.series(INTERVALS_MS[interval], now_ms, last=last)
    ]


def test_tape_without_trades_has_no_candles() -> None:
    assert Tape().series(MINUTE_MS, START_MS) == []


def test_minutes_without_trades_repeat_the_close_before() -> None:
    tape = a_tape((0, 100), (1_000, 104), (3 * MINUTE_MS, 90))
    assert shown(tape, "1m", START_MS + 4 * MINUTE_MS) == [
        [0, 100, 104, 100, 104, 2],
        [1, 104, 104, 104, 104, 0],
        [2, 104, 104, 104, 104, 0],
        [3, 90, 90, 90, 90, 1],
        [4, 90, 90, 90, 90, 0],
    ]


def test_longer_candles_merge_minutes() -> None:
    tape = a_tape((0, 100), (2 * MINUTE_MS, 120), (4 * MINUTE_MS, 80), (5 * MINUTE_MS, 90))
    assert shown(tape, "5m", START_MS + 6 * MINUTE_MS) == [
        [0, 100, 120, 80, 80, 3],
        [5, 90, 90, 90, 90, 1],
    ]


@pytest.mark.parametrize("interval", INTERVALS_MS)
def test_last_candles_are_those_of_the_whole_series(interval: str) -> None:
    tape = a_tape(*((minute * 7 * MINUTE_MS, 100 + minute % 5) for minute in range(60)))
    now_ms = START_MS + 430 * MINUTE_MS
    whole = shown(tape, interval, now_ms)
    assert shown(tape, interval, now_ms, last=2) == whole[-2:]
    assert sum(row[-1] for row in whole) == 60

"""What the compiled ladder kernels gain over their pure-Python twins, and what a decision costs."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from timeit import Timer

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src")]

from domain.instrument import Instrument  # noqa: E402  after the path
from domain.market import BookTop  # noqa: E402
from ext import _ladder, _ladder_py  # noqa: E402
from ext.ladder import WANTED  # noqa: E402
from grid.desired import desired_orders  # noqa: E402
from grid.grid import Grid  # noqa: E402
from grid.spec import GridSpec  # noqa: E402

LEVELS = array("q", range(1_000_000, 3_000_000, 1_000))


def main() -> None:
    limits = {
        "budget_units": 1 << 60,
        "free_units": 1 << 60,
        "max_orders": 1_000,
        "free_orders": 1_000,
    }
    window = array("q", [1_000]) * 200, bytearray([WANTED]) * 200
    whole_range = array("q", [1_000]) * 2_000, bytearray([WANTED]) * 2_000
    cases: list[tuple[str, Callable[..., object], Callable[..., object]]] = [
        (
            "index below, arithmetic",
            partial(_ladder.arithmetic_index_below, 6_000_000, 700, 5_123_457),
            partial(_ladder_py.arithmetic_index_below, 6_000_000, 700, 5_123_457),
        ),
        (
            "search of 2,000 levels",
            partial(_ladder.search_below, LEVELS, 2_345_678),
            partial(_ladder_py.search_below, LEVELS, 2_345_678),
        ),
        (
            "budget over 200 slots",
            partial(_ladder.grant_entries, *window, **limits),
            partial(_ladder_py.grant_entries, *window, **limits),
        ),
        (
            "budget over 2,000 slots",
            partial(_ladder.grant_entries, *whole_range, **limits),
            partial(_ladder_py.grant_entries, *whole_range, **limits),
        ),
    ]
    print(f"{'case':28}{'kernel µs':>12}{'twin µs':>12}{'ratio':>8}")
    for label, kernel, twin in cases:
        fast, slow = microseconds(kernel), microseconds(twin)
        print(f"{label:28}{fast:12.2f}{slow:12.2f}{slow / fast:8.1f}")
    print(f"\n{'desired_orders, 200 entries':28}{microseconds(decision()):12.2f}")


def decision() -> Callable[[], object]:
    """A whole decision of a wide window on an idle book."""
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
    grid = Grid.of(spec, instrument, Decimal(60_000))
    book = BookTop(bid_ticks=5_999_999, ask_ticks=6_000_001, exchange_ms=0)
    return partial(desired_orders, grid, {}, book, {}, entries_allowed=True, exits_allowed=True)


def microseconds(call: Callable[[], object]) -> float:
    """Best of five short runs."""
    timer = Timer(call)
    calls, seconds = timer.autorange()
    calls = max(int(calls * 0.05 / seconds), 1)
    return min(timer.repeat(5, calls)) / calls * 1e6


if __name__ == "__main__":
    main()

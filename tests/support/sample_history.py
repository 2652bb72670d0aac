"""A small history in which everything happened once, written straight into the tables.

BTC/USDT trades: slot -1 bought at 61,750 and sold at 61,800 (a pair), slot -2 bought at 61,700 and
its exit rests, and an entry of slot -4 was cancelled. ETH/USDT was removed. One plan failed.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

ENTRY = "entry000000000001"
EXIT = "exit0000000000001"
HELD_ENTRY = "entry000000000002"
LIVE_EXIT = "exit0000000000002"
CANCELLED = "entry000000000004"
PLAN = "sim-BTC-USDT:1:2"
FAILED_PLAN = "sim-BTC-USDT:1:4"
REQUEST = "add:sim-BTC-USDT:first"

_STATEMENTS = Path(__file__).with_suffix(".sql").read_bytes()


def write_sample_history(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(_STATEMENTS)

"""Recorded trades and best quotes from CSV, CSV.gz or Parquet, played forwards and back.

Columns: `local_ns, event_ms, market, symbol` and then `id, price, qty, buyer_is_maker` for trades
or `bid, bidqty, ask, askqty` for quotes. At the end of a recording the market turns round and plays
it mirrored, so a price never jumps and never drifts away.
"""

import csv
import gzip
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet

from simulator.config import ConfigurationError
from simulator.prices import Events, MarketEvent, Print, Quote
from simulator.units import parse_e8

_SUFFIXES = (".csv", ".csv.gz", ".parquet")

Row = Mapping[str, str]
Timed = tuple[int, MarketEvent]  # (local_ns, event)


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """Recording files among the given files and directories, in order of name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(
                child for child in sorted(path.iterdir()) if child.name.endswith(_SUFFIXES)
            )
        elif path.exists():
            found.append(path)
        else:
            msg = f"`replay.paths` must exist, was {path}"
            raise ConfigurationError(msg)
    return found


def load_recordings(paths: Iterable[Path], market: str) -> dict[str, list[Timed]]:
    """A market's events by symbol, merged by the time they were received."""
    events: dict[str, list[Timed]] = {}
    for path in find_recordings(paths):
        for row in _rows(path):
            if row["market"] == market:
                event = _quote(row) if "bid" in row else _print(row)
                events.setdefault(row["symbol"], []).append((int(row["local_ns"]), event))
    for timed in events.values():
        timed.sort(key=lambda item: item[0])
    return events


def replayed(events: list[Timed], *, speed: float) -> Events:
    """Endless stream over a recording: forwards, then mirrored, and so on."""
    if len(events) < 2:
        msg = f"a recording must hold at least 2 events, held {len(events)}"
        raise ConfigurationError(msg)
    clock_ms = 0.0
    last_ns = events[0][0]
    for forwards in itertools.cycle((True, False)):
        for received_ns, event in events if forwards else reversed(events):
            clock_ms += abs(received_ns - last_ns) / 1e6 / speed
            last_ns = received_ns
            yield clock_ms, event


def _rows(path: Path) -> Iterator[Row]:
    if path.name.endswith(".parquet"):
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield {name: str(value) for name, value in row.items()}
        return
    reader = gzip.open if path.name.endswith(".gz") else open
    with reader(path, "rt") as lines:
        yield from csv.DictReader(lines)


def _quote(row: Row) -> Quote:
    return Quote(
        bid_e8=parse_e8(row["bid"]),
        bid_quantity_e8=parse_e8(row["bidqty"]),
        ask_e8=parse_e8(row["ask"]),
        ask_quantity_e8=parse_e8(row["askqty"]),
    )


def _print(row: Row) -> Print:
    return Print(
        price_e8=parse_e8(row["price"]),
        quantity_e8=parse_e8(row["qty"]),
        buyer_is_maker=row["buyer_is_maker"].lower() in {"1", "true"},
    )

"""The append-only ledger on disk: JSON lines that leave the process before any reply does."""

import fcntl
import os
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from simulator.config import ConfigurationError
from simulator.records import Record, from_json, to_json

#: Names of the two markets, in the ledger and in the control API.
SPOT = "spot"
FUTURES = "futures"

_CHUNK_RECORDS_MAX = 10_000


class Ledger:
    """One file, one writer; a line cut short by a crash was never acknowledged and is dropped."""

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            msg = f"`data_dir` must belong to one simulator at a time, {path} is in use"
            raise ConfigurationError(msg) from error
        self._ends = array("Q")  # byte offset behind each record
        self._size = 0

    @property
    def last_seq(self) -> int:
        return len(self._ends)

    def recover(self) -> Iterator[tuple[str, Record]]:
        """Every record with its market; afterwards the file ends at a whole line."""
        with os.fdopen(os.dup(self._fd), "rb") as lines:
            lines.seek(0)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._size += len(line)
                self._ends.append(self._size)
                document = orjson.loads(line)
                # Ledgers from before there were two markets do not name theirs.
                yield document.get("market", SPOT), from_json(document)
        os.ftruncate(self._fd, self._size)

    def append(self, market: str, records: list[Record]) -> None:
        """Write a market's records in one go; returns once the kernel (or the disk) has them."""
        written_ms = time.time_ns() // 1_000_000
        block = bytearray()
        ends: list[int] = []
        for seq, record in enumerate(records, start=self.last_seq + 1):
            document: dict[str, Any] = {
                "seq": seq,
                "written_ms": written_ms,
                "market": market,
                **to_json(record),
            }
            block += orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
            ends.append(self._size + len(block))
        if os.write(self._fd, block) != len(block):
            msg = "the ledger was written only in part; the exchange must stop"
            raise OSError(msg)
        if self._fsync:
            os.fsync(self._fd)
        self._ends.extend(ends)
        self._size += len(block)

    def read_after(self, seq: int, limit: int = _CHUNK_RECORDS_MAX) -> list[bytes]:
        """Raw JSON of the records behind `seq`, at most `limit` of them."""
        first = max(0, seq)
        last = min(self.last_seq, first + min(limit, _CHUNK_RECORDS_MAX))
        if first >= last:
            return []
        start = self._ends[first - 1] if first else 0
        block = os.pread(self._fd, self._ends[last - 1] - start, start)
        return block.splitlines()

    def close(self) -> None:
        os.close(self._fd)

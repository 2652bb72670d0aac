"""What happened in a run, line by line, and its fingerprint."""

from __future__ import annotations

import hashlib

from simulation.loop import VirtualLoop


class Trace:
    """Every line enters the fingerprint; they are kept only when somebody wants to read them."""

    def __init__(self, loop: VirtualLoop, *, keep: bool) -> None:
        self._loop = loop
        self._hash = hashlib.sha256()
        self._keep = keep
        self.lines: list[str] = []
        #: Of all lines, also those that are not kept.
        self.count = 0

    def note(self, line: str) -> None:
        stamped = f"{self._loop.time():.6f} {line}"
        self._hash.update(stamped.encode())
        self.count += 1
        if self._keep:
            self.lines.append(stamped)

    @property
    def fingerprint(self) -> str:
        return self._hash.hexdigest()

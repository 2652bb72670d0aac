"""Cuts away of a failing run whatever it fails without, so that a person can read what is left."""

from __future__ import annotations

from dataclasses import replace

from simulation.cut import Cut
from simulation.world import Outcome, simulate

#: Rounds of all cuts: one may make way for another.
ROUNDS_MAX = 3
#: The storm is shortened to the first of these parts of it that is enough.
PARTS = (0.1, 0.2, 0.35, 0.5, 0.7, 0.85)


def shrink(failed: Outcome) -> Outcome:
    """The smallest run found that still breaks the promise which was broken first, traced."""
    shrinking = _Shrinking(failed)
    for _ in range(ROUNDS_MAX):
        before = shrinking.best.cut
        shrinking.go_round()
        if shrinking.best.cut == before:
            break
    shrunk = simulate(failed.seed, cut=shrinking.best.cut, keep_trace=True)
    # What comes after the failure explains nothing.
    return replace(shrunk, trace=shrunk.trace[: shrunk.lines])


class _Shrinking:
    """The best run so far, and each way to a better one."""

    def __init__(self, failed: Outcome) -> None:
        self.best = failed
        self._promise = _promise(failed)
        self._lines_max = failed.lines

    def go_round(self) -> None:
        cut = self.best.cut
        self._try(replace(cut, without=cut.without.union(self.best.faults)))
        self._try(replace(self.best.cut, accidents=()))
        for fault in self.best.faults:
            cut = self.best.cut
            self._try(replace(cut, without=cut.without | {fault}))
        for accident in self.best.accidents:
            kept = tuple(number for number in self.best.accidents if number != accident)
            self._try(replace(self.best.cut, accidents=kept))
        for part in PARTS:
            if self._try(replace(self.best.cut, storm_s=round(self.best.storm_s * part, 1))):
                break
        for symbol in self.best.symbols:
            left = tuple(number for number in self.best.symbols if number != symbol)
            if left:
                self._try(replace(self.best.cut, symbols=left))

    def _try(self, cut: Cut) -> bool:
        """Take a cut whose run fails in the same way, and has no more to be read."""
        found = simulate(self.best.seed, cut=cut)
        if _promise(found) != self._promise or found.lines > self._lines_max:
            return False
        self.best = found
        return True


def _promise(outcome: Outcome) -> str:
    """What was broken, without whose it was: the first word of the first violation."""
    return outcome.violations[0].split()[0] if outcome.violations else ""

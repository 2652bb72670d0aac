"""What a seed sees of a planted bug, told from a bug that merely breaks down."""

from __future__ import annotations

import re

from simulation.planted import BUGS
from simulation.world import simulate

#: What a stub raises that no longer fits the product, in the words of a violation.
_BREAKDOWN = re.compile(r"\b(?:TypeError|AttributeError|NameError|UnboundLocalError)\(")


class BreakdownError(Exception):
    """A planted bug crashed instead of doing wrong: what is seen then is not the bug."""


def violations_with(bug: str, seed: int) -> tuple[str, ...]:
    """The promises that a seed sees broken while a bug is planted.

    Raises
    ------
    BreakdownError
        If one is that nothing crashes, and it did as code does that cannot work at all.
    """
    with BUGS[bug]():
        violations = simulate(seed).violations
    for violation in violations:
        if _BREAKDOWN.search(violation):
            raise BreakdownError(f"{bug}, seed {seed}: {violation}")
    return violations

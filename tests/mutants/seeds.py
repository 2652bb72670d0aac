"""``python -m mutants.seeds BUG``: simulate with a planted bug until a seed sees it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from simulation.planted import BUGS
from simulation.sight import violations_with
from simulation.world import simulate

#: As the tests demand.
SEEDS_MAX = 300
#: The exit code of a search that found something; Python's own for what it did not expect is 1.
SEEN = 10
#: Without a bug nothing ends the search, so it is a shorter one.
UNBROKEN = "none"
UNBROKEN_SEEDS_MAX = 60


def main() -> int:
    """The exit code: `SEEN` if a seed saw the bug, 0 if none did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bug", choices=[UNBROKEN, *BUGS])
    chosen = parser.parse_args()
    seen = (
        _first_violation(_violations, UNBROKEN_SEEDS_MAX, is_news=lambda seed: True)
        if chosen.bug == UNBROKEN
        # What a seed complains of anyhow is not the bug.
        else _first_violation(
            partial(violations_with, chosen.bug),
            SEEDS_MAX,
            is_news=lambda seed: not _violations(seed),
        )
    )
    if seen is None:
        return 0
    sys.stdout.write(f"{seen}\n")
    return SEEN


def _first_violation(
    violations_of: Callable[[int], Sequence[str]],
    seeds_max: int,
    *,
    is_news: Callable[[int], bool],
) -> str | None:
    for seed in range(1, seeds_max + 1):
        violations = violations_of(seed)
        if violations and is_news(seed):
            return f"seed {seed}: {violations[0]}"
    return None


def _violations(seed: int) -> Sequence[str]:
    return simulate(seed).violations


if __name__ == "__main__":
    sys.exit(main())

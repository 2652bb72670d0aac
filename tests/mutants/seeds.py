"""``python -m mutants.seeds BUG``: simulate with a planted bug until a seed sees it."""

from __future__ import annotations

import argparse
import sys

from simulation.planted import BUGS
from simulation.world import simulate

#: As the tests demand.
SEEDS_MAX = 250


def main() -> int:
    """The exit code: 1 if a seed saw the bug, 0 if none did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bug", choices=BUGS)
    chosen = parser.parse_args()
    with BUGS[chosen.bug]():
        for seed in range(1, SEEDS_MAX + 1):
            violations = simulate(seed).violations
            if violations:
                sys.stdout.write(f"seed {seed}: {violations[0]}\n")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

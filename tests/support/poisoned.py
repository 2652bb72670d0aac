"""A node that one symbol kills in its first round: run as a program, it patches the product.

``python poisoned.py SYMBOL node --name NAME`` is `gridkeeper node` with that symbol poisoned.
"""

from __future__ import annotations

import os
import sys

from cli.main import main
from symbol_manager.compare import Comparison

ABORTED = 134


def poison(symbol: str) -> None:
    make = Comparison.make

    async def fatal(self: Comparison) -> None:
        if self._state.claim.symbol == symbol:
            os._exit(ABORTED)
        await make(self)

    Comparison.make = fatal  # type: ignore[method-assign]  # that is the poison


if __name__ == "__main__":
    poison(sys.argv.pop(1))
    main()

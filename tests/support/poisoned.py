"""A node that one symbol kills in its first round: run as a program, it patches the product.

``python poisoned.py SYMBOL node --name NAME`` is `gridkeeper node` with that symbol poisoned.
"""

from __future__ import annotations

import os
import sys

from cli.main import main
from symbol_manager.tenure import Tenure

ABORTED = 134


def poison(symbol: str) -> None:
    compare = Tenure._compare

    async def fatal(self: Tenure) -> None:
        if self.state.claim.symbol == symbol:
            os._exit(ABORTED)
        await compare(self)

    Tenure._compare = fatal  # type: ignore[method-assign]  # that is the poison


if __name__ == "__main__":
    poison(sys.argv.pop(1))
    main()

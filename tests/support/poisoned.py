"""A node that one symbol kills, in one place: run as a program, it patches the product.

``python poisoned.py PLACE SYMBOL node --name NAME`` is `gridkeeper node` with that symbol poisoned:
its shard's first round (``round``), or what a request for it does before anything is written down
(``prepare``) or right after (``record``).
"""

from __future__ import annotations

import os
import sys

from cli.main import main
from orchestrator.changes import Changes
from orchestrator.workflows import Document
from symbol_manager.compare import Comparison

ABORTED = 134


def poison_round(symbol: str) -> None:
    make = Comparison.make

    async def fatal(self: Comparison) -> None:
        if self._state.claim.symbol == symbol:
            os._exit(ABORTED)
        await make(self)

    Comparison.make = fatal  # type: ignore[method-assign]  # that is the poison


def poison_prepare(symbol: str) -> None:
    prepare = Changes.prepare

    async def fatal(self: Changes, change: Document) -> Document:
        if change.get("symbol") == symbol:
            os._exit(ABORTED)
        return await prepare(self, change)

    Changes.prepare = fatal  # type: ignore[method-assign]  # that is the poison


def poison_record(symbol: str) -> None:
    record = Changes.record

    async def fatal(
        self: Changes, change: Document, prepared: Document, workflow_id: str
    ) -> Document:
        recorded = await record(self, change, prepared, workflow_id)
        if change.get("symbol") == symbol:
            os._exit(ABORTED)
        return recorded

    Changes.record = fatal  # type: ignore[method-assign]  # that is the poison


_POISONS = {"round": poison_round, "prepare": poison_prepare, "record": poison_record}

if __name__ == "__main__":
    _POISONS[sys.argv.pop(1)](sys.argv.pop(1))
    main()

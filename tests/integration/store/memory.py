"""The simulated store without the way to it, as the contract suites ask it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from simulation.database import Database
from simulation.fate import Fate
from simulation.loop import VirtualLoop
from simulation.store import SimulatedStore
from simulation.trace import Trace
from simulation.weather import CALM

Answer = TypeVar("Answer")


class PromptStore(SimulatedStore):
    """Answers at once."""

    async def ask(self, act: Callable[[], Answer]) -> Answer:
        return act()


def prompt_store(loop: VirtualLoop, database: Database, executor: str) -> PromptStore:
    """One executor's, where nothing goes wrong."""
    fate = Fate(
        loop=loop,
        trace=Trace(loop, keep=False),
        dice=Random(1),
        weather=lambda: CALM,
        hazard=lambda weight: None,
    )
    return PromptStore(fate, database, executor)

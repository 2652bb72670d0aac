"""What decides the luck of one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from simulation.loop import VirtualLoop
from simulation.trace import Trace
from simulation.weather import Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Chance, and the chances as they are at the moment."""

    loop: VirtualLoop
    trace: Trace
    dice: Random
    weather: Callable[[], Weather]
    #: Called where it matters what becomes of the process, with how much more it does than usual.
    hazard: Callable[[float], None]

    def strikes(self, chance: float) -> bool:
        return chance > 0 and self.dice.random() < chance

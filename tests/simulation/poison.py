"""Symbols that break whoever runs them, as one market's odd data may."""

from __future__ import annotations

from enum import Enum, auto

from simulation.loop import Process


class Effect(Enum):
    """What happens when the open orders of a poisoned symbol are asked for."""

    #: The process ends, as where it runs out of memory.
    KILLS = auto()
    #: The code fails in a way that nobody foresaw.
    RAISES = auto()


class PoisonError(Exception):
    """Nobody foresaw it."""


class Poison:
    """Whose failures are to be expected.

    Parameters
    ----------
    is_deadly : bool
        Whether processes also end by chance at any of their calls, which first rounds have many of.
    """

    def __init__(self, *, is_deadly: bool) -> None:
        self._is_deadly = is_deadly
        self._effects: dict[str, Effect] = {}
        self._ever: set[tuple[str, Effect]] = set()
        self._is_pardoned = False

    def put(self, symbol: str, effect: Effect) -> None:
        self._effects[symbol] = effect
        self._ever.add((symbol, effect))

    def pardon(self, symbol: str) -> None:
        """Somebody asks for it again, so that its starts count anew and go beside the others'."""
        if (symbol, Effect.KILLS) in self._ever:
            self._is_pardoned = True

    def explains(self, symbol: str, reason: str) -> bool:
        """Whether a symbol may have been halted for what the poison, or chance, did."""
        if "crash" in reason:
            return PoisonError.__name__ in reason and (symbol, Effect.RAISES) in self._ever
        is_chance = self._is_deadly or self._is_pardoned
        return is_chance or (symbol, Effect.KILLS) in self._ever

    @property
    def is_deadly(self) -> bool:
        """Whether processes end again and again, by a symbol or by chance."""
        return self._is_deadly or any(effect is Effect.KILLS for _, effect in self._ever)

    def clear(self) -> None:
        self._effects.clear()

    def taste(self, symbol: str, process: Process) -> None:
        """Suffer what comes of looking at a symbol."""
        match self._effects.get(symbol):
            case Effect.KILLS:
                process.kill()
            case Effect.RAISES:
                raise PoisonError(symbol)
            case None:
                pass

"""Which fault strikes when, for how long and whom: decided by the seed alone."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.faults import Broken, Fault, Place
from chaos.requests import Request, stories

PAUSE_S = (0.5, 3.0)
#: How often two faults strike in one round.
OVERLAP = 0.3
#: The second one comes so much later at most.
LATER_MAX_S = 2.0
#: How often a line breaks for every node at once.
EVERYWHERE = 0.3
#: Elsewhere a fault strikes all nodes at once.
_OF_A_NODE = frozenset({Place.NODE, Place.TO_EXCHANGE, Place.TO_DATABASE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    fault: Fault
    #: From the beginning of its round.
    after_s: float
    hold_s: float
    #: Numbers of the nodes it strikes, where it strikes nodes or their lines.
    nodes: tuple[int, ...]
    #: The symbol it strikes, where it strikes one.
    symbol: str
    #: Between -1 and 1, for what has a size and a direction.
    strength: float

    def reaches(self, node: int) -> bool:
        """Whether a node may suffer from it."""
        return self.fault.place not in _OF_A_NODE or node in self.nodes


@dataclass(frozen=True, slots=True)
class Round:
    number: int
    #: Of undisturbed trading before it.
    pause_s: float
    injections: tuple[Injection, ...]
    #: Made until the last fault is healed.
    requests: tuple[Request, ...] = ()

    @property
    def lasts_s(self) -> float:
        """From its first fault until the last one is healed."""
        return max(item.after_s + item.hold_s for item in self.injections)


def rounds(
    seed: int, faults: Sequence[Fault], *, symbols: Sequence[str], nodes: int
) -> Iterator[Round]:
    """Rounds without end; every fault once before any a second time.

    Of two in one round each strikes in another place, so that healing one leaves the other alone.
    """
    choices = random.Random(seed)  # nosec B311  # repeatable, not secret
    users = stories(seed, symbols)
    bag: list[Fault] = []
    for number in itertools.count(1):
        if not bag:
            bag = choices.sample(faults, k=len(faults))
        chosen = [bag.pop()]
        pause_s, is_double = choices.uniform(*PAUSE_S), choices.random() < OVERLAP
        second = next((fault for fault in bag if fault.place is not chosen[0].place), None)
        if is_double and second is not None:
            bag.remove(second)
            chosen.append(second)
        injections: list[Injection] = []
        for fault in chosen:
            after_s = choices.uniform(0.0, LATER_MAX_S) if injections else 0.0
            injections.append(_injection(choices, fault, after_s, symbols, nodes))
        yield Round(number, pause_s, tuple(injections), next(users))


def _injection(
    choices: random.Random, fault: Fault, after_s: float, symbols: Sequence[str], nodes: int
) -> Injection:
    one, is_everywhere = choices.randrange(nodes), choices.random() < EVERYWHERE
    strikes_all = is_everywhere and isinstance(fault.effect, Broken)
    return Injection(
        fault=fault,
        after_s=round(after_s, 3),
        hold_s=round(choices.uniform(*fault.hold_s), 3),
        nodes=tuple(range(nodes)) if strikes_all else (one,),
        symbol=choices.choice(symbols),
        strength=round(choices.uniform(-1.0, 1.0), 3),
    )

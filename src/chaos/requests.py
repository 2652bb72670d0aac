"""What users ask for while a system is in trouble; at the end every symbol is to run again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    #: With orders of another size: the levels stay where they are.
    UPDATE = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    verb: Verb
    symbol: str
    #: When it is made, as a part of the time that there is: from 0 to 1.
    at: float
    #: By how much larger orders are than at first, where it is an update.
    larger_percent: int


#: Each leaves its symbol running.
_STORIES = (
    (Verb.PAUSE, Verb.RESUME),
    (Verb.UPDATE,),
    (Verb.PAUSE, Verb.UPDATE, Verb.RESUME),
)
_LARGER_PERCENT = (0, 10, 20)


def stories(seed: int, symbols: Sequence[str]) -> Iterator[tuple[Request, ...]]:
    """What one user after the other asks of one symbol, without end: decided by the seed alone."""
    choices = random.Random(f"requests {seed}")  # nosec B311  # repeatable, not secret
    while True:
        verbs, symbol = choices.choice(_STORIES), choices.choice(symbols)
        moments = sorted(round(choices.random(), 3) for _ in verbs)
        larger_percent = choices.choice(_LARGER_PERCENT)
        yield tuple(
            Request(verb=verb, symbol=symbol, at=at, larger_percent=larger_percent)
            for verb, at in zip(verbs, moments, strict=True)
        )

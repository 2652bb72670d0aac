"""Which ends of nodes the faults of a run explain; every other one is a node that gave up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.report import Strike


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEnd:
    """A node that ended otherwise than it was made to."""

    node: int
    #: The exit code, or less than 0 for a signal.
    code: int
    #: By the clock of the event loop.
    at_s: float
    #: As it is told.
    text: str


def unexplained(ends: Iterable[NodeEnd], strikes: Sequence[Strike], patience: float) -> list[str]:
    """The ends that no fault can have brought about, in words.

    A fault explains ends from its beginning until all symbols must quote again, `patience` times
    as long for slow machines: a node that was cut off learns only afterwards that it is fenced.
    """
    return [end.text for end in ends if not any(_explains(done, end, patience) for done in strikes)]


def _explains(done: Strike, end: NodeEnd, patience: float) -> bool:
    fault = done.injection.fault
    if done.began_s is None or done.skipped or end.code not in fault.ends:
        return False
    is_over = done.healed_s is not None and end.at_s > done.healed_s + fault.again_s * patience
    return done.injection.reaches(end.node) and done.began_s <= end.at_s and not is_over

"""What a fault is: an effect from outside, how long it is held, and when all must be well again.

The faults there are stand in `chaos/table.py`; `chaos/hands.py` does what the effects name.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from chaos.proxy import Mode


class Process(StrEnum):
    NODE = "node"
    EXCHANGE = "exchange"
    POSTGRES = "postgres"


class Line(StrEnum):
    """What a node's proxies lead to."""

    EXCHANGE = "exchange"
    DATABASE = "database"


class Place(StrEnum):
    """Where a fault strikes; two that overlap strike in different places."""

    EXCHANGE = "exchange"
    NODE = "node"
    POSTGRES = "postgres"
    TO_EXCHANGE = "line to the exchange"
    TO_DATABASE = "line to the database"


class End(IntEnum):
    """Codes with which a fault may have a node end by itself.

    None has it end for want of the exchange: a node halts its symbols and asks again.
    """

    DATABASE_UNAVAILABLE = 3
    FENCED = 75


class Person(StrEnum):
    """What somebody does by hand on the account."""

    TRADES = "trades"
    CANCELS = "cancels"
    CANCELS_ALL = "cancels all"


@dataclass(frozen=True, slots=True)
class Armed:
    """Faults of the simulated exchange's control API; paths are named as in `hands.PATHS`."""

    descriptions: tuple[Mapping[str, Any], ...]
    #: How many of the first are what the fault is called after: any of them must have happened.
    named_by: int = 1


@dataclass(frozen=True, slots=True)
class Broken:
    line: Line
    mode: Mode


@dataclass(frozen=True, slots=True)
class Signalled:
    """Stopped processes are continued, ended ones started again."""

    process: Process
    number: signal.Signals


@dataclass(frozen=True, slots=True)
class FrozenMarket:
    """No quote changes and nothing trades; time goes on."""


@dataclass(frozen=True, slots=True)
class Refiltered:
    """One symbol's tick and lot become so many times as coarse."""

    tick_times: int
    lot_times: int


@dataclass(frozen=True, slots=True)
class Jump:
    """One symbol's price moves at once, up or down."""

    percent_max: float


@dataclass(frozen=True, slots=True)
class ByHand:
    person: Person


@dataclass(frozen=True, slots=True)
class FullDisk:
    """Postgres' file system takes no byte more."""


@dataclass(frozen=True, slots=True)
class Killed:
    """The kill switch is thrown, and rearmed when every other fault of the round is over."""


Effect = Armed | Broken | Signalled | FrozenMarket | Refiltered | Jump | ByHand | FullDisk | Killed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    name: str
    place: Place
    effect: Effect
    does: str
    heals: str
    #: Shortest and longest time it is held.
    hold_s: tuple[float, float] = (0.0, 0.0)
    #: How long after it is healed all symbols must quote again.
    again_s: float = 30.0
    #: How the nodes that it strikes may end by themselves because of it.
    ends: frozenset[End] = frozenset()

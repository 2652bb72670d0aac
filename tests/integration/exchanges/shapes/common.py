"""What each venue's shapes are made of: one resting order, one trade and the venue's refusals."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from integration.exchanges.recorded import Answer, Reply, Request, Route

PRICE = "40000"
QUANTITY = "0.01"
FILLED = "0.004"
ORDER_ID = "81234567"
#: A minute ago: the history is asked for by time.
TRADED_MS = int(time.time() * 1000) - 60_000
FREE, LOCKED = "599.5", "400.25"


class State(StrEnum):
    OPEN = "open"
    PARTLY = "partly filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


FILLED_IN = {State.PARTLY: FILLED, State.FILLED: QUANTITY}
LIVE = (State.OPEN, State.PARTLY)


@dataclass
class Shapes(ABC):
    """A venue that holds the orders given to it, in its own words."""

    venue: ClassVar[str]
    symbol: ClassVar[str] = "BTC/USDT"
    secret: ClassVar[str] = "c2VjcmV0c2VjcmV0c2VjcmV0"
    place: ClassVar[Route]
    cancel: ClassVar[Route]
    #: Fields that no test can foresee.
    volatile: ClassVar[frozenset[str]] = frozenset()
    #: The state that a post-only order ends in when it would cross; `None` where the reply tells.
    crossed: ClassVar[State | None] = State.CANCELLED
    #: What the refusal of a cancel says when the order is gone.
    gone: ClassVar[str] = "not_found"

    orders: dict[str, State] = field(default_factory=dict)

    @property
    def duplicate(self) -> Answer | None:
        """The refusal of an id that an order already has; `None` where none is documented."""
        return None

    @property
    @abstractmethod
    def no_funds(self) -> Answer: ...

    @property
    @abstractmethod
    def not_found(self) -> Answer: ...

    @property
    @abstractmethod
    def too_fast(self) -> Answer: ...

    @property
    def would_cross(self) -> Answer | None:
        return None

    @abstractmethod
    def routes(self) -> Mapping[Route, Reply]:
        """Everything that the venue answers."""

    @abstractmethod
    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        """All fields that a post-only buy leaves with."""

    @abstractmethod
    def sent_by_cancel(self, name: str) -> Mapping[str, Any]: ...

    def listed(self, request: Request, *states: State, by: str | None = None) -> list[str]:
        """Names of the orders in these states, narrowed as the request asks."""
        wanted = None if by is None else request.fields.get(by)
        return [
            name
            for name, state in self.orders.items()
            if state in states and wanted in {None, name}
        ]

    def end(self, name: str) -> None:
        self.orders[name] = State.CANCELLED

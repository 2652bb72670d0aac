"""One request on its way to a handler, and a reply that is not a plain 200."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request; `account` is empty for public endpoints."""

    exchange: Exchange
    params: dict[str, str]
    account: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A body with its HTTP status."""

    status: int
    body: Any


Handler = Callable[[Call], Any]

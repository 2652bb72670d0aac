"""One request on its way to a handler, what an endpoint takes, and a reply that is no plain 200."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from simulator.exchange import Exchange
from simulator.marketplace import Marketplace
from simulator.venue import Venue


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request; `account` is empty for public endpoints."""

    exchange: Exchange
    market: Marketplace[Venue[Any]]
    params: dict[str, str]
    account: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A body with its HTTP status."""

    status: int
    body: Any


Handler = Callable[[Call], Any]


class Access(Enum):
    """What a caller has to show."""

    PUBLIC = "nothing"
    KEYED = "an API key"
    SIGNED = "an API key and a signature"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call: what it costs, what it takes, who may make it."""

    handler: Handler
    weight: int
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    access: Access = Access.PUBLIC


Endpoints = dict[tuple[str, str], Endpoint]

_AUTH_REQUIRED = frozenset({"timestamp", "signature"})
_AUTH_OPTIONAL = frozenset({"recvWindow"})


def public(handler: Handler, weight: int, required: str = "", optional: str = "") -> Endpoint:
    return Endpoint(handler, weight, frozenset(required.split()), frozenset(optional.split()))


def keyed(handler: Handler, weight: int, required: str = "", optional: str = "") -> Endpoint:
    return Endpoint(
        handler,
        weight,
        frozenset(required.split()),
        frozenset(optional.split()),
        access=Access.KEYED,
    )


def signed(handler: Handler, weight: int, required: str = "", optional: str = "") -> Endpoint:
    return Endpoint(
        handler,
        weight,
        frozenset(required.split()) | _AUTH_REQUIRED,
        frozenset(optional.split()) | _AUTH_OPTIONAL,
        access=Access.SIGNED,
    )

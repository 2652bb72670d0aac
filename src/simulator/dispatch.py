"""From a request, however it came, to its handler: limits, credentials, parameter names."""

from dataclasses import dataclass
from typing import Any

from simulator import futures_endpoints, spot_endpoints
from simulator import params as parameters
from simulator.call import Access, Call
from simulator.errors import VenueError
from simulator.exchange import Exchange
from simulator.ledger import FUTURES, SPOT
from simulator.marketplace import Marketplace
from simulator.venue import Venue

ENDPOINTS = {
    SPOT: spot_endpoints.ENDPOINTS,
    FUTURES: futures_endpoints.ENDPOINTS,
}


@dataclass(frozen=True, slots=True)
class Request:
    """What was sent, in the words of REST; `signed` is the text that the signature is over."""

    method: str
    path: str
    params: dict[str, str]
    api_key: str | None
    signed: str


def market_of(exchange: Exchange, path: str) -> Marketplace[Venue[Any]]:
    return exchange.markets[FUTURES if path.startswith("/fapi/") else SPOT]


def answer(exchange: Exchange, request: Request) -> object:
    """Carry a request out; its result, or the refusal as `VenueError`."""
    now_ms = exchange.now_ms()
    market = market_of(exchange, request.path)
    endpoint = ENDPOINTS[market.name].get((request.method, request.path))
    market.rate_limiter.spend(endpoint.weight if endpoint else 1, now_ms)
    if endpoint is None:
        raise VenueError(-1000, f"No such endpoint: {request.path}", status=404)
    account = ""
    if endpoint.access is not Access.PUBLIC:
        owner = exchange.authenticator.account(request.api_key)
        account = owner.name
        if endpoint.access is Access.SIGNED:
            exchange.authenticator.verify(owner, request.signed, request.params, now_ms)
    parameters.check_names(request.params, endpoint.required, endpoint.optional)
    return endpoint.handler(Call(exchange, market, request.params, account, now_ms))

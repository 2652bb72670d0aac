"""The REST face: HTTP in and out, and faults around each request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from aiohttp import web

from simulator import params as parameters
from simulator.call import Reply
from simulator.dispatch import Request, answer, market_of
from simulator.errors import VenueError
from simulator.exchange import Exchange
from simulator.faults import Fault

BODY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """Query string and form body exactly as sent: together they are what was signed."""

    query: str
    body: str


ORDER_PATHS = frozenset(
    {
        "/api/v3/order",
        "/api/v3/order/cancelReplace",
        "/fapi/v1/order",
        "/fapi/v1/batchOrders",
    }
)


class RestApi:
    """Answers every HTTP request of the trading host."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @web.middleware
    async def refuse_in_maintenance(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """503 on everything, new WebSockets included, while the fault lasts."""
        if self._exchange.faults.in_maintenance():
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="Under maintenance.")
        return await handler(request)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request: faults before, the call itself, faults after."""
        sent = Sent(request.raw_path.partition("?")[2], await request.text())
        fault = self._exchange.faults.for_request(request.method, request.path, _symbol_in(sent))
        if fault is None:
            return self._answer(request, sent)
        instead = await self._before(fault, request)
        if instead is not None:
            return instead
        return await self._after(fault, request, self._answer(request, sent))

    async def _before(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        """What an armed fault does instead of processing the request, if so."""
        match fault.kind:
            case "request_delayed":
                await asyncio.sleep(fault.delay_s)
            case "timeout_lost":
                await asyncio.sleep(fault.delay_s)
                return _dropped(request)
            case "disconnect" if fault.when == "before":
                return _dropped(request)
            case "error":
                return _faulty(fault)
            case "rate_limit":
                return _refusal(
                    VenueError(
                        -1003,
                        "Too many requests.",
                        status=fault.status or 429,
                        retry_after_s=fault.retry_after_s,
                    )
                )
        return None

    async def _after(
        self, fault: Fault, request: web.Request, reply: web.Response
    ) -> web.StreamResponse:
        """What an armed fault does to the reply of a processed request."""
        match fault.kind:
            case "timeout_accepted":
                await asyncio.sleep(fault.delay_s)
                return _dropped(request)
            case "reply_delayed":
                await asyncio.sleep(fault.delay_s)
            case "disconnect":
                return _dropped(request)
            case "error_after":
                return _faulty(fault)
        return reply

    def _answer(self, request: web.Request, sent: Sent) -> web.Response:
        try:
            result = self._call(request, sent)
        except VenueError as error:
            reply = _refusal(error)
        else:
            reply = (
                _json(result.status, result.body)
                if isinstance(result, Reply)
                else _json(200, result)
            )
        reply.headers.update(self._headers(request))
        return reply

    def _call(self, request: web.Request, sent: Sent) -> object:
        return answer(
            self._exchange,
            Request(
                method=request.method,
                path=request.path,
                params=parameters.split(sent.query, sent.body),
                api_key=request.headers.get("X-MBX-APIKEY"),
                signed=parameters.unsigned(sent.query) + parameters.unsigned(sent.body),
            ),
        )

    def _headers(self, request: web.Request) -> dict[str, str]:
        """What the caller has used up."""
        exchange = self._exchange
        limiter = market_of(exchange, request.path).rate_limiter
        headers = {"X-MBX-USED-WEIGHT-1M": str(limiter.used_weight)}
        if request.path in ORDER_PATHS and request.method in {"POST", "PUT"}:
            owner = exchange.authenticator.find(request.headers.get("X-MBX-APIKEY"))
            if owner is not None:
                count = limiter.order_count[owner.name]
                headers["X-MBX-ORDER-COUNT-10S"] = str(count)
        return headers


def _refusal(error: VenueError) -> web.Response:
    reply = _json(error.status, error.document())
    if error.retry_after_s is not None:
        reply.headers["Retry-After"] = str(error.retry_after_s)
    return reply


def _symbol_in(sent: Sent) -> str | None:
    for part in (*sent.query.split("&"), *sent.body.split("&")):
        if part.startswith("symbol="):
            return part.removeprefix("symbol=")
    return None


def _faulty(fault: Fault) -> web.Response:
    status = fault.status or HTTPStatus.SERVICE_UNAVAILABLE
    if fault.body is None:
        # As a gateway in front of the venue answers: no JSON.
        return web.Response(status=status, text="Injected error.")
    return _json(status, fault.body)


def _dropped(request: web.Request) -> web.Response:
    """Close the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _json(status: int, body: object) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        charset="utf-8",
    )

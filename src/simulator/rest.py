"""The REST face: endpoint table, limits, signatures, parameters, faults around each request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from aiohttp import web

from simulator import market_api, trading_api
from simulator import params as parameters
from simulator.call import Call, Handler, Reply
from simulator.errors import VenueError
from simulator.exchange import Exchange
from simulator.faults import Fault

BODY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call: what it costs, what it takes, who may make it."""

    handler: Handler
    weight: int
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """Query string and form body exactly as sent: together they are what was signed."""

    query: str
    body: str


_AUTH_REQUIRED = frozenset({"timestamp", "signature"})
_AUTH_OPTIONAL = frozenset({"recvWindow"})


def _public(handler: Handler, weight: int, required: str = "", optional: str = "") -> Endpoint:
    return Endpoint(handler, weight, frozenset(required.split()), frozenset(optional.split()))


def _signed(handler: Handler, weight: int, required: str = "", optional: str = "") -> Endpoint:
    return Endpoint(
        handler,
        weight,
        frozenset(required.split()) | _AUTH_REQUIRED,
        frozenset(optional.split()) | _AUTH_OPTIONAL,
        signed=True,
    )


_ORDER = " ".join(parameters.ORDER_REQUIRED), " ".join(parameters.ORDER_OPTIONAL)
_WINDOW = "startTime endTime limit"

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/api/v3/ping"): _public(market_api.ping, 1),
    ("GET", "/api/v3/time"): _public(market_api.server_time, 1),
    ("GET", "/api/v3/exchangeInfo"): _public(
        market_api.exchange_info, 20, "", "symbol symbols permissions"
    ),
    ("GET", "/api/v3/depth"): _public(market_api.depth, 5, "symbol", "limit"),
    ("GET", "/api/v3/trades"): _public(market_api.recent_trades, 25, "symbol", "limit"),
    ("GET", "/api/v3/aggTrades"): _public(
        market_api.aggregate_trades, 4, "symbol", f"fromId {_WINDOW}"
    ),
    ("GET", "/api/v3/klines"): _public(market_api.klines, 2, "symbol interval", _WINDOW),
    ("GET", "/api/v3/ticker/24hr"): _public(market_api.ticker_day, 2, "", "symbol symbols"),
    ("GET", "/api/v3/ticker/price"): _public(market_api.ticker_price, 2, "", "symbol symbols"),
    ("GET", "/api/v3/ticker/bookTicker"): _public(market_api.book_ticker, 2, "", "symbol symbols"),
    ("POST", "/api/v3/order"): _signed(trading_api.place_order, 1, *_ORDER),
    ("POST", "/api/v3/order/test"): _signed(trading_api.test_order, 1, *_ORDER),
    ("GET", "/api/v3/order"): _signed(
        trading_api.query_order, 4, "symbol", "orderId origClientOrderId"
    ),
    ("DELETE", "/api/v3/order"): _signed(
        trading_api.cancel_order, 1, "symbol", "orderId origClientOrderId newClientOrderId"
    ),
    ("POST", "/api/v3/order/cancelReplace"): _signed(
        trading_api.cancel_replace,
        1,
        f"{_ORDER[0]} cancelReplaceMode",
        f"{_ORDER[1]} cancelOrderId cancelOrigClientOrderId cancelNewClientOrderId",
    ),
    ("GET", "/api/v3/openOrders"): _signed(trading_api.open_orders, 6, "", "symbol"),
    ("DELETE", "/api/v3/openOrders"): _signed(trading_api.cancel_all, 1, "symbol"),
    ("GET", "/api/v3/allOrders"): _signed(
        trading_api.all_orders, 20, "symbol", f"orderId {_WINDOW}"
    ),
    ("GET", "/api/v3/myTrades"): _signed(
        trading_api.my_trades, 20, "symbol", f"orderId fromId {_WINDOW}"
    ),
    ("GET", "/api/v3/account"): _signed(trading_api.account, 20, "", "omitZeroBalances"),
    ("GET", "/sapi/v1/asset/tradeFee"): _signed(trading_api.trade_fees, 1, "", "symbol"),
}


ORDER_PATHS = frozenset({"/api/v3/order", "/api/v3/order/cancelReplace"})


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
        exchange = self._exchange
        now_ms = exchange.now_ms()
        endpoint = ENDPOINTS.get((request.method, request.path))
        exchange.rate_limiter.spend(endpoint.weight if endpoint else 1, now_ms)
        if endpoint is None:
            raise VenueError(-1000, f"No such endpoint: {request.path}", status=404)
        params = parameters.split(sent.query, sent.body)
        account = ""
        if endpoint.signed:
            owner = exchange.authenticator.account(request.headers.get("X-MBX-APIKEY"))
            exchange.authenticator.verify(
                owner,
                parameters.unsigned(sent.query) + parameters.unsigned(sent.body),
                params,
                now_ms,
            )
            account = owner.name
        parameters.check_names(params, endpoint.required, endpoint.optional)
        return endpoint.handler(Call(exchange, params, account, now_ms))

    def _headers(self, request: web.Request) -> dict[str, str]:
        """What the caller has used up."""
        exchange = self._exchange
        headers = {"X-MBX-USED-WEIGHT-1M": str(exchange.rate_limiter.used_weight)}
        if request.path in ORDER_PATHS and request.method == "POST":
            owner = exchange.authenticator.find(request.headers.get("X-MBX-APIKEY"))
            if owner is not None:
                count = exchange.rate_limiter.order_count[owner.name]
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

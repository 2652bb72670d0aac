"""The control API: the exchange's truth, a hand on the market, a person's orders, faults."""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from simulator import futures_params, params, wire, wire_futures
from simulator.config import ConfigurationError
from simulator.control_state import describe_futures, describe_spot
from simulator.errors import VenueError, no_such_order
from simulator.exchange import Exchange
from simulator.faults import IMMEDIATE_KINDS
from simulator.ledger import FUTURES, SPOT
from simulator.marketplace import Marketplace
from simulator.records import Side
from simulator.units import parse_e8

BODY_BYTES_MAX = 256 * 1024

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlApi:
    """Plain HTTP on loopback, behind the bearer token of `simulator.json`."""

    def __init__(self, exchange: Exchange, token: str) -> None:
        self._exchange = exchange
        self._token = token

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=BODY_BYTES_MAX)
        application.add_routes(
            [
                web.get("/control/ledger", self._ledger),
                web.get("/control/state", self._state),
                web.post("/control/price", self._price),
                web.post("/control/trade", self._trade),
                web.post("/control/filters", self._filters),
                web.post("/control/funding", self._funding),
                web.post("/control/order", self._order),
                web.post("/control/cancel", self._cancel),
                web.post("/control/deposit", self._deposit),
                web.post("/control/freeze", self._freeze),
                web.post("/control/key", self._key),
                web.get("/control/faults", self._list_faults),
                web.post("/control/faults", self._arm_faults),
                web.delete("/control/faults", self._clear_faults),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Ask for the token; turn what a request got wrong into a 4xx that says so."""
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return _json({"error": "wrong or missing bearer token"}, status=401)
        try:
            return await handler(request)
        except VenueError as error:
            return _json(error.document(), status=error.status)
        except KeyError as error:
            return _json({"error": f"missing or unknown: {error}"}, status=422)
        except (ValueError, TypeError, ConfigurationError) as error:
            return _json({"error": str(error)}, status=422)

    async def _ledger(self, request: web.Request) -> web.StreamResponse:
        """Records behind `after`, at most `limit`; ask again while `last_seq` is ahead."""
        after = int(request.query.get("after", "0"))
        lines = self._exchange.ledger.read_after(after, int(request.query.get("limit", "10000")))
        last_seq = self._exchange.ledger.last_seq
        body = b'{"last_seq":%d,"records":[%s]}' % (last_seq, b",".join(lines))
        return web.Response(body=body, content_type="application/json")

    async def _state(self, _: web.Request) -> web.StreamResponse:
        """Spot at the top, futures under their name."""
        exchange = self._exchange
        return _json(
            {
                "time_ms": exchange.now_ms(),
                "last_seq": exchange.ledger.last_seq,
                **describe_spot(exchange.spot),
                FUTURES: describe_futures(exchange.futures),
            }
        )

    async def _price(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        price_e8, now_ms = parse_e8(body["price"]), self._exchange.now_ms()
        self._market(body).move_price(body["symbol"], price_e8, now_ms)
        self._exchange.commit()
        return _json({})

    async def _trade(self, request: web.Request) -> web.StreamResponse:
        """One trade of the market itself: `side` is the aggressor's."""
        body = await _body(request)
        self._market(body).trade_by_hand(
            body["symbol"],
            parse_e8(body["price"]),
            parse_e8(body["quantity"]),
            self._exchange.now_ms(),
            buyer_is_maker=Side(body["side"]) is Side.SELL,
        )
        self._exchange.commit()
        return _json({})

    async def _filters(self, request: web.Request) -> web.StreamResponse:
        """Other rules from now on: `filters` holds tick_size, step_size, min_quantity, …"""
        body = await _body(request)
        venue = self._market(body).venue
        venue.change_rules(body["symbol"], body["filters"], self._exchange.now_ms())
        self._exchange.commit()
        return _json({})

    async def _funding(self, request: web.Request) -> web.StreamResponse:
        """Settle now, `symbol` or all of them, at `rate` or at the one announced."""
        body = await _body(request)
        futures = self._exchange.futures
        symbols = [futures.symbol(body["symbol"]).name] if "symbol" in body else futures.symbols
        rate_e8 = parse_e8(body["rate"]) if "rate" in body else None
        futures.settle_funding(symbols, self._exchange.now_ms(), rate_e8=rate_e8)
        self._exchange.commit()
        return _json({})

    async def _order(self, request: web.Request) -> web.StreamResponse:
        """As a person would by hand: the venue's order fields, on `account` (the first one)."""
        body = await _body(request)
        market = self._market(body)
        account = self._account(body.pop("account", self._exchange.config.accounts[0].name))
        body.pop("market", None)
        body.setdefault("newClientOrderId", _persons_id())
        if body.get("type") == "LIMIT":
            body.setdefault("timeInForce", "GTC")
        if market.name == FUTURES:
            params.check_names(body, futures_params.ORDER_REQUIRED, futures_params.ORDER_OPTIONAL)
            order = futures_params.order_request(account, body)
        else:
            params.check_names(body, params.ORDER_REQUIRED, params.ORDER_OPTIONAL)
            order = params.order_request(account, body, generated_id=_persons_id())
        try:
            placed = market.venue.place(order, self._exchange.now_ms())
        finally:
            self._exchange.commit()
        if market.name == FUTURES:
            return _json(wire_futures.order_reply(placed, "RESULT"))
        return _json(wire.order_reply(placed, "FULL"))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        """`{"symbol", "order_id"}` or `{"symbol", "all": true}`, of every account."""
        body = await _body(request)
        venue = self._market(body).venue
        orders = venue.state.open_orders[body["symbol"]]
        chosen = list(orders.values()) if body.get("all") else [orders.get(body["order_id"])]
        for order in chosen:
            if order is None:
                raise no_such_order()
            venue.cancel(order, _persons_id(), self._exchange.now_ms())
        self._exchange.commit()
        return _json({"cancelled": len(chosen)})

    async def _deposit(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        amount_e8 = parse_e8(body["amount"])
        account = self._account(body["account"])
        venue = self._market(body).venue
        venue.deposit(account, body["asset"], amount_e8, self._exchange.now_ms())
        self._exchange.commit()
        return _json({})

    async def _key(self, request: web.Request) -> web.StreamResponse:
        """Another key for an account until the exchange ends; the one before is refused."""
        body = await _body(request)
        self._exchange.authenticator.rotate(
            self._account(body["account"]), body["api_key"], body["api_secret"]
        )
        return _json({})

    def _market(self, body: Mapping[str, Any]) -> Marketplace[Any]:
        """The market that a body names, spot by default."""
        return self._exchange.markets[body.get("market", SPOT)]

    def _account(self, name: str) -> str:
        if name not in {account.name for account in self._exchange.config.accounts}:
            raise KeyError(name)
        return name

    async def _freeze(self, request: web.Request) -> web.StreamResponse:
        """`{"symbol": name, "frozen": bool}`: the market stands still, orders do not.

        "all" means every symbol of both markets, or of the one that is named.
        """
        body = await _body(request)
        symbol, frozen = body["symbol"], bool(body["frozen"])
        if symbol != "all":
            chosen = [self._market(body).feeds[symbol]]
        else:
            markets = [self._market(body)] if "market" in body else self._exchange.markets.values()
            chosen = [feed for market in markets for feed in market.feeds.values()]
        for feed in chosen:
            feed.frozen = frozen
        return _json({})

    async def _list_faults(self, _: web.Request) -> web.StreamResponse:
        return _json(self._exchange.faults.describe())

    async def _arm_faults(self, request: web.Request) -> web.StreamResponse:
        """A list of faults; all of them are checked before any is armed."""
        faults = self._exchange.faults
        parsed = [faults.parse(item) for item in orjson.loads(await request.read())]
        for fault in parsed:
            if fault.kind in IMMEDIATE_KINDS:
                self._exchange.apply_fault(fault)
            else:
                faults.arm(fault)
        return _json(faults.describe())

    async def _clear_faults(self, _: web.Request) -> web.StreamResponse:
        self._exchange.clear_faults()
        return _json([])


async def _body(request: web.Request) -> dict[str, Any]:
    body = orjson.loads(await request.read())
    if not isinstance(body, dict):
        msg = "expected a JSON object"
        raise TypeError(msg)
    return body


def _persons_id() -> str:
    """Orders and cancels of a person can be told by their ids."""
    return f"web_{secrets.token_hex(8)}"


def _json(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")

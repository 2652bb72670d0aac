"""The control API: the exchange's truth, a hand on the market, a person's orders, faults."""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from simulator import params, wire
from simulator.config import ConfigurationError
from simulator.errors import VenueError, no_such_order
from simulator.exchange import Exchange
from simulator.faults import IMMEDIATE_KINDS
from simulator.units import format_e8, parse_e8

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
                web.post("/control/order", self._order),
                web.post("/control/cancel", self._cancel),
                web.post("/control/deposit", self._deposit),
                web.post("/control/freeze", self._freeze),
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
        exchange = self._exchange
        state = exchange.venue.state
        accounts = {
            account: {
                "balances": {
                    asset: {
                        "free": format_e8(balance.free_e8),
                        "locked": format_e8(balance.locked_e8),
                    }
                    for asset, balance in balances.items()
                },
                "initial": _amounts(state.initial_e8[account]),
                "deposits": _amounts(state.deposits_e8[account]),
                "open_orders": [
                    wire.order(order)
                    for orders in state.open_orders.values()
                    for order in orders.values()
                    if order.account == account
                ],
            }
            for account, balances in state.balances.items()
        }
        return _json(
            {
                "time_ms": exchange.now_ms(),
                "last_seq": exchange.ledger.last_seq,
                "accounts": accounts,
                "fees": _amounts(state.fees_e8),
                "counterparty": _amounts(state.counterparty_e8),
                "orders_rejected": state.rejected_count,
                "last_prices": _amounts(exchange.venue.last_price_e8),
                "last_trade_ids": state.last_trade_id,
                "frozen": [symbol for symbol, feed in exchange.feeds.items() if feed.frozen],
            }
        )

    async def _price(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        self._exchange.move_price(body["symbol"], parse_e8(body["price"]))
        return _json({})

    async def _order(self, request: web.Request) -> web.StreamResponse:
        """As a person would by hand: the venue's order fields, on `account` (the first one)."""
        body = await _body(request)
        account = self._account(body.pop("account", self._exchange.config.accounts[0].name))
        generated_id = f"web_{secrets.token_hex(8)}"
        if body.get("type") == "LIMIT":
            body.setdefault("timeInForce", "GTC")
        params.check_names(body, params.ORDER_REQUIRED, params.ORDER_OPTIONAL)
        order = params.order_request(account, body, generated_id=generated_id)
        try:
            placed = self._exchange.venue.place(order, self._exchange.now_ms())
        finally:
            self._exchange.commit()
        return _json(wire.order_reply(placed, "FULL"))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        """`{"symbol", "order_id"}` or `{"symbol", "all": true}`, of every account."""
        body = await _body(request)
        orders = self._exchange.venue.state.open_orders[body["symbol"]]
        chosen = list(orders.values()) if body.get("all") else [orders.get(body["order_id"])]
        cancel_id = f"web_{secrets.token_hex(8)}"
        for order in chosen:
            if order is None:
                raise no_such_order()
            self._exchange.venue.cancel(order, cancel_id, self._exchange.now_ms())
        self._exchange.commit()
        return _json({"cancelled": len(chosen)})

    async def _deposit(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        amount_e8 = parse_e8(body["amount"])
        account = self._account(body["account"])
        self._exchange.venue.deposit(account, body["asset"], amount_e8, self._exchange.now_ms())
        self._exchange.commit()
        return _json({})

    def _account(self, name: str) -> str:
        if name not in {account.name for account in self._exchange.config.accounts}:
            raise KeyError(name)
        return name

    async def _freeze(self, request: web.Request) -> web.StreamResponse:
        """`{"symbol": name or "all", "frozen": bool}`: the market stands still, orders do not."""
        body = await _body(request)
        symbol, frozen = body["symbol"], bool(body["frozen"])
        feeds = self._exchange.feeds
        for feed in feeds.values() if symbol == "all" else [feeds[symbol]]:
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


def _amounts(amounts: Mapping[str, int]) -> dict[str, str]:
    return {name: format_e8(amount) for name, amount in amounts.items()}


def _json(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")

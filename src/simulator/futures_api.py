"""Signed endpoints of futures: orders, batches of them, own trades."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from simulator import futures_params, params, wire_futures
from simulator.call import Call
from simulator.errors import (
    FuturesError,
    VenueError,
    cancel_rejected,
    missing_parameter,
    no_such_order,
)
from simulator.futures_venue import FuturesVenue
from simulator.records import OrderType, Side
from simulator.state import Order

CANCEL_BATCH_MAX = 10
_AMEND_NAMES = frozenset({"orderId", "origClientOrderId", "positionSide"})
_WEEK_MS = 7 * 86_400_000


def place(call: Call) -> Any:
    return _place(call, call.params)


def test_order(call: Call) -> Any:
    """Checks the parameters only; nothing is placed."""
    call.market.venue.rules(call.params["symbol"])
    futures_params.order_request(call.account, call.params)
    return {}


def place_batch(call: Call) -> Any:
    """At most five orders; each one succeeds or fails on its own."""

    def place_one(sent: dict[str, str]) -> Any:
        params.check_names(sent, futures_params.ORDER_REQUIRED, futures_params.ORDER_OPTIONAL)
        return _place(call, sent)

    return _each(futures_params.batch(call.params), place_one)


def query(call: Call) -> Any:
    order = _named(call, call.params)
    if order is None:
        raise no_such_order()
    return wire_futures.order(order)


def query_open(call: Call) -> Any:
    order = _named(call, call.params)
    if order is None or not order.is_open:
        raise no_such_order()
    return wire_futures.order(order)


def cancel(call: Call) -> Any:
    return _cancel(call, _named(call, call.params))


def cancel_batch(call: Call) -> Any:
    """By order ids or by client ids, at most ten; each one succeeds or fails on its own."""
    symbol = call.params["symbol"]
    state = _venue(call).state
    _venue(call).rules(symbol)
    order_ids = futures_params.texts(call.params, "orderIdList", "orderidlist")
    client_ids = futures_params.texts(call.params, "origClientOrderIdList", "origclientorderidlist")
    if not order_ids and not client_ids:
        raise missing_parameter("orderIdList")
    if max(len(order_ids), len(client_ids)) > CANCEL_BATCH_MAX:
        raise FuturesError.BATCH_SIZE.error()
    if order_ids:
        found = [state.order(call.account, symbol, int(text)) for text in order_ids]
    else:
        found = [state.order_by_client_id(call.account, symbol, text) for text in client_ids]
    return _each(found, lambda order: _cancel(call, order))


def cancel_all(call: Call) -> Any:
    venue = _venue(call)
    symbol = call.params["symbol"]
    venue.rules(symbol)
    for order in venue.state.open_orders_of(call.account, symbol):
        venue.cancel(order, order.client_order_id, call.now_ms)
    call.exchange.commit()
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def amend(call: Call) -> Any:
    return _amend(call, call.params)


def amend_batch(call: Call) -> Any:
    required = frozenset({"symbol", "side", "quantity", "price"})

    def amend_one(sent: dict[str, str]) -> Any:
        params.check_names(sent, required, _AMEND_NAMES)
        return _amend(call, sent)

    return _each(futures_params.batch(call.params), amend_one)


def countdown(call: Call) -> Any:
    """The dead-man switch: orders of the symbol are cancelled unless this is repeated in time."""
    symbol = call.params["symbol"]
    _venue(call).rules(symbol)
    countdown_ms = params.integer(call.params, "countdownTime") or 0
    _venue(call).set_countdown(call.account, symbol, countdown_ms, call.now_ms)
    call.exchange.commit()
    return {"symbol": symbol, "countdownTime": str(countdown_ms)}


def open_orders(call: Call) -> Any:
    venue = _venue(call)
    symbols = [call.params["symbol"]] if "symbol" in call.params else list(venue.state.rules)
    for symbol in symbols:
        venue.rules(symbol)
    return [
        wire_futures.order(order)
        for symbol in symbols
        for order in venue.state.open_orders_of(call.account, symbol)
    ]


def all_orders(call: Call) -> Any:
    venue, symbol = _venue(call), call.params["symbol"]
    venue.rules(symbol)
    most = params.limit(call.params, default=500, most=1000)
    from_id = params.integer(call.params, "orderId")
    first_ms, last_ms = _window(call)
    found = [
        order
        for order in venue.state.orders[symbol].values()
        if order.account == call.account
        and (from_id is None or order.order_id >= from_id)
        and first_ms <= order.time_ms <= last_ms
    ]
    forwards = from_id is not None or "startTime" in call.params
    return [wire_futures.order(order) for order in (found[:most] if forwards else found[-most:])]


def user_trades(call: Call) -> Any:
    venue, symbol = _venue(call), call.params["symbol"]
    venue.rules(symbol)
    most = params.limit(call.params, default=500, most=1000)
    from_id = params.integer(call.params, "fromId")
    order_id = params.integer(call.params, "orderId")
    if from_id is not None and {"startTime", "endTime"} & call.params.keys():
        raise VenueError(-1128, "Combination of optional parameters invalid.")
    first_ms, last_ms = _window(call)
    fills = venue.state.fills[call.account, symbol]
    begin = bisect_left(fills, from_id or 0, key=lambda fill: fill.trade_id)
    found = [
        fill
        for fill in fills[begin:]
        if (order_id is None or fill.order_id == order_id) and first_ms <= fill.time_ms <= last_ms
    ]
    forwards = from_id is not None or "startTime" in call.params
    return [wire_futures.own_trade(fill) for fill in (found[:most] if forwards else found[-most:])]


def force_orders(call: Call) -> Any:
    """The account's liquidations."""
    state = _venue(call).state
    most = params.limit(call.params, default=50, most=100)
    first_ms, last_ms = _window(call)
    if call.params.get("autoCloseType", "LIQUIDATION") != "LIQUIDATION":
        return []
    found = [
        order
        for symbol, orders in state.orders.items()
        for order in orders.values()
        if order.account == call.account
        and order.type is OrderType.LIQUIDATION
        and call.params.get("symbol", symbol) == symbol
        and first_ms <= order.time_ms <= last_ms
    ]
    return [wire_futures.order(order) for order in found[-most:]]


def _venue(call: Call) -> FuturesVenue:
    return call.exchange.futures.venue


def _place(call: Call, sent: params.Params) -> Any:
    _venue(call).rules(sent["symbol"])
    detail = sent.get("newOrderRespType", "ACK")
    if detail not in {"ACK", "RESULT"}:
        raise VenueError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    request = futures_params.order_request(call.account, sent)
    call.market.rate_limiter.count_order(call.account, call.now_ms)
    try:
        order = _venue(call).place(request, call.now_ms)
    finally:
        call.exchange.commit()
    return wire_futures.order_reply(order, detail)


def _amend(call: Call, sent: params.Params) -> Any:
    order = _named(call, sent)
    if order is None or not order.is_open:
        raise no_such_order()
    futures_params.check_position_side(sent)
    side = params.word(sent["side"], Side, VenueError(-1117, "Invalid side."))
    if side is not order.side:
        raise VenueError(-1130, "Data sent for parameter 'side' is not valid.")
    price_e8 = params.amount_e8(sent["price"], "price")
    call.market.rate_limiter.count_order(call.account, call.now_ms)
    try:
        _venue(call).amend(order, price_e8, futures_params.quantity_e8(sent), call.now_ms)
    finally:
        call.exchange.commit()
    return wire_futures.order_reply(order, "RESULT")


def _cancel(call: Call, order: Order | None) -> Any:
    if order is None:
        raise cancel_rejected()
    _venue(call).cancel(order, order.client_order_id, call.now_ms)
    call.exchange.commit()
    return wire_futures.order_reply(order, "RESULT")


def _named(call: Call, sent: params.Params) -> Order | None:
    """The account's order named by its id, or else by its client id; one of them must be sent."""
    symbol = sent["symbol"]
    _venue(call).rules(symbol)
    order_id = params.integer(sent, "orderId")
    if order_id is not None:
        return _venue(call).state.order(call.account, symbol, order_id)
    client_order_id = sent.get("origClientOrderId")
    if client_order_id is None:
        raise missing_parameter("origClientOrderId")
    return _venue(call).state.order_by_client_id(call.account, symbol, client_order_id)


def _each(items: list[Any], handle: Callable[[Any], Any]) -> list[Any]:
    """What each item led to: its answer or its refusal."""
    results: list[Any] = []
    for item in items:
        try:
            results.append(handle(item))
        except VenueError as error:
            results.append(error.document())
    return results


def _window(call: Call) -> tuple[int, int]:
    first_ms = params.integer(call.params, "startTime")
    last_ms = params.integer(call.params, "endTime")
    if first_ms is not None and last_ms is not None and last_ms - first_ms > _WEEK_MS:
        raise VenueError(-4166, "Search window is restricted to recent 7 days only.")
    return first_ms or 0, last_ms if last_ms is not None else call.now_ms

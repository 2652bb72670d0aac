"""Signed endpoints of spot: orders, cancels, own trades, the account."""

from bisect import bisect_left
from typing import Any

from simulator import params, wire
from simulator.call import Call, Reply
from simulator.errors import VenueError, cancel_rejected, missing_parameter, no_such_order
from simulator.state import Order

_DAY_MS = 86_400_000


def place_order(call: Call) -> Any:
    detail = params.reply_detail(call.params)
    order = _place(call)
    return wire.order_reply(order, detail)


def test_order(call: Call) -> Any:
    """Checks the parameters only; nothing is placed."""
    call.exchange.spot.venue.rules(call.params["symbol"])
    params.order_request(call.account, call.params, generated_id=params.generated_client_id())
    return {}


def cancel_order(call: Call) -> Any:
    call.exchange.spot.venue.rules(call.params["symbol"])
    order = _named_order(call, "orderId", "origClientOrderId")
    if order is None:
        raise cancel_rejected()
    cancel_id = params.client_id(call.params, "newClientOrderId") or params.generated_client_id()
    _cancel(call, order, cancel_id)
    return wire.cancel_reply(order, cancel_id)


def cancel_all(call: Call) -> Any:
    symbol = call.params["symbol"]
    call.exchange.spot.venue.rules(symbol)
    orders = _open_orders(call, symbol)
    if not orders:
        raise cancel_rejected()
    cancel_id = params.generated_client_id()
    for order in orders:
        call.exchange.spot.venue.cancel(order, cancel_id, call.now_ms)
    call.exchange.commit()
    return [wire.cancel_reply(order, cancel_id) for order in orders]


def cancel_replace(call: Call) -> Any:
    """Cancel one order and place another; each part succeeds or fails on its own."""
    mode = call.params["cancelReplaceMode"]
    if mode not in {"STOP_ON_FAILURE", "ALLOW_FAILURE"}:
        raise VenueError(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
    call.exchange.spot.venue.rules(call.params["symbol"])
    detail = params.reply_detail(call.params)
    cancel_id = (
        params.client_id(call.params, "cancelNewClientOrderId") or params.generated_client_id()
    )
    old = _named_order(call, "cancelOrderId", "cancelOrigClientOrderId")
    outcome: dict[str, Any] = {
        "cancelResult": "SUCCESS",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": None,
        "newOrderResponse": None,
    }
    try:
        if old is None:
            raise cancel_rejected()
        _cancel(call, old, cancel_id)
        outcome["cancelResponse"] = wire.cancel_reply(old, cancel_id)
    except VenueError as error:
        outcome |= {"cancelResult": "FAILURE", "cancelResponse": error.document()}
    if outcome["cancelResult"] == "SUCCESS" or mode == "ALLOW_FAILURE":
        try:
            outcome["newOrderResponse"] = wire.order_reply(_place(call, report=True), detail)
            outcome["newOrderResult"] = "SUCCESS"
        except VenueError as error:
            outcome |= {"newOrderResult": "FAILURE", "newOrderResponse": error.document()}
    results = {outcome["cancelResult"], outcome["newOrderResult"]}
    if results == {"SUCCESS"}:
        return outcome
    if "SUCCESS" in results:
        message = "Order cancel-replace partially failed."
        return Reply(409, {"code": -2021, "msg": message, "data": outcome})
    return Reply(400, {"code": -2022, "msg": "Order cancel-replace failed.", "data": outcome})


def query_order(call: Call) -> Any:
    call.exchange.spot.venue.rules(call.params["symbol"])
    order = _named_order(call, "orderId", "origClientOrderId")
    if order is None:
        raise no_such_order()
    return wire.order(order)


def open_orders(call: Call) -> Any:
    symbol = call.params.get("symbol")
    if symbol is not None:
        call.exchange.spot.venue.rules(symbol)
    symbols = [symbol] if symbol else call.exchange.spot.symbols
    return [wire.order(order) for name in symbols for order in _open_orders(call, name)]


def all_orders(call: Call) -> Any:
    symbol = call.params["symbol"]
    call.exchange.spot.venue.rules(symbol)
    most = params.limit(call.params, default=500, most=1000)
    from_id = params.integer(call.params, "orderId")
    first_ms, last_ms = _window(call)
    found = [
        order
        for order in call.exchange.spot.venue.state.orders[symbol].values()
        if order.account == call.account
        and (from_id is None or order.order_id >= from_id)
        and first_ms <= order.time_ms <= last_ms
    ]
    forwards = from_id is not None or "startTime" in call.params
    return [wire.order(order) for order in (found[:most] if forwards else found[-most:])]


def my_trades(call: Call) -> Any:
    symbol = call.params["symbol"]
    call.exchange.spot.venue.rules(symbol)
    most = params.limit(call.params, default=500, most=1000)
    from_id = params.integer(call.params, "fromId")
    order_id = params.integer(call.params, "orderId")
    if from_id is not None and {"startTime", "endTime"} & call.params.keys():
        raise VenueError(-1128, "Combination of optional parameters invalid.")
    first_ms, last_ms = _window(call)
    fills = call.exchange.spot.venue.state.fills[call.account, symbol]
    begin = bisect_left(fills, from_id or 0, key=lambda fill: fill.trade_id)
    found = [
        fill
        for fill in fills[begin:]
        if (order_id is None or fill.order_id == order_id) and first_ms <= fill.time_ms <= last_ms
    ]
    forwards = from_id is not None or "startTime" in call.params
    return [wire.own_trade(fill) for fill in (found[:most] if forwards else found[-most:])]


def account(call: Call) -> Any:
    state = call.exchange.spot.venue.state
    rules = next(iter(state.rules.values()))
    balances = state.balances[call.account]
    if call.params.get("omitZeroBalances") == "true":
        balances = {
            asset: balance
            for asset, balance in balances.items()
            if balance.free_e8 or balance.locked_e8
        }
    return wire.account(balances, rules, call.now_ms)


def trade_fees(call: Call) -> Any:
    symbol = call.params.get("symbol")
    venue = call.exchange.spot.venue
    chosen = [venue.rules(symbol)] if symbol else venue.state.rules.values()
    return [wire.trade_fee(rules) for rules in chosen]


def _place(call: Call, *, report: bool = False) -> Order:
    exchange = call.exchange
    exchange.spot.venue.rules(call.params["symbol"])
    request = params.order_request(
        call.account, call.params, generated_id=params.generated_client_id()
    )
    exchange.spot.rate_limiter.count_order(call.account, call.now_ms)
    try:
        return exchange.spot.venue.place(request, call.now_ms, report_rejection=report)
    finally:
        exchange.commit()


def _cancel(call: Call, order: Order, cancel_id: str) -> None:
    call.exchange.spot.venue.cancel(order, cancel_id, call.now_ms)
    call.exchange.commit()


def _named_order(call: Call, id_name: str, client_id_name: str) -> Order | None:
    """The account's order named by its id or its client id; one of them must be sent."""
    symbol = call.params["symbol"]
    state = call.exchange.spot.venue.state
    order_id = params.integer(call.params, id_name)
    client_order_id = call.params.get(client_id_name)
    if order_id is not None:
        order = state.order(call.account, symbol, order_id)
        if order and client_order_id not in {None, order.client_order_id}:
            return None
        return order
    if client_order_id is None:
        raise missing_parameter(client_id_name)
    return state.order_by_client_id(call.account, symbol, client_order_id)


def _open_orders(call: Call, symbol: str) -> list[Order]:
    orders = call.exchange.spot.venue.state.open_orders[symbol].values()
    return [order for order in orders if order.account == call.account]


def _window(call: Call) -> tuple[int, int]:
    first_ms = params.integer(call.params, "startTime")
    last_ms = params.integer(call.params, "endTime")
    if first_ms is not None and last_ms is not None and last_ms - first_ms > _DAY_MS:
        raise VenueError(-1127, "More than 24 hours between startTime and endTime.")
    return first_ms or 0, last_ms if last_ms is not None else call.now_ms

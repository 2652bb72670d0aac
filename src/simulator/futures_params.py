"""Parameters of futures orders: names to values, refused as the venue refuses."""

from typing import Any

import orjson

from simulator import params
from simulator.errors import (
    FuturesError,
    VenueError,
    missing_parameter,
    unwanted_parameter,
)
from simulator.records import OrderRequest, OrderType, Side, TimeInForce

ORDER_REQUIRED = frozenset({"symbol", "side", "type"})
ORDER_OPTIONAL = frozenset(
    {
        "positionSide",
        "timeInForce",
        "quantity",
        "reduceOnly",
        "price",
        "newClientOrderId",
        "newOrderRespType",
    }
)
BATCH_MAX = 5
_TYPES = (OrderType.LIMIT, OrderType.MARKET)


def order_request(account: str, sent: params.Params) -> OrderRequest:
    """Read an order; which parameters it needs depends on its type."""
    side = params.word(sent["side"], Side, VenueError(-1117, "Invalid side."))
    kind = params.word(sent["type"], _TYPES, VenueError(-1116, "Invalid orderType."))
    check_position_side(sent)
    wanted = {"quantity", "price"} if kind is OrderType.LIMIT else {"quantity"}
    for name in sorted(wanted):
        if name not in sent:
            raise missing_parameter(name)
    if kind is OrderType.MARKET:
        for name in ("price", "timeInForce"):
            if name in sent:
                raise unwanted_parameter(name)
    return OrderRequest(
        account=account,
        symbol=sent["symbol"],
        side=side,
        type=kind,
        time_in_force=_time_in_force(kind, sent.get("timeInForce")),
        client_order_id=_client_id(sent),
        price_e8=params.amount_e8(sent["price"], "price") if kind is OrderType.LIMIT else 0,
        quantity_e8=quantity_e8(sent),
        reduce_only=params.flag(sent, "reduceOnly"),
    )


def batch(sent: params.Params) -> list[dict[str, str]]:
    items = _json_list(sent["batchOrders"], "batchOrders")
    if not 1 <= len(items) <= BATCH_MAX or not all(isinstance(item, dict) for item in items):
        raise FuturesError.BATCH_SIZE.error()
    return [
        {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in item.items()
        }
        for item in items
    ]


def texts(sent: params.Params, *names: str) -> list[str]:
    """A JSON list that may go by either of the names the venue knows it by."""
    for name in names:
        if name in sent:
            return [str(item) for item in _json_list(sent[name], name)]
    return []


def check_position_side(sent: params.Params) -> None:
    if sent.get("positionSide", "BOTH") != "BOTH":
        raise FuturesError.POSITION_SIDE_MISMATCH.error()


def quantity_e8(sent: params.Params) -> int:
    amount_e8 = params.amount_e8(sent["quantity"], "price")  # zero has a code of its own here
    if amount_e8 == 0:
        raise FuturesError.QUANTITY_NOT_POSITIVE.error()
    return amount_e8


def _json_list(text: str, name: str) -> list[Any]:
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise missing_parameter(name) from None
    if not isinstance(items, list):
        raise missing_parameter(name)
    return items


def _client_id(sent: params.Params) -> str:
    if len(sent.get("newClientOrderId", "")) > 36:
        raise FuturesError.CLIENT_ID_TOO_LONG.error()
    return params.client_id(sent, "newClientOrderId") or params.generated_client_id()


def _time_in_force(kind: OrderType, text: str | None) -> TimeInForce:
    if kind is OrderType.MARKET:
        return TimeInForce.GTC
    if text is None:
        raise missing_parameter("timeInForce")
    return params.word(text, TimeInForce, VenueError(-1115, "Invalid timeInForce."))

"""Request parameters: raw text to names, and names to values, refused as the venue refuses."""

import re
import secrets
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

from simulator.errors import (
    VenueError,
    illegal_characters,
    missing_parameter,
    too_precise,
    unread_parameters,
    unwanted_parameter,
)
from simulator.records import OrderRequest, OrderType, Side, TimeInForce
from simulator.units import parse_e8

CLIENT_ID_PATTERN = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
NUMBER_PATTERN = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_CLIENT_ID = re.compile(CLIENT_ID_PATTERN)
_NUMBER = re.compile(NUMBER_PATTERN)
_INTEGER = re.compile(r"^[0-9]{1,16}$")

#: The parameters that describe an order, in both of the calls that place one.
ORDER_REQUIRED = frozenset({"symbol", "side", "type"})
ORDER_OPTIONAL = frozenset(
    {
        "timeInForce",
        "quantity",
        "quoteOrderQty",
        "price",
        "newClientOrderId",
        "newOrderRespType",
    }
)

#: Which amounts each order type takes.
_AMOUNTS = {
    OrderType.LIMIT: {"quantity", "price"},
    OrderType.LIMIT_MAKER: {"quantity", "price"},
    OrderType.MARKET: {"quantity", "quoteOrderQty"},
}

_SPOT_FORCES = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)

Word = TypeVar("Word", bound=StrEnum)
Params = Mapping[str, str]


def split(query: str, body: str) -> dict[str, str]:
    """Names and values of the query string and the form body; a name sent twice is refused."""
    pairs = [pair for part in (query, body) for pair in parse_qsl(part, keep_blank_values=True)]
    params = dict(pairs)
    if len(params) != len(pairs):
        raise VenueError(-1101, "Duplicate values for a parameter detected.")
    return params


def unsigned(raw: str) -> str:
    """The text that was signed: everything but the signature itself."""
    return "&".join(part for part in raw.split("&") if not part.startswith("signature="))


def check_names(params: Params, required: frozenset[str], optional: frozenset[str]) -> None:
    """Refuse what is missing, empty or unknown."""
    for name in sorted(required):
        if not params.get(name):
            raise missing_parameter(name)
    read = len(params.keys() & (required | optional))
    if read != len(params):
        raise unread_parameters(read, len(params))
    for name, value in params.items():
        if not value:
            raise VenueError(-1105, f"Parameter '{name}' was empty.")


def integer(params: Params, name: str) -> int | None:
    text = params.get(name)
    if text is None:
        return None
    if not _INTEGER.match(text):
        raise illegal_characters(name, "^[0-9]{1,20}$")
    return int(text)


def limit(params: Params, *, default: int, most: int) -> int:
    value = integer(params, "limit")
    if value is None:
        return default
    if not 1 <= value <= most:
        raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
    return value


def client_id(params: Params, name: str) -> str | None:
    text = params.get(name)
    if text is not None and not _CLIENT_ID.match(text):
        raise illegal_characters(name, CLIENT_ID_PATTERN)
    return text


def generated_client_id() -> str:
    """A client order id as the venue makes one when none was sent."""
    return secrets.token_urlsafe(16)


def flag(params: Params, name: str, *, default: bool = False) -> bool:
    text = params.get(name)
    if text is None:
        return default
    if text.lower() not in {"true", "false"}:
        raise illegal_characters(name, "true|false")
    return text.lower() == "true"


def order_request(account: str, params: Params, *, generated_id: str) -> OrderRequest:
    """Read an order; which parameters it needs depends on its type."""
    side = word(params["side"], Side, VenueError(-1117, "Invalid side."))
    kind = word(params["type"], _AMOUNTS, VenueError(-1116, "Invalid orderType."))
    amounts = {
        name: amount_e8(params[name], name)
        for name in ("quantity", "quoteOrderQty", "price")
        if name in params
    }
    for name in amounts.keys() - _AMOUNTS[kind]:
        raise unwanted_parameter(name)
    if kind is OrderType.MARKET:
        if len(amounts) != 1:
            raise missing_parameter("quantity")
    else:
        for name in ("quantity", "price"):
            if name not in amounts:
                raise missing_parameter(name)
    return OrderRequest(
        account=account,
        symbol=params["symbol"],
        side=side,
        type=kind,
        time_in_force=_time_in_force(kind, params.get("timeInForce")),
        client_order_id=client_id(params, "newClientOrderId") or generated_id,
        price_e8=amounts.get("price", 0),
        quantity_e8=amounts.get("quantity", 0),
        quote_quantity_e8=amounts.get("quoteOrderQty", 0),
    )


def reply_detail(params: Params) -> str:
    """newOrderRespType; a market or limit order answers FULL unless told otherwise."""
    detail = params.get("newOrderRespType")
    if detail is None:
        return "ACK" if params["type"] == OrderType.LIMIT_MAKER else "FULL"
    if detail not in {"ACK", "RESULT", "FULL"}:
        raise VenueError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return detail


def _time_in_force(kind: OrderType, text: str | None) -> TimeInForce:
    if kind is OrderType.LIMIT:
        if text is None:
            raise missing_parameter("timeInForce")
        return word(text, _SPOT_FORCES, VenueError(-1115, "Invalid timeInForce."))
    if text is not None:
        raise VenueError(-1114, "TimeInForce parameter sent when not required.")
    return TimeInForce.GTC


def amount_e8(text: str, name: str) -> int:
    if not _NUMBER.match(text):
        raise illegal_characters(name, NUMBER_PATTERN)
    try:
        amount = parse_e8(text)
    except ValueError as error:
        raise too_precise(name) from error
    if amount == 0 and name != "price":
        raise VenueError(-1013, f"Invalid {name}.")
    return amount


def word(text: str, words: Iterable[Word], refusal: VenueError) -> Word:
    """The one of the words that was sent."""
    for known in words:
        if known == text:
            return known
    raise refusal

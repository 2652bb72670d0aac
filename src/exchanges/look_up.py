"""How an order is named towards a venue, and found there by our id."""

from __future__ import annotations

from typing import Any

from domain.errors import OrderNotFound
from domain.ids import ClientOrderId
from exchanges.capabilities import Address, ClientIds, LookUp
from exchanges.conversions import Structure


def address(
    by: Address, parameter: str | None, client_order_id: ClientOrderId
) -> tuple[str | None, dict[str, object]]:
    """ccxt's argument for an id, and the parameters beside it."""
    if by is Address.PARAMETER and parameter is not None:
        return None, {parameter: client_order_id}
    return client_order_id, {}


async def look_up(
    client: Any, ids: ClientIds, symbol: str, client_order_id: ClientOrderId
) -> Structure:
    """The order as the venue shows it.

    Raises
    ------
    OrderNotFound
        If the venue's lists do not hold it; ccxt's own error where the venue says so itself.
    """
    if ids.look_up is LookUp.ORDER:
        order_id, params = address(ids.look_up_by, ids.fetch, client_order_id)
        order: Structure = await client.fetch_order(order_id, symbol, params)
        return order
    # Open ones first: an order that ends in between is in the history by then.
    params = {} if ids.fetch is None else {ids.fetch: client_order_id}
    for method in ("fetch_open_orders", ids.history):
        for order in await getattr(client, method)(symbol, None, None, params):
            if client_id_of(order, ids) == client_order_id:
                return order
    raise OrderNotFound(f"{client_order_id} is neither among open orders nor in the history")


def client_id_of(order: Structure, ids: ClientIds) -> str:
    """The client id that a reply names; empty for somebody else's order that has none."""
    named = order["clientOrderId"]
    if not named and ids.in_reply is not None:
        named = order["info"].get(ids.in_reply)
    return named or ""

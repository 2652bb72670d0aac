"""The account's orders of a symbol, ended ones included, whatever pages a venue tells them in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from domain.errors import ConfigurationError
from domain.orders import OrderRecord
from exchanges.capabilities import Venue

#: Asks for one page of a symbol: how many, and further parameters.
AskOrders = Callable[[str, int, Mapping[str, object]], Awaitable[Sequence[OrderRecord]]]


async def all_orders(venue: Venue, symbol: str, page_max: int, ask: AskOrders) -> list[OrderRecord]:
    """Every order that the venue still tells, oldest first.

    Raises
    ------
    ConfigurationError
        If the venue's record names no way to be told of all.
    """
    terms = venue.orders
    if terms is None:
        raise ConfigurationError(
            field="account.venue",
            rule="must tell all orders of a symbol, ended ones included",
            value=venue.name,
            remedy="cancel the orders there, and add the symbols anew with --adopt-position",
        )
    page = min(terms.page, page_max)
    next_id = 0
    orders: list[OrderRecord] = []
    while True:
        told = await ask(symbol, page, {terms.from_id: next_id})
        # ccxt sorts by time and then by the id as text.
        orders += sorted(told, key=_number)
        if len(told) < page:
            return orders
        next_id = _number(orders[-1]) + 1


def _number(order: OrderRecord) -> int:
    return int(order.report.venue_order_id)

"""Bitvavo, API version 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchanges.venues.bitvavo import OPERATOR_ID
from integration.exchanges.recorded import Answer, Reply, Request, Route
from integration.exchanges.shapes.common import (
    FILLED,
    FILLED_IN,
    FREE,
    LIVE,
    LOCKED,
    ORDER_ID,
    PRICE,
    QUANTITY,
    TRADED_MS,
    Shapes,
    State,
)

_STATUSES = {
    State.OPEN: "new",
    State.PARTLY: "partiallyFilled",
    State.FILLED: "filled",
    State.CANCELLED: "canceledPostOnly",
}
_LEFT = {State.PARTLY: "0.006", State.FILLED: "0"}


def refused(code: int, message: str, status: int = 400) -> Answer:
    return Answer({"errorCode": code, "error": message}, status)


class Bitvavo(Shapes):
    venue = "bitvavo"
    symbol = "BTC/EUR"
    place = ("POST", "/v2/order")
    cancel = ("DELETE", "/v2/order")
    no_funds = refused(216, "You do not have sufficient balance to complete this operation.")
    not_found = refused(240, "No order found.", 404)
    too_fast = refused(103, "You have been rate limited.", 429)

    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        return {
            "market": "BTC-EUR",
            "side": "buy",
            "orderType": "limit",
            "price": PRICE,
            "amount": QUANTITY,
            "postOnly": True,
            "operatorId": OPERATOR_ID,
            "clientOrderId": name,
        }

    def sent_by_cancel(self, name: str) -> Mapping[str, Any]:
        return {"market": "BTC-EUR", "operatorId": str(OPERATOR_ID), "clientOrderId": name}

    def routes(self) -> Mapping[Route, Reply]:
        return {
            ("GET", "/v2/time"): {"time": TRADED_MS},
            ("GET", "/v2/markets"): [_MARKET],
            ("GET", "/v2/account"): {"fees": {"taker": "0.0025", "maker": "0.0015"}},
            ("GET", "/v2/ticker/24h"): _TICKER,
            ("GET", "/v2/balance"): [{"symbol": "EUR", "available": FREE, "inOrder": LOCKED}],
            ("GET", "/v2/trades"): [_TRADE],
            ("GET", "/v2/order"): self._order,
            ("GET", "/v2/ordersOpen"): self._open,
            self.place: self._place,
            self.cancel: self._cancel,
        }

    def _place(self, asked: Request) -> Any:
        name = asked.fields["clientOrderId"]
        return _order(name, self.orders.setdefault(name, State.OPEN))

    def _cancel(self, asked: Request) -> Any:
        self.end(asked.fields["clientOrderId"])
        return {"orderId": ORDER_ID, "clientOrderId": asked.fields["clientOrderId"]}

    def _order(self, asked: Request) -> Any:
        name = asked.fields["clientOrderId"]
        return _order(name, self.orders[name]) if name in self.orders else self.not_found

    def _open(self, asked: Request) -> Any:
        return [_order(name, self.orders[name]) for name in self.listed(asked, *LIVE)]


def _order(name: str, state: State) -> dict[str, Any]:
    return {
        "orderId": ORDER_ID,
        "clientOrderId": name,
        "market": "BTC-EUR",
        "created": TRADED_MS,
        "updated": TRADED_MS,
        "status": _STATUSES[state],
        "side": "buy",
        "orderType": "limit",
        "amount": QUANTITY,
        "amountRemaining": _LEFT.get(state, QUANTITY),
        "price": PRICE,
        "onHold": LOCKED,
        "onHoldCurrency": "EUR",
        "filledAmount": FILLED_IN.get(state, "0"),
        "filledAmountQuote": "0",
        "feePaid": "0",
        "feeCurrency": "EUR",
        "fills": [],
        "timeInForce": "GTC",
        "postOnly": True,
    }


_MARKET = {
    "market": "BTC-EUR",
    "status": "trading",
    "base": "BTC",
    "quote": "EUR",
    "pricePrecision": "0",
    "tickSize": "0.01",
    "minOrderInBaseAsset": "0.00005",
    "minOrderInQuoteAsset": "5.00",
    "maxOrderInBaseAsset": "1000000000",
    "maxOrderInQuoteAsset": "1000000000",
    "quantityDecimals": "5",
    "notionalDecimals": "2",
    "orderTypes": ["market", "limit"],
}
_TICKER = {
    "market": "BTC-EUR",
    "bid": "39999.9",
    "bidSize": "1",
    "ask": "40000.1",
    "askSize": "2",
    "timestamp": TRADED_MS,
}
_TRADE = {
    "id": "b0c86aa5-6ed3-4a2d-ba3a-be9a964220f4",
    "orderId": ORDER_ID,
    "timestamp": TRADED_MS,
    "market": "BTC-EUR",
    "side": "buy",
    "amount": FILLED,
    "price": PRICE,
    "taker": False,
    "fee": "0.24",
    "feeCurrency": "EUR",
    "settled": True,
}

"""Bybit, API version 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integration.exchanges.recorded import Answer, Reply, Request, Route
from integration.exchanges.shapes.common import (
    FILLED,
    FILLED_IN,
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
    State.OPEN: "New",
    State.PARTLY: "PartiallyFilled",
    State.FILLED: "Filled",
    State.CANCELLED: "Cancelled",
    State.REJECTED: "Rejected",
}


def ok(result: Any) -> Any:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": TRADED_MS}


def refused(code: int, message: str) -> Answer:
    return Answer({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}})


class Bybit(Shapes):
    venue = "bybit"
    place = ("POST", "/v5/order/create")
    cancel = ("POST", "/v5/order/cancel")
    crossed = State.REJECTED
    duplicate = refused(170141, "Duplicate clientOrderId.")
    no_funds = refused(170131, "Balance insufficient.")
    not_found = refused(170213, "Order does not exist.")
    too_fast = refused(10006, "Too many visits. Exceeded the API Rate Limit.")

    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        return {
            "category": "spot",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "orderType": "Limit",
            "timeInForce": "PostOnly",
            "price": PRICE,
            "qty": QUANTITY,
            "orderLinkId": name,
        }

    def sent_by_cancel(self, name: str) -> Mapping[str, Any]:
        return {
            "category": "spot",
            "symbol": "BTCUSDT",
            "orderFilter": "Order",
            "orderLinkId": name,
        }

    def routes(self) -> Mapping[Route, Reply]:
        return {
            ("GET", "/v5/market/time"): ok({"timeSecond": "1700000000"}),
            ("GET", "/v5/market/instruments-info"): ok({"category": "spot", "list": [_MARKET]}),
            ("GET", "/v5/market/tickers"): ok(
                {"category": "spot", "list": [{"symbol": "BTCUSDT", **_TICKER}]}
            ),
            ("GET", "/v5/account/wallet-balance"): ok({"list": [_WALLET]}),
            ("GET", "/v5/execution/list"): ok({"category": "spot", "list": [_TRADE]}),
            ("GET", "/v5/order/realtime"): lambda asked: self._list(asked, *LIVE),
            ("GET", "/v5/order/history"): lambda asked: self._list(asked, *State),
            self.place: self._place,
            self.cancel: self._cancel,
        }

    def _place(self, asked: Request) -> Any:
        name = asked.fields["orderLinkId"]
        self.orders.setdefault(name, State.OPEN)
        return ok({"orderId": ORDER_ID, "orderLinkId": name})

    def _cancel(self, asked: Request) -> Any:
        self.end(asked.fields["orderLinkId"])
        return ok({"orderId": ORDER_ID, "orderLinkId": asked.fields["orderLinkId"]})

    def _list(self, asked: Request, *states: State) -> Any:
        names = self.listed(asked, *states, by="orderLinkId")
        return ok({"category": "spot", "list": [_order(name, self.orders[name]) for name in names]})


def _order(name: str, state: State) -> dict[str, str]:
    return {
        "symbol": "BTCUSDT",
        "orderId": ORDER_ID,
        "orderLinkId": name,
        "orderStatus": _STATUSES[state],
        "orderType": "Limit",
        "timeInForce": "PostOnly",
        "side": "Buy",
        "price": PRICE,
        "qty": QUANTITY,
        "cumExecQty": FILLED_IN.get(state, "0"),
        "avgPrice": "",
        "createdTime": str(TRADED_MS),
        "updatedTime": str(TRADED_MS),
    }


_MARKET = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "status": "Trading",
    "marginTrading": "none",
    "lotSizeFilter": {
        "basePrecision": "0.00001",
        "quotePrecision": "0.0000001",
        "minOrderQty": "0.00005",
        "maxOrderQty": "83",
        "minOrderAmt": "5",
        "maxOrderAmt": "8000000",
    },
    "priceFilter": {"tickSize": "0.01"},
}
_TICKER = {"bid1Price": "39999.9", "bid1Size": "1", "ask1Price": "40000.1", "ask1Size": "2"}
_WALLET = {
    "accountType": "UNIFIED",
    "coin": [{"coin": "USDT", "walletBalance": "999.75", "locked": LOCKED, "equity": "999.75"}],
}
_TRADE = {
    "symbol": "BTCUSDT",
    "execId": "2100000000007764263",
    "orderId": ORDER_ID,
    "side": "Buy",
    "execPrice": PRICE,
    "execQty": FILLED,
    "execFee": "0.000004",
    "feeCurrency": "BTC",
    "isMaker": True,
    "execTime": str(TRADED_MS),
    "execType": "Trade",
}

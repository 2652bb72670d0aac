"""OKX, API version 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    State.OPEN: "live",
    State.PARTLY: "partially_filled",
    State.FILLED: "filled",
    State.CANCELLED: "canceled",
}


def ok(*data: Any) -> Any:
    return {"code": "0", "msg": "", "data": list(data)}


def refused(code: str, message: str) -> Answer:
    item = {"clOrdId": "", "ordId": "", "sCode": code, "sMsg": message, "tag": ""}
    return Answer({"code": "1", "data": [item], "msg": "All operations failed"})


class Okx(Shapes):
    venue = "okx"
    place = ("POST", "/api/v5/trade/batch-orders")
    cancel = ("POST", "/api/v5/trade/cancel-order")
    volatile = frozenset({"tag"})
    duplicate = refused("51016", "Client order ID already exists.")
    no_funds = refused("51008", "Order failed. Insufficient USDT balance in account.")
    not_found = refused("51400", "Cancellation failed as the order does not exist.")
    too_fast = Answer({"code": "50011", "msg": "Too Many Requests", "data": []}, status=429)

    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        return {
            "instId": "BTC-USDT",
            "tdMode": "cash",
            "tgtCcy": "base_ccy",
            "side": "buy",
            "ordType": "post_only",
            "px": PRICE,
            "sz": QUANTITY,
            "clOrdId": name,
        }

    def sent_by_cancel(self, name: str) -> Mapping[str, Any]:
        return {"instId": "BTC-USDT", "clOrdId": name}

    def routes(self) -> Mapping[Route, Reply]:
        return {
            ("GET", "/api/v5/public/time"): ok({"ts": str(TRADED_MS)}),
            ("GET", "/api/v5/public/instruments"): ok(_MARKET),
            ("GET", "/api/v5/market/ticker"): ok(_TICKER),
            ("GET", "/api/v5/account/balance"): ok({"uTime": str(TRADED_MS), "details": [_WALLET]}),
            ("GET", "/api/v5/trade/fills-history"): ok(_TRADE),
            ("GET", "/api/v5/trade/order"): self._order,
            ("GET", "/api/v5/trade/orders-pending"): self._open,
            self.place: self._place,
            self.cancel: self._cancel,
        }

    def _place(self, asked: Request) -> Any:
        name = asked.fields["clOrdId"]
        self.orders.setdefault(name, State.OPEN)
        return ok({"clOrdId": name, "ordId": ORDER_ID, "sCode": "0", "sMsg": "", "tag": ""})

    def _cancel(self, asked: Request) -> Any:
        self.end(asked.fields["clOrdId"])
        return ok({"clOrdId": asked.fields["clOrdId"], "ordId": ORDER_ID, "sCode": "0"})

    def _order(self, asked: Request) -> Any:
        name = asked.fields["clOrdId"]
        if name not in self.orders:
            return {"code": "51603", "msg": "Order does not exist", "data": []}
        return ok(_order(name, self.orders[name]))

    def _open(self, asked: Request) -> Any:
        return ok(*(_order(name, self.orders[name]) for name in self.listed(asked, *LIVE)))


def _order(name: str, state: State) -> dict[str, str]:
    return {
        "instId": "BTC-USDT",
        "instType": "SPOT",
        "ordId": ORDER_ID,
        "clOrdId": name,
        "ordType": "post_only",
        "side": "buy",
        "state": _STATUSES[state],
        "px": PRICE,
        "sz": QUANTITY,
        "accFillSz": FILLED_IN.get(state, "0"),
        "avgPx": "",
        "fee": "0",
        "feeCcy": "BTC",
        "cTime": str(TRADED_MS),
        "uTime": str(TRADED_MS),
    }


_MARKET = {
    "instId": "BTC-USDT",
    "instType": "SPOT",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "state": "live",
    "tickSz": "0.01",
    "lotSz": "0.00001",
    "minSz": "0.00001",
    "lever": "",
}
_TICKER = {
    "instId": "BTC-USDT",
    "bidPx": "39999.9",
    "bidSz": "1",
    "askPx": "40000.1",
    "askSz": "2",
    "ts": str(TRADED_MS),
}
_WALLET = {"ccy": "USDT", "eq": "999.75", "availEq": FREE, "availBal": FREE, "frozenBal": LOCKED}
_TRADE = {
    "instId": "BTC-USDT",
    "instType": "SPOT",
    "tradeId": "107601752",
    "ordId": ORDER_ID,
    "clOrdId": "",
    "billId": "317321390265368576",
    "side": "buy",
    "fillPx": PRICE,
    "fillSz": FILLED,
    "fee": "-0.000004",
    "feeCcy": "BTC",
    "execType": "M",
    "ts": str(TRADED_MS),
}

"""Kraken, API version 0."""

from __future__ import annotations

import time
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

#: The venue's clock stands an hour behind ours.
VENUE_S = int(time.time()) - 3_600

_STATUSES = {
    State.OPEN: "open",
    State.PARTLY: "open",
    State.FILLED: "closed",
    State.CANCELLED: "canceled",
}


def ok(result: Any) -> Any:
    return {"error": [], "result": result}


def refused(message: str) -> Answer:
    return Answer({"error": [message]})


class Kraken(Shapes):
    venue = "kraken"
    place = ("POST", "/0/private/AddOrder")
    cancel = ("POST", "/0/private/CancelOrder")
    volatile = frozenset({"nonce", "deadline"})
    crossed = None
    no_funds = refused("EOrder:Insufficient funds")
    not_found = refused("EOrder:Unknown order")
    too_fast = refused("EAPI:Rate limit exceeded")
    would_cross = refused("EOrder:Post only order")

    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        return {
            "pair": "XBTUSDT",
            "type": "buy",
            "ordertype": "limit",
            "oflags": "post",
            "price": PRICE,
            "volume": QUANTITY,
            "cl_ord_id": name,
        }

    def sent_by_cancel(self, name: str) -> Mapping[str, Any]:
        return {"cl_ord_id": name}

    def routes(self) -> Mapping[Route, Reply]:
        return {
            ("GET", "/0/public/Time"): ok({"unixtime": VENUE_S}),
            ("GET", "/0/public/AssetPairs"): ok({"XBTUSDT": _MARKET}),
            ("GET", "/0/public/Ticker"): ok({"XBTUSDT": _TICKER}),
            ("POST", "/0/private/BalanceEx"): ok(
                {"USDT": {"balance": "999.75", "hold_trade": LOCKED}}
            ),
            ("POST", "/0/private/TradesHistory"): ok({"count": 1, "trades": {_TRADE_ID: _TRADE}}),
            ("POST", "/0/private/OpenOrders"): lambda asked: self._list("open", asked, *LIVE),
            ("POST", "/0/private/ClosedOrders"): lambda asked: self._list(
                "closed", asked, State.FILLED, State.CANCELLED
            ),
            self.place: self._place,
            self.cancel: self._cancel,
        }

    def _place(self, asked: Request) -> Any:
        self.orders.setdefault(asked.fields["cl_ord_id"], State.OPEN)
        order = f"buy {QUANTITY} XBTUSDT @ limit {PRICE}"
        return ok({"descr": {"order": order}, "txid": [ORDER_ID]})

    def _cancel(self, asked: Request) -> Any:
        self.end(asked.fields["cl_ord_id"])
        return ok({"count": 1})

    def _list(self, kind: str, asked: Request, *states: State) -> Any:
        names = self.listed(asked, *states, by="cl_ord_id")
        return ok(
            {
                kind: {
                    ORDER_ID + str(at or ""): _order(name, self.orders[name])
                    for at, name in enumerate(names)
                }
            }
        )


def _order(name: str, state: State) -> dict[str, Any]:
    return {
        "refid": None,
        "userref": None,
        "cl_ord_id": name,
        "status": _STATUSES[state],
        "opentm": 1_700_000_000.1234,
        "descr": {"pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "price": PRICE},
        "vol": QUANTITY,
        "vol_exec": FILLED_IN.get(state, "0.00000000"),
        "cost": "0.00000",
        "fee": "0.00000",
        "price": "0.00000",
        "misc": "",
        "oflags": "fciq,post",
    }


_MARKET = {
    "altname": "XBTUSDT",
    "wsname": "XBT/USDT",
    "base": "XXBT",
    "quote": "USDT",
    "pair_decimals": 2,
    "lot_decimals": 5,
    "tick_size": "0.01",
    "fees": [[0, 0.4]],
    "fees_maker": [[0, 0.25]],
    "leverage_buy": [],
    "leverage_sell": [],
    "ordermin": "0.00005",
    "costmin": "0.5",
    "status": "online",
}
_TICKER = {
    "a": ["40000.1", "2", "2.000"],
    "b": ["39999.9", "1", "1.000"],
    "c": ["40000.0", "0.01"],
    "v": ["1", "1"],
    "p": ["1", "1"],
    "t": [1, 1],
    "l": ["1", "1"],
    "h": ["1", "1"],
    "o": "1",
}
_TRADE_ID = "THVRQM-33VKH-UCI7BS"
_TRADE = {
    "ordertxid": ORDER_ID,
    "pair": "XBTUSDT",
    "time": TRADED_MS / 1000,
    "type": "buy",
    "ordertype": "limit",
    "price": PRICE,
    "cost": "160.00000",
    "fee": "0.40000",
    "vol": FILLED,
    "margin": "0.00000",
    "misc": "",
    "maker": True,
}

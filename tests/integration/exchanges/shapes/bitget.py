"""Bitget, API version 2, classic account."""

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
    State.CANCELLED: "cancelled",
}


def ok(data: Any) -> Any:
    return {"code": "00000", "msg": "success", "requestTime": TRADED_MS, "data": data}


def refused(code: str, message: str) -> Answer:
    return Answer({"code": code, "msg": message, "requestTime": TRADED_MS, "data": None}, 400)


class Bitget(Shapes):
    venue = "bitget"
    place = ("POST", "/api/v2/spot/trade/place-order")
    cancel = ("POST", "/api/v2/spot/trade/cancel-order")
    duplicate = refused("40786", "Duplicate clientOid")
    no_funds = refused("43012", "Insufficient balance")
    not_found = refused("43001", "The order does not exist")
    too_fast = Answer({"code": "429", "msg": "Too Many Requests", "data": None}, status=429)

    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        return {
            "symbol": "BTCUSDT",
            "side": "buy",
            "orderType": "limit",
            "force": "post_only",
            "price": PRICE,
            "size": QUANTITY,
            "clientOid": name,
        }

    def sent_by_cancel(self, name: str) -> Mapping[str, Any]:
        return {"symbol": "BTCUSDT", "clientOid": name}

    def routes(self) -> Mapping[Route, Reply]:
        return {
            ("GET", "/api/v2/public/time"): ok({"serverTime": str(TRADED_MS)}),
            ("GET", "/api/v2/spot/public/symbols"): ok([_MARKET]),
            # ccxt asks for it beside the spot markets.
            ("GET", "/api/v2/margin/currencies"): ok([]),
            ("GET", "/api/v2/spot/market/tickers"): ok([_TICKER]),
            ("GET", "/api/v2/spot/account/assets"): ok([_WALLET]),
            ("GET", "/api/v2/spot/trade/fills"): ok([_TRADE]),
            ("GET", "/api/v2/spot/trade/orderInfo"): self._order,
            ("GET", "/api/v2/spot/trade/unfilled-orders"): self._open,
            self.place: self._place,
            self.cancel: self._cancel,
        }

    def _place(self, asked: Request) -> Any:
        name = asked.fields["clientOid"]
        self.orders.setdefault(name, State.OPEN)
        return ok({"orderId": ORDER_ID, "clientOid": name})

    def _cancel(self, asked: Request) -> Any:
        self.end(asked.fields["clientOid"])
        return ok({"orderId": ORDER_ID, "clientOid": asked.fields["clientOid"]})

    def _order(self, asked: Request) -> Any:
        name = asked.fields["clientOid"]
        if name not in self.orders:
            return self.not_found
        return ok([_order(name, self.orders[name])])

    def _open(self, asked: Request) -> Any:
        return ok([_order(name, self.orders[name]) for name in self.listed(asked, *LIVE)])


def _order(name: str, state: State) -> dict[str, str]:
    return {
        "userId": "7264631750",
        "symbol": "BTCUSDT",
        "orderId": ORDER_ID,
        "clientOid": name,
        "price": PRICE,
        "size": QUANTITY,
        "orderType": "limit",
        "side": "buy",
        "status": _STATUSES[state],
        "priceAvg": "0" if state in {State.OPEN, State.CANCELLED} else PRICE,
        "baseVolume": FILLED_IN.get(state, "0"),
        "quoteVolume": "0",
        "enterPointSource": "API",
        "feeDetail": "",
        "orderSource": "normal",
        "cTime": str(TRADED_MS),
        "uTime": str(TRADED_MS),
    }


_MARKET = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "minTradeAmount": "0",
    "maxTradeAmount": "10000000000",
    "takerFeeRate": "0.002",
    "makerFeeRate": "0.002",
    "pricePrecision": "2",
    "quantityPrecision": "5",
    "quotePrecision": "7",
    "status": "online",
    "minTradeUSDT": "5",
}
_TICKER = {
    "symbol": "BTCUSDT",
    "bidPr": "39999.9",
    "bidSz": "1",
    "askPr": "40000.1",
    "askSz": "2",
    "ts": str(TRADED_MS),
}
_WALLET = {"coin": "USDT", "available": FREE, "frozen": LOCKED, "locked": "0", "uTime": "1"}
_TRADE = {
    "userId": "7264631750",
    "symbol": "BTCUSDT",
    "orderId": ORDER_ID,
    "tradeId": "1098394344974925824",
    "orderType": "limit",
    "side": "buy",
    "priceAvg": PRICE,
    "size": FILLED,
    "amount": "160",
    "feeDetail": {
        "deduction": "no",
        "feeCoin": "BTC",
        "totalDeductionFee": "",
        "totalFee": "-0.000004",
    },
    "tradeScope": "maker",
    "cTime": str(TRADED_MS),
    "uTime": str(TRADED_MS),
}

"""Gate, API version 4."""

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
    State.OPEN: "open",
    State.PARTLY: "open",
    State.FILLED: "closed",
    State.CANCELLED: "cancelled",
}
_LEFT = {State.PARTLY: "0.006", State.FILLED: "0"}


def refused(label: str, message: str, status: int = 400) -> Answer:
    return Answer({"label": label, "message": message}, status)


class Gate(Shapes):
    venue = "gate"
    place = ("POST", "/api/v4/spot/orders")
    cancel = ("DELETE", "/api/v4/spot/orders/{name}")
    crossed = None
    duplicate = refused("REPEATED_CREATION", "Order with this text exists")
    no_funds = refused("BALANCE_NOT_ENOUGH", "Not enough balance")
    not_found = refused("ORDER_NOT_FOUND", "Order not found", 404)
    too_fast = refused("TOO_MANY_REQUESTS", "Request Rate limit Exceeded", 429)
    would_cross = refused("POC_FILL_IMMEDIATELY", "Order would match and take immediately")

    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        return {
            "account": "spot",
            "currency_pair": "BTC_USDT",
            "type": "limit",
            "side": "buy",
            "time_in_force": "poc",
            "price": PRICE,
            "amount": QUANTITY,
            "text": name,
        }

    def sent_by_cancel(self, name: str) -> Mapping[str, Any]:
        # The id is part of the path.
        return {"account": "spot", "currency_pair": "BTC_USDT"}

    def routes(self) -> Mapping[Route, Reply]:
        return {
            ("GET", "/api/v4/spot/time"): {"server_time": TRADED_MS},
            ("GET", "/api/v4/spot/currency_pairs"): [_MARKET],
            ("GET", "/api/v4/margin/currency_pairs"): [],
            ("GET", "/api/v4/wallet/fee"): _FEES,
            ("GET", "/api/v4/spot/tickers"): [_TICKER],
            ("GET", "/api/v4/spot/accounts"): [_WALLET],
            ("GET", "/api/v4/spot/my_trades"): [_TRADE],
            ("GET", "/api/v4/spot/open_orders"): self._open,
            ("GET", "/api/v4/spot/orders/{name}"): self._order,
            self.place: self._place,
            self.cancel: self._cancel,
        }

    def _place(self, asked: Request) -> Any:
        name = asked.fields["text"]
        return _order(name, self.orders.setdefault(name, State.OPEN))

    def _cancel(self, asked: Request) -> Any:
        name = asked.path.rpartition("/")[2]
        self.end(name)
        return _order(name, self.orders[name])

    def _order(self, asked: Request) -> Any:
        name = asked.path.rpartition("/")[2]
        return _order(name, self.orders[name]) if name in self.orders else self.not_found

    def _open(self, asked: Request) -> Any:
        orders = [_order(name, self.orders[name]) for name in self.listed(asked, *LIVE)]
        return [{"currency_pair": "BTC_USDT", "total": len(orders), "orders": orders}]


def _order(name: str, state: State) -> dict[str, str]:
    return {
        "id": ORDER_ID,
        "text": name,
        "create_time_ms": str(TRADED_MS),
        "update_time_ms": str(TRADED_MS),
        "status": _STATUSES[state],
        "currency_pair": "BTC_USDT",
        "type": "limit",
        "account": "spot",
        "side": "buy",
        "amount": QUANTITY,
        "price": PRICE,
        "time_in_force": "poc",
        "left": _LEFT.get(state, QUANTITY),
        "filled_amount": FILLED_IN.get(state, "0"),
        "filled_total": "0",
        "fee": "0",
        "fee_currency": "BTC",
        "point_fee": "0",
        "gt_fee": "0",
        "rebated_fee": "0",
        "rebated_fee_currency": "USDT",
    }


_MARKET = {
    "id": "BTC_USDT",
    "base": "BTC",
    "quote": "USDT",
    "fee": "0.2",
    "min_base_amount": "0.00005",
    "min_quote_amount": "5",
    "amount_precision": 5,
    "precision": 2,
    "trade_status": "tradable",
    "sell_start": 0,
    "buy_start": 0,
    "type": "normal",
}
_FEES = {
    "user_id": 1,
    "taker_fee": "0.002",
    "maker_fee": "0.001",
    "gt_discount": False,
    "gt_taker_fee": "0",
    "gt_maker_fee": "0",
    "loan_fee": "0.18",
    "point_type": "0",
}
_TICKER = {
    "currency_pair": "BTC_USDT",
    "last": "40000",
    "highest_bid": "39999.9",
    "lowest_ask": "40000.1",
}
_WALLET = {"currency": "USDT", "available": FREE, "locked": LOCKED}
_TRADE = {
    "id": "2876130500",
    "create_time": str(TRADED_MS // 1000),
    "create_time_ms": f"{TRADED_MS}.399200",
    "currency_pair": "BTC_USDT",
    "side": "buy",
    "role": "maker",
    "amount": FILLED,
    "price": PRICE,
    "order_id": ORDER_ID,
    "fee": "0.000004",
    "fee_currency": "BTC",
    "point_fee": "0",
    "gt_fee": "0",
}

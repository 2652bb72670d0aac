"""Coinbase Advanced Trade, API version 3."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
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
    State.OPEN: "OPEN",
    State.PARTLY: "OPEN",
    State.FILLED: "FILLED",
    State.CANCELLED: "CANCELLED",
}
_TRADED_AT = (
    datetime.fromtimestamp(TRADED_MS / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
)


def refused(reason: str, message: str) -> Answer:
    return Answer(
        {
            "success": False,
            "failure_reason": "UNKNOWN_FAILURE_REASON",
            "order_id": "",
            "error_response": {
                "error": reason,
                "message": message,
                "error_details": "",
                "new_order_failure_reason": reason,
            },
        }
    )


class Coinbase(Shapes):
    venue = "coinbase"
    symbol = "BTC/USD"
    place = ("POST", "/api/v3/brokerage/orders")
    cancel = ("POST", "/api/v3/brokerage/orders/batch_cancel")
    crossed = None
    # ccxt keeps the venue's reason to itself.
    gone = "other"
    no_funds = refused("INSUFFICIENT_FUND", "Insufficient balance in source account")
    not_found = Answer(
        {
            "results": [
                {
                    "success": False,
                    "failure_reason": "UNKNOWN_CANCEL_ORDER",
                    "order_id": ORDER_ID,
                }
            ]
        }
    )
    too_fast = Answer({"errors": [{"id": "rate_limit_exceeded", "message": "Too fast"}]}, 429)
    would_cross = refused("INVALID_LIMIT_PRICE_POST_ONLY", "Post only order would cross")

    def sent_by_place(self, name: str) -> Mapping[str, Any]:
        return {
            "product_id": "BTC-USD",
            "side": "BUY",
            "client_order_id": name,
            "order_configuration": {
                "limit_limit_gtc": {
                    "base_size": QUANTITY,
                    "limit_price": PRICE,
                    "post_only": True,
                }
            },
        }

    def sent_by_cancel(self, name: str) -> Mapping[str, Any]:
        return {"order_ids": [ORDER_ID]}

    def routes(self) -> Mapping[Route, Reply]:
        return {
            ("GET", "/api/v3/brokerage/time"): {"epochSeconds": "1700000000"},
            ("GET", "/api/v3/brokerage/market/products"): self._products,
            ("GET", "/api/v3/brokerage/transaction_summary"): _FEES,
            ("GET", "/api/v3/brokerage/market/products/BTC-USD/ticker"): _TICKER,
            ("GET", "/api/v3/brokerage/products/BTC-USD/ticker"): _TICKER,
            ("GET", "/api/v3/brokerage/accounts"): {"accounts": [_WALLET], "has_next": False},
            ("GET", "/api/v3/brokerage/orders/historical/fills"): {"fills": [_TRADE], "cursor": ""},
            ("GET", "/api/v3/brokerage/orders/historical/batch"): self._list,
            self.place: self._place,
            self.cancel: self._cancel,
        }

    def _products(self, asked: Request) -> Any:
        return {"products": [] if "product_type" in asked.fields else [_MARKET]}

    def _place(self, asked: Request) -> Any:
        name = asked.fields["client_order_id"]
        self.orders.setdefault(name, State.OPEN)
        order = {"order_id": ORDER_ID, "product_id": "BTC-USD", "side": "BUY"}
        return {
            "success": True,
            "order_id": ORDER_ID,
            "success_response": {**order, "client_order_id": name},
        }

    def _cancel(self, asked: Request) -> Any:
        for name in self.orders:
            self.end(name)
        return {"results": [{"success": True, "failure_reason": "", "order_id": ORDER_ID}]}

    def _list(self, asked: Request) -> Any:
        is_open = asked.fields.get("order_status") == "OPEN"
        names = self.listed(asked, *(LIVE if is_open else State))
        return {"orders": [_order(name, self.orders[name]) for name in names], "has_next": False}


def _order(name: str, state: State) -> dict[str, Any]:
    return {
        "order_id": ORDER_ID,
        "client_order_id": name,
        "product_id": "BTC-USD",
        "side": "BUY",
        "status": _STATUSES[state],
        "time_in_force": "GOOD_UNTIL_CANCELLED",
        "created_time": _TRADED_AT,
        "completion_percentage": "0",
        "filled_size": FILLED_IN.get(state, "0"),
        "average_filled_price": "0",
        "number_of_fills": "0",
        "filled_value": "0",
        "pending_cancel": False,
        "size_in_quote": False,
        "total_fees": "0",
        "order_type": "LIMIT",
        "order_configuration": {
            "limit_limit_gtc": {"base_size": QUANTITY, "limit_price": PRICE, "post_only": True}
        },
    }


_MARKET = {
    "product_id": "BTC-USD",
    "price": PRICE,
    "base_increment": "0.00001",
    "quote_increment": "0.01",
    "quote_min_size": "1",
    "quote_max_size": "150000000",
    "base_min_size": "0.00005",
    "base_max_size": "3400",
    "is_disabled": False,
    "status": "online",
    "trading_disabled": False,
    "product_type": "SPOT",
    "quote_currency_id": "USD",
    "base_currency_id": "BTC",
    "price_increment": "0.01",
    "volume_24h": "1",
    "price_percentage_change_24h": "1",
    "volume_percentage_change_24h": "1",
}
_FEES = {"fee_tier": {"taker_fee_rate": "0.008", "maker_fee_rate": "0.006"}}
_TICKER = {"trades": [], "best_bid": "39999.9", "best_ask": "40000.1"}
_WALLET = {
    "uuid": "8bfc20d7-f7c6-4422-bf07-8243ca4169fe",
    "name": "USD Wallet",
    "currency": "USD",
    "available_balance": {"value": FREE, "currency": "USD"},
    "hold": {"value": LOCKED, "currency": "USD"},
    "type": "ACCOUNT_TYPE_FIAT",
    "active": True,
    "ready": True,
}
_TRADE = {
    "entry_id": "b88b82cc89e326a2778874795102cbafd08dd979a2a7a3c69603fc4c23c2e010",
    "trade_id": "cdc39e45-bbd3-44ec-bf02-61742dfb16a1",
    "order_id": ORDER_ID,
    "trade_time": _TRADED_AT,
    "trade_type": "FILL",
    "price": PRICE,
    "size": FILLED,
    "commission": "0.96",
    "product_id": "BTC-USD",
    "sequence_timestamp": _TRADED_AT,
    "liquidity_indicator": "MAKER",
    "size_in_quote": False,
    "side": "BUY",
}

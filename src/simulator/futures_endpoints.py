"""Every call of the futures market: over REST by path, over its WebSocket API by method."""

from simulator import (
    futures_account_api,
    futures_api,
    futures_market_api,
    futures_params,
    market_api,
)
from simulator.call import Endpoints, keyed, public, signed

_ORDER_REQUIRED = " ".join(futures_params.ORDER_REQUIRED)
_ORDER_OPTIONAL = " ".join(futures_params.ORDER_OPTIONAL)
_NAMED = "orderId origClientOrderId"
_WINDOW = "startTime endTime limit"

ENDPOINTS: Endpoints = {
    ("GET", "/fapi/v1/ping"): public(market_api.ping, 1),
    ("GET", "/fapi/v1/time"): public(market_api.server_time, 1),
    ("GET", "/fapi/v1/exchangeInfo"): public(futures_market_api.exchange_info, 1),
    ("GET", "/fapi/v1/depth"): public(futures_market_api.depth, 20, "symbol", "limit"),
    ("GET", "/fapi/v1/trades"): public(futures_market_api.recent_trades, 5, "symbol", "limit"),
    ("GET", "/fapi/v1/aggTrades"): public(
        futures_market_api.aggregate_trades, 20, "symbol", f"fromId {_WINDOW}"
    ),
    ("GET", "/fapi/v1/klines"): public(market_api.klines, 5, "symbol interval", _WINDOW),
    ("GET", "/fapi/v1/ticker/24hr"): public(futures_market_api.ticker_day, 1, "", "symbol"),
    ("GET", "/fapi/v1/ticker/price"): public(futures_market_api.ticker_price, 1, "", "symbol"),
    ("GET", "/fapi/v2/ticker/price"): public(futures_market_api.ticker_price, 1, "", "symbol"),
    ("GET", "/fapi/v1/ticker/bookTicker"): public(futures_market_api.book_ticker, 2, "", "symbol"),
    ("GET", "/fapi/v1/premiumIndex"): public(futures_market_api.premium_index, 1, "", "symbol"),
    ("GET", "/fapi/v1/fundingRate"): public(
        futures_market_api.funding_rates, 1, "", f"symbol {_WINDOW}"
    ),
    ("GET", "/fapi/v1/fundingInfo"): public(futures_market_api.funding_info, 1),
    ("POST", "/fapi/v1/order"): signed(futures_api.place, 1, _ORDER_REQUIRED, _ORDER_OPTIONAL),
    ("POST", "/fapi/v1/order/test"): signed(
        futures_api.test_order, 1, _ORDER_REQUIRED, _ORDER_OPTIONAL
    ),
    ("GET", "/fapi/v1/order"): signed(futures_api.query, 1, "symbol", _NAMED),
    ("DELETE", "/fapi/v1/order"): signed(futures_api.cancel, 1, "symbol", _NAMED),
    ("PUT", "/fapi/v1/order"): signed(
        futures_api.amend, 1, "symbol side quantity price", f"{_NAMED} positionSide"
    ),
    ("POST", "/fapi/v1/batchOrders"): signed(futures_api.place_batch, 5, "batchOrders"),
    ("PUT", "/fapi/v1/batchOrders"): signed(futures_api.amend_batch, 5, "batchOrders"),
    ("DELETE", "/fapi/v1/batchOrders"): signed(
        futures_api.cancel_batch,
        1,
        "symbol",
        "orderIdList origClientOrderIdList orderidlist origclientorderidlist",
    ),
    ("GET", "/fapi/v1/openOrder"): signed(futures_api.query_open, 1, "symbol", _NAMED),
    ("GET", "/fapi/v1/openOrders"): signed(futures_api.open_orders, 1, "", "symbol"),
    ("DELETE", "/fapi/v1/allOpenOrders"): signed(futures_api.cancel_all, 1, "symbol"),
    ("POST", "/fapi/v1/countdownCancelAll"): signed(
        futures_api.countdown, 10, "symbol countdownTime"
    ),
    ("GET", "/fapi/v1/allOrders"): signed(
        futures_api.all_orders, 5, "symbol", f"orderId {_WINDOW}"
    ),
    ("GET", "/fapi/v1/userTrades"): signed(
        futures_api.user_trades, 5, "symbol", f"orderId fromId {_WINDOW}"
    ),
    ("GET", "/fapi/v1/forceOrders"): signed(
        futures_api.force_orders, 20, "", f"symbol autoCloseType {_WINDOW}"
    ),
    ("GET", "/fapi/v2/account"): signed(futures_account_api.account_v2, 5),
    ("GET", "/fapi/v3/account"): signed(futures_account_api.account_v3, 5),
    ("GET", "/fapi/v2/balance"): signed(futures_account_api.balance, 5),
    ("GET", "/fapi/v3/balance"): signed(futures_account_api.balance, 5),
    ("GET", "/fapi/v2/positionRisk"): signed(futures_account_api.position_risk_v2, 5, "", "symbol"),
    ("GET", "/fapi/v3/positionRisk"): signed(futures_account_api.position_risk_v3, 5, "", "symbol"),
    ("POST", "/fapi/v1/leverage"): signed(futures_account_api.set_leverage, 1, "symbol leverage"),
    ("POST", "/fapi/v1/marginType"): signed(
        futures_account_api.set_margin_type, 1, "symbol marginType"
    ),
    ("GET", "/fapi/v1/leverageBracket"): signed(
        futures_account_api.leverage_brackets, 1, "", "symbol"
    ),
    ("GET", "/fapi/v1/positionSide/dual"): signed(futures_account_api.position_side, 30),
    ("POST", "/fapi/v1/positionSide/dual"): signed(
        futures_account_api.set_position_side, 1, "dualSidePosition"
    ),
    ("GET", "/fapi/v1/symbolConfig"): signed(futures_account_api.symbol_configs, 5, "", "symbol"),
    ("GET", "/fapi/v1/accountConfig"): signed(futures_account_api.account_config, 5),
    ("GET", "/fapi/v1/income"): signed(
        futures_account_api.incomes, 30, "", f"symbol incomeType page {_WINDOW}"
    ),
    ("GET", "/fapi/v1/commissionRate"): signed(futures_account_api.commission_rate, 20, "symbol"),
    ("POST", "/fapi/v1/listenKey"): keyed(futures_account_api.create_listen_key, 1),
    ("PUT", "/fapi/v1/listenKey"): keyed(futures_account_api.keep_listen_key, 1, "", "listenKey"),
    ("DELETE", "/fapi/v1/listenKey"): keyed(
        futures_account_api.close_listen_key, 1, "", "listenKey"
    ),
}

#: Calls of the WebSocket API that are those of REST.
METHODS = {
    "ping": ("GET", "/fapi/v1/ping"),
    "time": ("GET", "/fapi/v1/time"),
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v1/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "order.place": ("POST", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
}

"""Every call of the spot market: over REST by path, over the WebSocket API by method."""

from simulator import market_api, params, spot_api
from simulator.call import Endpoints, public, signed

_ORDER = " ".join(params.ORDER_REQUIRED), " ".join(params.ORDER_OPTIONAL)
_WINDOW = "startTime endTime limit"

ENDPOINTS: Endpoints = {
    ("GET", "/api/v3/ping"): public(market_api.ping, 1),
    ("GET", "/api/v3/time"): public(market_api.server_time, 1),
    ("GET", "/api/v3/exchangeInfo"): public(
        market_api.exchange_info, 20, "", "symbol symbols permissions"
    ),
    ("GET", "/api/v3/depth"): public(market_api.depth, 5, "symbol", "limit"),
    ("GET", "/api/v3/trades"): public(market_api.recent_trades, 25, "symbol", "limit"),
    ("GET", "/api/v3/aggTrades"): public(
        market_api.aggregate_trades, 4, "symbol", f"fromId {_WINDOW}"
    ),
    ("GET", "/api/v3/klines"): public(market_api.klines, 2, "symbol interval", _WINDOW),
    ("GET", "/api/v3/ticker/24hr"): public(market_api.ticker_day, 2, "", "symbol symbols"),
    ("GET", "/api/v3/ticker/price"): public(market_api.ticker_price, 2, "", "symbol symbols"),
    ("GET", "/api/v3/ticker/bookTicker"): public(market_api.book_ticker, 2, "", "symbol symbols"),
    ("POST", "/api/v3/order"): signed(spot_api.place_order, 1, *_ORDER),
    ("POST", "/api/v3/order/test"): signed(spot_api.test_order, 1, *_ORDER),
    ("GET", "/api/v3/order"): signed(
        spot_api.query_order, 4, "symbol", "orderId origClientOrderId"
    ),
    ("DELETE", "/api/v3/order"): signed(
        spot_api.cancel_order, 1, "symbol", "orderId origClientOrderId newClientOrderId"
    ),
    ("POST", "/api/v3/order/cancelReplace"): signed(
        spot_api.cancel_replace,
        1,
        f"{_ORDER[0]} cancelReplaceMode",
        f"{_ORDER[1]} cancelOrderId cancelOrigClientOrderId cancelNewClientOrderId",
    ),
    ("GET", "/api/v3/openOrders"): signed(spot_api.open_orders, 6, "", "symbol"),
    ("DELETE", "/api/v3/openOrders"): signed(spot_api.cancel_all, 1, "symbol"),
    ("GET", "/api/v3/allOrders"): signed(spot_api.all_orders, 20, "symbol", f"orderId {_WINDOW}"),
    ("GET", "/api/v3/myTrades"): signed(
        spot_api.my_trades, 20, "symbol", f"orderId fromId {_WINDOW}"
    ),
    ("GET", "/api/v3/account"): signed(spot_api.account, 20, "", "omitZeroBalances"),
    ("GET", "/sapi/v1/asset/tradeFee"): signed(spot_api.trade_fees, 1, "", "symbol"),
}

#: Calls of the WebSocket API that are those of REST.
METHODS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "depth": ("GET", "/api/v3/depth"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "trades.aggregate": ("GET", "/api/v3/aggTrades"),
    "klines": ("GET", "/api/v3/klines"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "myTrades": ("GET", "/api/v3/myTrades"),
    "account.status": ("GET", "/api/v3/account"),
}

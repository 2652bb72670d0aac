"""JSON of public data as the venue writes it: rules, trades, candles, 24-hour statistics."""

from collections.abc import Iterable
from typing import Any

from simulator.config import Limits, Rules
from simulator.market import Quote
from simulator.records import OrderType
from simulator.tape import Candle
from simulator.units import UNIT, format_e8, notional_e8
from simulator.venue import PublicTrade
from simulator.wire import PREVENTION_MODE, ZERO

Level = tuple[int, int]  # (price, quantity) in 1e-8


def public_trade(trade: PublicTrade) -> dict[str, Any]:
    return {
        "id": trade.trade_id,
        "price": format_e8(trade.price_e8),
        "qty": format_e8(trade.quantity_e8),
        "quoteQty": format_e8(notional_e8(trade.price_e8, trade.quantity_e8)),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def aggregate_trade(trade: PublicTrade) -> dict[str, Any]:
    return {
        "a": trade.trade_id,
        "p": format_e8(trade.price_e8),
        "q": format_e8(trade.quantity_e8),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def kline(candle: Candle) -> list[Any]:
    return [
        candle.open_ms,
        format_e8(candle.open_e8),
        format_e8(candle.high_e8),
        format_e8(candle.low_e8),
        format_e8(candle.close_e8),
        format_e8(candle.volume_e8),
        candle.open_ms + 59_999,
        format_e8(candle.quote_volume_e8),
        candle.count,
        format_e8(candle.taker_buy_volume_e8),
        format_e8(candle.taker_buy_quote_e8),
        "0",
    ]


def day_statistics(symbol: str, day: Candle, bid: Level, ask: Level, now_ms: int) -> dict[str, Any]:
    change, percent, average = day_change(day)
    return {
        "symbol": symbol,
        "priceChange": change,
        "priceChangePercent": percent,
        "weightedAvgPrice": average,
        "prevClosePrice": format_e8(day.open_e8),
        "lastPrice": format_e8(day.close_e8),
        "lastQty": format_e8(0),
        "bidPrice": format_e8(bid[0]),
        "bidQty": format_e8(bid[1]),
        "askPrice": format_e8(ask[0]),
        "askQty": format_e8(ask[1]),
        "openPrice": format_e8(day.open_e8),
        "highPrice": format_e8(day.high_e8),
        "lowPrice": format_e8(day.low_e8),
        "volume": format_e8(day.volume_e8),
        "quoteVolume": format_e8(day.quote_volume_e8),
        "openTime": day.open_ms,
        "closeTime": now_ms,
        "firstId": day.first_trade_id,
        "lastId": day.last_trade_id,
        "count": day.count,
    }


def day_change(day: Candle) -> tuple[str, str, str]:
    """Change, change in percent and volume-weighted average price."""
    change_e8 = day.close_e8 - day.open_e8
    percent_e8 = change_e8 * 100 * UNIT // day.open_e8 if day.open_e8 else 0
    average_e8 = day.quote_volume_e8 * UNIT // day.volume_e8 if day.volume_e8 else 0
    return format_e8(change_e8), format_e8(percent_e8), format_e8(average_e8)


def mini_ticker(symbol: str, day: Candle, now_ms: int) -> dict[str, Any]:
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": symbol,
        "c": format_e8(day.close_e8),
        "o": format_e8(day.open_e8),
        "h": format_e8(day.high_e8),
        "l": format_e8(day.low_e8),
        "v": format_e8(day.volume_e8),
        "q": format_e8(day.quote_volume_e8),
    }


def ticker(symbol: str, day: Candle, bid: Level, ask: Level, now_ms: int) -> dict[str, Any]:
    change, percent, average = day_change(day)
    return {
        **mini_ticker(symbol, day, now_ms),
        "e": "24hrTicker",
        "p": change,
        "P": percent,
        "w": average,
        "b": format_e8(bid[0]),
        "B": format_e8(bid[1]),
        "a": format_e8(ask[0]),
        "A": format_e8(ask[1]),
        "O": day.open_ms,
        "C": now_ms,
        "F": day.first_trade_id,
        "L": day.last_trade_id,
        "n": day.count,
    }


def trade_event(trade: PublicTrade) -> dict[str, Any]:
    return {
        "e": "trade",
        "E": trade.time_ms,
        "s": trade.symbol,
        "t": trade.trade_id,
        "p": format_e8(trade.price_e8),
        "q": format_e8(trade.quantity_e8),
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def book_ticker_event(symbol: str, quote: Quote, update_id: int) -> dict[str, Any]:
    return {
        "u": update_id,
        "s": symbol,
        "b": format_e8(quote.bid_e8),
        "B": format_e8(quote.bid_quantity_e8),
        "a": format_e8(quote.ask_e8),
        "A": format_e8(quote.ask_quantity_e8),
    }


def symbol_rules(rules: Rules, limits: Limits) -> dict[str, Any]:
    """One entry of exchangeInfo."""
    price_max = format_e8(rules.tick_e8 * 10**8)
    lot = {
        "minQty": format_e8(rules.min_quantity_e8),
        "maxQty": format_e8(rules.max_quantity_e8),
    }
    return {
        "symbol": rules.symbol,
        "status": "TRADING",
        "baseAsset": rules.base,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [kind.value for kind in OrderType],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": format_e8(rules.tick_e8),
                "maxPrice": price_max,
                "tickSize": format_e8(rules.tick_e8),
            },
            {"filterType": "LOT_SIZE", **lot, "stepSize": format_e8(rules.step_e8)},
            {"filterType": "MARKET_LOT_SIZE", **lot, "stepSize": ZERO},
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": "5",
                "bidMultiplierDown": "0.2",
                "askMultiplierUp": "5",
                "askMultiplierDown": "0.2",
                "avgPriceMins": 0,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": format_e8(rules.min_notional_e8),
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": limits.open_orders_per_symbol},
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": PREVENTION_MODE,
        "allowedSelfTradePreventionModes": [PREVENTION_MODE],
    }


def exchange_info(rules: Iterable[Rules], limits: Limits, now_ms: int) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": limits.weight_per_minute,
            },
            {
                "rateLimitType": "ORDERS",
                "interval": "SECOND",
                "intervalNum": 10,
                "limit": limits.orders_per_10s,
            },
        ],
        "exchangeFilters": [],
        "symbols": [symbol_rules(item, limits) for item in rules],
    }

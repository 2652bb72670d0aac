"""JSON of public data as the venue writes it: rules, trades, candles, 24-hour statistics."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.config import Limits
from simulator.outbox import PublicTrade
from simulator.prices import Quote
from simulator.symbols import Rules
from simulator.tape import INTERVALS_MS, Candle
from simulator.units import UNIT, format_e8, notional_e8
from simulator.wire import PREVENTION_MODE, SPOT_ORDER_TYPES, ZERO

Level = tuple[int, int]  # (price, quantity) in 1e-8


@dataclass(frozen=True, slots=True)
class DepthIds:
    """Update ids of a depth event; `before` is the last one of the event before it."""

    before: int
    first: int
    last: int


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


def kline(candle: Candle, interval_ms: int) -> list[Any]:
    return [
        candle.open_ms,
        format_e8(candle.open_e8),
        format_e8(candle.high_e8),
        format_e8(candle.low_e8),
        format_e8(candle.close_e8),
        format_e8(candle.volume_e8),
        candle.open_ms + interval_ms - 1,
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


def kline_event(
    symbol: str, interval: str, candle: Candle, now_ms: int, *, closed: bool
) -> dict[str, Any]:
    """Of either market."""
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": candle.open_ms,
            "T": candle.open_ms + INTERVALS_MS[interval] - 1,
            "s": symbol,
            "i": interval,
            "f": candle.first_trade_id,
            "L": candle.last_trade_id,
            "o": format_e8(candle.open_e8),
            "c": format_e8(candle.close_e8),
            "h": format_e8(candle.high_e8),
            "l": format_e8(candle.low_e8),
            "v": format_e8(candle.volume_e8),
            "n": candle.count,
            "x": closed,
            "q": format_e8(candle.quote_volume_e8),
            "V": format_e8(candle.taker_buy_volume_e8),
            "Q": format_e8(candle.taker_buy_quote_e8),
            "B": "0",
        },
    }


def trade_events(trade: PublicTrade) -> dict[str, dict[str, Any]]:
    """Events of a trade by the kind of stream; every trade is its own aggregate here."""
    return {"trade": trade_event(trade), "aggTrade": aggregate_trade_event(trade)}


def aggregate_trade_event(trade: PublicTrade) -> dict[str, Any]:
    event = {"e": "aggTrade", "E": trade.time_ms, "s": trade.symbol}
    return {**event, **aggregate_trade(trade)}


def depth_event(
    symbol: str, ids: DepthIds, bids: list[list[str]], asks: list[list[str]], now_ms: int
) -> dict[str, Any]:
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "s": symbol,
        "U": ids.first,
        "u": ids.last,
        "b": bids,
        "a": asks,
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


def book_ticker_event(
    symbol: str,
    quote: Quote,
    update_id: int,
    now_ms: int,
) -> dict[str, Any]:
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
        "orderTypes": list(SPOT_ORDER_TYPES),
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

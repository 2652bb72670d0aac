"""Public futures JSON as the venue writes it: contracts, mark prices, events with more fields."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator import wire_market
from simulator.config import Limits
from simulator.futures_filters import (
    MULTIPLIER_DOWN_E8,
    MULTIPLIER_UP_E8,
    price_decimals,
    quantity_decimals,
)
from simulator.outbox import PublicTrade
from simulator.prices import Quote
from simulator.records import FundingSettled
from simulator.symbols import Rules
from simulator.units import format_e8, format_plain

ORDER_TYPES = ("LIMIT", "MARKET")
#: Contracts began at this time and never deliver, in the venue's numbers.
ONBOARD_MS = 1_569_398_400_000
NEVER_MS = 4_133_404_800_000
#: The same for every contract and of no effect, as on the venue: brackets say what counts.
MAINTENANCE_PERCENT = "2.5000"
INITIAL_PERCENT = "5.0000"


@dataclass(frozen=True, slots=True)
class Mark:
    """A contract's mark price and what its next funding will be."""

    symbol: str
    price_e8: int
    rate_e8: int
    next_funding_ms: int


def contract(rules: Rules, limits: Limits) -> dict[str, Any]:
    """One entry of exchangeInfo."""
    lot = {"minQty": format_plain(rules.min_quantity_e8), "stepSize": format_plain(rules.step_e8)}
    return {
        "symbol": rules.symbol,
        "pair": rules.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": NEVER_MS,
        "onboardDate": ONBOARD_MS,
        "status": "TRADING",
        "maintMarginPercent": MAINTENANCE_PERCENT,
        "requiredMarginPercent": INITIAL_PERCENT,
        "baseAsset": rules.base,
        "quoteAsset": rules.quote,
        "marginAsset": rules.quote,
        "pricePrecision": price_decimals(rules),
        "quantityPrecision": quantity_decimals(rules),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": format_plain(rules.tick_e8),
                "maxPrice": format_plain(rules.tick_e8 * 10**8),
                "tickSize": format_plain(rules.tick_e8),
            },
            {
                "filterType": "LOT_SIZE",
                **lot,
                "maxQty": format_plain(rules.max_quantity_e8),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                **lot,
                "maxQty": format_plain(rules.market_max_quantity_e8),
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": limits.open_orders_per_symbol},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 0},
            {"filterType": "MIN_NOTIONAL", "notional": format_plain(rules.min_notional_e8)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": format_plain(MULTIPLIER_UP_E8),
                "multiplierDown": format_plain(MULTIPLIER_DOWN_E8),
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": list(ORDER_TYPES),
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "permissionSets": [],
    }


def exchange_info(rules: Iterable[Rules], limits: Limits, now_ms: int) -> dict[str, Any]:
    contracts = [contract(item, limits) for item in rules]
    document = wire_market.exchange_info((), limits, now_ms)
    document |= {
        "futuresType": "U_MARGINED",
        "assets": [
            {"asset": asset, "marginAvailable": True, "autoAssetExchange": None}
            for asset in sorted({item["marginAsset"] for item in contracts})
        ],
        "symbols": contracts,
    }
    return document


def premium_index(mark: Mark, now_ms: int) -> dict[str, Any]:
    price = format_e8(mark.price_e8)
    return {
        "symbol": mark.symbol,
        "markPrice": price,
        "indexPrice": price,
        "estimatedSettlePrice": price,
        "lastFundingRate": format_e8(mark.rate_e8),
        "interestRate": "0.00000000",
        "nextFundingTime": mark.next_funding_ms,
        "time": now_ms,
    }


def mark_event(mark: Mark, now_ms: int) -> dict[str, Any]:
    price = format_e8(mark.price_e8)
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": mark.symbol,
        "p": price,
        "i": price,
        "P": price,
        "r": format_e8(mark.rate_e8),
        "T": mark.next_funding_ms,
    }


def funding_rate(record: FundingSettled) -> dict[str, Any]:
    return {
        "symbol": record.symbol,
        "fundingTime": record.time_ms,
        "fundingRate": format_e8(record.rate_e8),
        "markPrice": format_e8(record.mark_price_e8),
    }


def public_trade(trade: PublicTrade) -> dict[str, Any]:
    document = wire_market.public_trade(trade)
    del document["isBestMatch"]
    return document


def aggregate_trade(trade: PublicTrade) -> dict[str, Any]:
    document = wire_market.aggregate_trade(trade)
    del document["M"]
    return document


def trade_events(trade: PublicTrade) -> dict[str, dict[str, Any]]:
    events = wire_market.trade_events(trade)
    for event in events.values():
        del event["M"]
    events["trade"]["X"] = "MARKET"
    return events


def depth_event(
    symbol: str,
    ids: wire_market.DepthIds,
    bids: list[list[str]],
    asks: list[list[str]],
    now_ms: int,
) -> dict[str, Any]:
    """With the time of the change and the id that the event before ended with."""
    event = wire_market.depth_event(symbol, ids, bids, asks, now_ms)
    return {**event, "T": now_ms, "pu": ids.before}


def book_ticker_event(symbol: str, quote: Quote, update_id: int, now_ms: int) -> dict[str, Any]:
    event = wire_market.book_ticker_event(symbol, quote, update_id, now_ms)
    return {"e": "bookTicker", **event, "T": now_ms, "E": now_ms}

"""Futures JSON as the venue writes it: orders, trades, and events about them."""

from typing import Any

from simulator.positions import Carried
from simulator.records import OrderFilled, Side
from simulator.state import Order
from simulator.units import UNIT, format_e8, format_plain
from simulator.wire import PREVENTION_MODE

ZERO = "0"


def order(item: Order) -> dict[str, Any]:
    """As every call shows an order; placing and cancelling add `cumQty`."""
    return {
        "orderId": item.order_id,
        "symbol": item.symbol,
        "status": item.status,
        "clientOrderId": item.client_order_id,
        "price": format_plain(item.price_e8),
        "avgPrice": average_price(item),
        "origQty": format_plain(item.quantity_e8),
        "executedQty": format_plain(item.executed_e8),
        "cumQuote": format_plain(item.executed_quote_e8),
        "timeInForce": item.time_in_force,
        "type": item.type,
        "reduceOnly": item.reduce_only,
        "closePosition": False,
        "side": item.side,
        "positionSide": "BOTH",
        "stopPrice": ZERO,
        "workingType": "CONTRACT_PRICE",
        "priceMatch": "NONE",
        "selfTradePreventionMode": PREVENTION_MODE,
        "goodTillDate": 0,
        "priceProtect": False,
        "origType": item.type,
        "time": item.time_ms,
        "updateTime": item.update_ms,
    }


def order_reply(item: Order, detail: str) -> dict[str, Any]:
    """What placing answers: as it was accepted (ACK), or as it stands after matching (RESULT)."""
    reply = order(item)
    del reply["time"]
    reply["cumQty"] = reply["executedQty"]
    if detail == "ACK":
        reply |= {"status": "NEW", "avgPrice": "0.00", "updateTime": item.time_ms}
        reply |= {"executedQty": ZERO, "cumQty": ZERO, "cumQuote": ZERO}
    return reply


def average_price(item: Order) -> str:
    if item.executed_e8 == 0:
        return "0.00"
    return format_plain(item.executed_quote_e8 * UNIT // item.executed_e8)


def own_trade(fill: OrderFilled) -> dict[str, Any]:
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": fill.side,
        "price": format_plain(fill.price_e8),
        "qty": format_plain(fill.quantity_e8),
        "realizedPnl": format_e8(fill.realised_e8),
        "quoteQty": format_e8(fill.quote_e8),
        "commission": format_e8(fill.fee_e8),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "positionSide": "BOTH",
        "buyer": fill.side is Side.BUY,
        "maker": fill.maker,
    }


def order_update(item: Order, execution: str, carried: Carried, now_ms: int) -> dict[str, Any]:
    """The user stream's order event; the letters are the venue's."""
    fill = item.fills[-1] if execution in {"TRADE", "CALCULATED"} else None
    detail: dict[str, Any] = {
        "s": item.symbol,
        "c": item.client_order_id,
        "S": item.side,
        "o": item.type,
        "f": item.time_in_force,
        "q": format_plain(item.quantity_e8),
        "p": format_plain(item.price_e8),
        "ap": average_price(item),
        "sp": ZERO,
        "x": execution,
        "X": item.status,
        "i": item.order_id,
        "l": format_plain(fill.quantity_e8) if fill else ZERO,
        "z": format_plain(item.executed_e8),
        "L": format_plain(fill.price_e8) if fill else ZERO,
        "T": item.update_ms,
        "t": fill.trade_id if fill else 0,
        "b": format_plain(carried.bids_e8),
        "a": format_plain(carried.asks_e8),
        "m": fill.maker if fill else False,
        "R": item.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": item.type,
        "ps": "BOTH",
        "cp": False,
        "rp": format_plain(fill.realised_e8) if fill else ZERO,
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": PREVENTION_MODE,
        "pm": "NONE",
        "gtd": 0,
    }
    if fill:
        detail |= {"N": fill.fee_asset, "n": format_plain(fill.fee_e8)}
    return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": item.update_ms, "o": detail}


def force_order_event(item: Order, now_ms: int) -> dict[str, Any]:
    """The public stream's word of a liquidation."""
    return {
        "e": "forceOrder",
        "E": now_ms,
        "o": {
            "s": item.symbol,
            "S": item.side,
            "o": "LIMIT",
            "f": item.time_in_force,
            "q": format_plain(item.quantity_e8),
            "p": format_plain(item.price_e8),
            "ap": average_price(item),
            "X": item.status,
            "l": format_plain(item.executed_e8),
            "z": format_plain(item.executed_e8),
            "T": item.update_ms,
        },
    }

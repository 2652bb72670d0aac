"""JSON as the venue writes it: orders, trades, balances, rules, user events."""

from collections.abc import Iterable, Mapping
from typing import Any

from simulator.records import Deposited, OrderFilled, OrderRequest, OrderType, Side, Status
from simulator.spot_state import Balance
from simulator.state import Order
from simulator.symbols import Rules
from simulator.units import format_e8

ZERO = format_e8(0)
PREVENTION_MODE = "EXPIRE_MAKER"
SPOT_ORDER_TYPES = (OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.MARKET)


def order(item: Order) -> dict[str, Any]:
    """As GET order, openOrders and allOrders show it."""
    return {
        "symbol": item.symbol,
        "orderId": item.order_id,
        "orderListId": -1,
        "clientOrderId": item.client_order_id,
        **_amounts(item),
        "stopPrice": ZERO,
        "icebergQty": ZERO,
        "time": item.time_ms,
        "updateTime": item.update_ms,
        "isWorking": True,
        "workingTime": item.time_ms,
        "selfTradePreventionMode": PREVENTION_MODE,
    }


def order_reply(item: Order, detail: str) -> dict[str, Any]:
    """What placing an order answers, at detail ACK, RESULT or FULL."""
    reply: dict[str, Any] = {
        "symbol": item.symbol,
        "orderId": item.order_id,
        "orderListId": -1,
        "clientOrderId": item.client_order_id,
        "transactTime": item.update_ms,
    }
    if detail == "ACK":
        return reply
    reply |= _amounts(item)
    reply |= {"workingTime": item.time_ms, "selfTradePreventionMode": PREVENTION_MODE}
    if detail == "FULL":
        reply["fills"] = [
            {
                "price": format_e8(fill.price_e8),
                "qty": format_e8(fill.quantity_e8),
                "commission": format_e8(fill.fee_e8),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in item.fills
        ]
    return reply


def cancel_reply(item: Order, cancel_id: str) -> dict[str, Any]:
    return {
        "symbol": item.symbol,
        "origClientOrderId": item.client_order_id,
        "orderId": item.order_id,
        "orderListId": -1,
        "clientOrderId": cancel_id,
        "transactTime": item.update_ms,
        **_amounts(item),
        "selfTradePreventionMode": PREVENTION_MODE,
    }


def own_trade(fill: OrderFilled) -> dict[str, Any]:
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": format_e8(fill.price_e8),
        "qty": format_e8(fill.quantity_e8),
        "quoteQty": format_e8(fill.quote_e8),
        "commission": format_e8(fill.fee_e8),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "isBuyer": fill.side is Side.BUY,
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def execution_report(
    item: Order, execution: str, now_ms: int, *, cancel_id: str = ""
) -> dict[str, Any]:
    """The user stream's order event; the letters are the venue's."""
    fill = item.fills[-1] if execution == "TRADE" else None
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": item.symbol,
        "c": cancel_id or item.client_order_id,
        "S": item.side,
        "o": item.type,
        "f": item.time_in_force,
        "q": format_e8(item.quantity_e8),
        "p": format_e8(item.price_e8),
        "P": ZERO,
        "F": ZERO,
        "g": -1,
        "C": item.client_order_id if cancel_id else "",
        "x": execution,
        "X": item.status,
        "r": "NONE",
        "i": item.order_id,
        "l": format_e8(fill.quantity_e8) if fill else ZERO,
        "z": format_e8(item.executed_e8),
        "L": format_e8(fill.price_e8) if fill else ZERO,
        "n": format_e8(fill.fee_e8) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": item.update_ms,
        "t": fill.trade_id if fill else -1,
        "I": item.order_id * 1000 + len(item.fills),
        "w": item.is_open and item.type is not OrderType.MARKET,
        "m": fill.maker if fill else False,
        "M": False,
        "O": item.time_ms,
        "Z": format_e8(item.executed_quote_e8),
        "Y": format_e8(fill.quote_e8) if fill else ZERO,
        "Q": format_e8(item.quote_quantity_e8),
        "W": item.time_ms,
        "V": PREVENTION_MODE,
    }


def rejection_report(request: OrderRequest, code: int, now_ms: int) -> dict[str, Any]:
    """An order that was refused: it has no id and nothing was executed."""
    refused = Order(
        account=request.account,
        symbol=request.symbol,
        order_id=-1,
        client_order_id=request.client_order_id,
        side=request.side,
        type=request.type,
        time_in_force=request.time_in_force,
        price_e8=request.price_e8,
        quantity_e8=request.quantity_e8,
        quote_quantity_e8=request.quote_quantity_e8,
        time_ms=now_ms,
        update_ms=now_ms,
        status=Status.REJECTED,
    )
    return {**execution_report(refused, "REJECTED", now_ms), "r": str(code)}


def account_position(
    balances: Mapping[str, Balance], assets: Iterable[str], now_ms: int
) -> dict[str, Any]:
    return {
        "e": "outboundAccountPosition",
        "E": now_ms,
        "u": now_ms,
        "B": [
            {
                "a": asset,
                "f": format_e8(balances[asset].free_e8),
                "l": format_e8(balances[asset].locked_e8),
            }
            for asset in sorted(assets)
        ],
    }


def balance_update(record: Deposited) -> dict[str, Any]:
    return {
        "e": "balanceUpdate",
        "E": record.time_ms,
        "a": record.asset,
        "d": format_e8(record.amount_e8),
        "T": record.time_ms,
    }


def account(balances: Mapping[str, Balance], rules: Rules, update_ms: int) -> dict[str, Any]:
    maker, taker = format_e8(rules.maker_fee_e8), format_e8(rules.taker_fee_e8)
    return {
        "makerCommission": rules.maker_fee_e8 // 10_000,
        "takerCommission": rules.taker_fee_e8 // 10_000,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": maker, "taker": taker, "buyer": ZERO, "seller": ZERO},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": update_ms,
        "accountType": "SPOT",
        "balances": [
            {
                "asset": asset,
                "free": format_e8(balance.free_e8),
                "locked": format_e8(balance.locked_e8),
            }
            for asset, balance in sorted(balances.items())
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def trade_fee(rules: Rules) -> dict[str, Any]:
    return {
        "symbol": rules.symbol,
        "makerCommission": format_e8(rules.maker_fee_e8),
        "takerCommission": format_e8(rules.taker_fee_e8),
    }


def _amounts(item: Order) -> dict[str, Any]:
    return {
        "price": format_e8(item.price_e8),
        "origQty": format_e8(item.quantity_e8),
        "executedQty": format_e8(item.executed_e8),
        "origQuoteOrderQty": format_e8(item.quote_quantity_e8),
        "cummulativeQuoteQty": format_e8(item.executed_quote_e8),
        "status": item.status,
        "timeInForce": item.time_in_force,
        "type": item.type,
        "side": item.side,
    }

"""ccxt's unified structures as our values.

The client leaves every number a string (`number = str`); a float here is a defect, not data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from domain.ids import ClientOrderId, Side, VenueOrderId
from domain.instrument import Instrument, MarketKind
from domain.market import Candle, Quote
from domain.orders import OrderRecord, OrderReport, Trade, VenueStatus

#: A dictionary of ccxt's; its documentation calls it a structure.
Structure = Mapping[str, Any]

_STATUSES = {
    "open": VenueStatus.OPEN,
    "canceling": VenueStatus.OPEN,
    "closed": VenueStatus.FILLED,
    "canceled": VenueStatus.CANCELLED,
    "expired": VenueStatus.CANCELLED,
    "rejected": VenueStatus.REJECTED,
}


def to_decimal(text: object) -> Decimal:
    if not isinstance(text, str):
        raise TypeError(f"expected a number as text, got {text!r}")
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"expected a finite number, got {text!r}")
    return number


def to_order_report(order: Structure) -> OrderReport:
    status = _STATUSES[order["status"]]
    filled = to_decimal(order["filled"])
    quantity = to_decimal(order["amount"] or "0")
    if status is VenueStatus.FILLED and filled < quantity:
        # Some venues close what was filled in part and then cancelled.
        status = VenueStatus.CANCELLED
    return OrderReport(
        symbol=_text(order["symbol"]),
        # Somebody else's order may have none.
        client_order_id=ClientOrderId(order["clientOrderId"] or ""),
        venue_order_id=VenueOrderId(_text(order["id"])),
        status=status,
        filled=filled,
        side=Side(order["side"]),
        # A market order, as somebody else may have placed, has no price.
        price=to_decimal(order["price"] or "0"),
        quantity=quantity,
    )


def to_order_record(order: Structure) -> OrderRecord:
    placed_ms = int(order["timestamp"])
    return OrderRecord(
        report=to_order_report(order),
        post_only=bool(order["postOnly"]),
        reduce_only=bool(order["reduceOnly"]),
        placed_ms=placed_ms,
        changed_ms=int(order["lastUpdateTimestamp"] or placed_ms),
    )


def to_trade(trade: Structure) -> Trade:
    symbol = _text(trade["symbol"])
    side = Side(trade["side"])
    base, _, quote = symbol.partition("/")
    quote, _, settle = quote.partition(":")
    return Trade(
        symbol=symbol,
        trade_id=_text(trade["id"]),
        venue_order_id=VenueOrderId(_text(trade["order"])),
        side=side,
        price=to_decimal(trade["price"]),
        quantity=to_decimal(trade["amount"]),
        fee=to_decimal(trade["fee"]["cost"]),
        # Where nothing was charged the venue may name no asset.
        fee_asset=trade["fee"]["currency"] or (base if side is Side.BUY and not settle else quote),
        is_maker=trade["takerOrMaker"] == "maker",
        traded_ms=int(trade["timestamp"]),
        # Under the names of Binance's history and of its stream.
        realised=to_decimal(trade["info"].get("realizedPnl") or trade["info"].get("rp") or "0"),
    )


def to_quote(symbol: str, book: Structure, exchange_ms: int) -> Quote:
    """Best bid and ask, checked.

    Raises
    ------
    ValueError
        If a price is negative or not a number, if they cross, or if there is none at all.
    """
    bid, ask = (None if book[side] is None else to_decimal(book[side]) for side in ("bid", "ask"))
    if bid is None and ask is None:
        raise ValueError(f"{symbol}: neither bid nor ask")
    if any(price is not None and price <= 0 for price in (bid, ask)):
        raise ValueError(f"{symbol}: prices must be > 0, were {bid} and {ask}")
    if bid is not None and ask is not None and bid >= ask:
        raise ValueError(f"{symbol}: bid must be < ask, were {bid} and {ask}")
    return Quote(symbol=symbol, bid=bid, ask=ask, exchange_ms=exchange_ms)


def to_candle(row: Sequence[object]) -> Candle:
    """One row of ccxt's candles: start, open, high, low, close, volume.

    Raises
    ------
    ValueError
        If the prices do not fit each other.
    """
    open_ms, *prices = row[:5]
    first, high, low, close = (to_decimal(price) for price in prices)
    if not 0 < low <= min(first, close) <= max(first, close) <= high:
        raise ValueError(f"candle {open_ms}: open {first}, high {high}, low {low}, close {close}")
    return Candle(open_ms=int(str(open_ms)), open=first, high=high, low=low, close=close)


def reason_untradable(market: Structure, kind: MarketKind = MarketKind.SPOT) -> str | None:
    """Why an account of a kind does not trade a market, or `None` if it does."""
    if market["inverse"]:
        return "an inverse contract is settled in its base: profit in quote is no sum of integers"
    if kind is MarketKind.SPOT and not market["spot"]:
        return f"a {market['type']} is a contract, which accounts of market linear trade"
    if kind is MarketKind.LINEAR:
        if not market["swap"]:
            return f"a {market['type']} is no perpetual"
        if market["settle"] != market["quote"]:
            return f"it is settled in {market['settle']}, not in its quote"
        if to_decimal(market["contractSize"]) != 1:
            return f"a contract of {market['contractSize']} {market['base']}: only those of one are"
    if not market["active"]:
        return "the venue does not trade it now"
    return None


def to_instrument(account: str, market: Structure, fee: Structure) -> Instrument:
    """The first version of a market's rules; the store numbers the versions.

    Raises
    ------
    ConfigurationError
        If tick and lot do not fit the assets' smallest units.
    """
    lot_size = _step(market["precision"]["amount"])
    min_quantity = to_decimal(market["limits"]["amount"]["min"] or "0")
    min_lots = (min_quantity / lot_size).to_integral_value(ROUND_CEILING)
    return Instrument(
        account=account,
        symbol=market["symbol"],
        base=market["base"],
        quote=market["quote"],
        kind=MarketKind.SPOT if market["spot"] else MarketKind.LINEAR,
        tick_size=_step(market["precision"]["price"]),
        lot_size=lot_size,
        min_quantity_lots=max(1, int(min_lots)),
        min_notional=to_decimal(market["limits"]["cost"]["min"] or "0"),
        maker_fee=to_decimal(fee["maker"]),
        taker_fee=to_decimal(fee["taker"]),
    )


def _step(text: object) -> Decimal:
    """A tick or lot without the zeros behind it, so that prices print as people write them."""
    step = to_decimal(text)
    return step.quantize(Decimal(1)) if step == step.to_integral_value() else step.normalize()


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected a text, got {value!r}")
    return value

"""Public endpoints of both markets: time, rules, book, trades, candles, tickers."""

from collections.abc import Callable
from typing import Any

import orjson

from simulator import params, wire_market
from simulator.call import Call
from simulator.errors import VenueError, missing_parameter
from simulator.outbox import PublicTrade
from simulator.tape import INTERVALS_MS
from simulator.units import format_e8


def ping(_: Call) -> Any:
    return {}


def server_time(call: Call) -> Any:
    return {"serverTime": call.now_ms}


def exchange_info(call: Call) -> Any:
    rules = [call.market.venue.rules(symbol) for symbol in _symbols(call)]
    return wire_market.exchange_info(rules, call.market.limits, call.now_ms)


def depth(call: Call) -> Any:
    symbol = checked_symbol(call)
    most = params.limit(call.params, default=100, most=5000)
    book = call.market.venue.books[symbol]
    return {
        "lastUpdateId": book.update_id,
        "bids": [[format_e8(p), format_e8(q)] for p, q in list(book.bids.items())[:most]],
        "asks": [[format_e8(p), format_e8(q)] for p, q in list(book.asks.items())[:most]],
    }


def recent_trades(call: Call) -> Any:
    return [wire_market.public_trade(trade) for trade in latest_trades(call)]


def latest_trades(call: Call) -> list[PublicTrade]:
    most = params.limit(call.params, default=500, most=1000)
    return list(call.market.tapes[checked_symbol(call)].trades)[-most:]


def aggregate_trades(call: Call) -> Any:
    """Every trade is its own aggregate here, under its own id."""
    return [wire_market.aggregate_trade(trade) for trade in chosen_trades(call)]


def chosen_trades(call: Call) -> list[PublicTrade]:
    most = params.limit(call.params, default=500, most=1000)
    from_id = params.integer(call.params, "fromId")
    first_ms = params.integer(call.params, "startTime")
    last_ms = params.integer(call.params, "endTime")
    found = [
        trade
        for trade in call.market.tapes[checked_symbol(call)].trades
        if (from_id is None or trade.trade_id >= from_id)
        and (first_ms is None or trade.time_ms >= first_ms)
        and (last_ms is None or trade.time_ms <= last_ms)
    ]
    forwards = from_id is not None or first_ms is not None
    return found[:most] if forwards else found[-most:]


def klines(call: Call) -> Any:
    """The last candle is still open."""
    interval_ms = INTERVALS_MS.get(call.params["interval"])
    if interval_ms is None:
        raise VenueError(-1120, "Invalid interval.")
    most = params.limit(call.params, default=500, most=1500)
    first_ms = params.integer(call.params, "startTime")
    last_ms = params.integer(call.params, "endTime")
    found = [
        candle
        for candle in call.market.tapes[checked_symbol(call)].series(interval_ms, call.now_ms)
        if (first_ms is None or candle.open_ms >= first_ms)
        and (last_ms is None or candle.open_ms <= last_ms)
    ]
    return [
        wire_market.kline(candle, interval_ms)
        for candle in (found[-most:] if first_ms is None else found[:most])
    ]


def ticker_day(call: Call) -> Any:
    return _for_symbols(call, _day_statistics)


def ticker_price(call: Call) -> Any:
    return _for_symbols(call, _price)


def book_ticker(call: Call) -> Any:
    return _for_symbols(call, _best)


def checked_symbol(call: Call) -> str:
    """The symbol that was sent, which the market must have."""
    return call.market.venue.rules(call.params["symbol"]).symbol


def _symbols(call: Call) -> list[str]:
    """The symbols named by `symbol` or by the JSON list `symbols`; all of them by default."""
    if "symbol" in call.params:
        return [checked_symbol(call)]
    if "symbols" not in call.params:
        return list(call.market.symbols)
    try:
        symbols = orjson.loads(call.params["symbols"])
    except orjson.JSONDecodeError:
        raise missing_parameter("symbols") from None
    if not isinstance(symbols, list):
        raise missing_parameter("symbols")
    for symbol in symbols:
        call.market.venue.rules(symbol)
    return symbols


def _for_symbols(call: Call, describe: Callable[[Call, str], Any]) -> Any:
    """One object for one symbol, a list otherwise."""
    described = [describe(call, symbol) for symbol in _symbols(call)]
    return described[0] if "symbol" in call.params else described


def _price(call: Call, symbol: str) -> Any:
    price_e8 = call.market.venue.last_price_e8.get(symbol, 0)
    return {"symbol": symbol, "price": format_e8(price_e8)}


def _best(call: Call, symbol: str) -> Any:
    bid, ask = call.market.venue.books[symbol].best()
    return {
        "symbol": symbol,
        "bidPrice": format_e8(bid[0]),
        "bidQty": format_e8(bid[1]),
        "askPrice": format_e8(ask[0]),
        "askQty": format_e8(ask[1]),
    }


def _day_statistics(call: Call, symbol: str) -> Any:
    day = call.market.tapes[symbol].day(call.now_ms)
    bid, ask = call.market.venue.books[symbol].best()
    return wire_market.day_statistics(symbol, day, bid, ask, call.now_ms)

"""Public endpoints of futures where they differ from those of spot."""

from typing import Any

from simulator import market_api, params, wire_futures_market
from simulator.call import Call


def exchange_info(call: Call) -> Any:
    rules = call.market.venue.state.rules.values()
    return wire_futures_market.exchange_info(rules, call.market.limits, call.now_ms)


def depth(call: Call) -> Any:
    times = {"E": call.now_ms, "T": call.now_ms}
    return {**market_api.depth(call), **times}


def recent_trades(call: Call) -> Any:
    return [wire_futures_market.public_trade(trade) for trade in market_api.latest_trades(call)]


def aggregate_trades(call: Call) -> Any:
    return [wire_futures_market.aggregate_trade(trade) for trade in market_api.chosen_trades(call)]


def ticker_day(call: Call) -> Any:
    """Without the best prices and the previous day, which futures do not show here."""
    hidden = {"bidPrice", "bidQty", "askPrice", "askQty", "prevClosePrice"}
    return _mapped(
        market_api.ticker_day(call),
        lambda row: {name: value for name, value in row.items() if name not in hidden},
    )


def ticker_price(call: Call) -> Any:
    return _mapped(market_api.ticker_price(call), lambda row: {**row, "time": call.now_ms})


def book_ticker(call: Call) -> Any:
    def timed(row: dict[str, Any]) -> dict[str, Any]:
        update_id = call.market.venue.books[row["symbol"]].update_id
        return {**row, "time": call.now_ms, "lastUpdateId": update_id}

    return _mapped(market_api.book_ticker(call), timed)


def premium_index(call: Call) -> Any:
    futures = call.exchange.futures
    symbols = (
        [market_api.checked_symbol(call)] if "symbol" in call.params else list(futures.symbols)
    )
    rows = [
        wire_futures_market.premium_index(futures.mark(symbol), call.now_ms) for symbol in symbols
    ]
    return rows[0] if "symbol" in call.params else rows


def funding_rates(call: Call) -> Any:
    """Settled rates, oldest first."""
    most = params.limit(call.params, default=100, most=1000)
    first_ms = params.integer(call.params, "startTime")
    last_ms = params.integer(call.params, "endTime")
    fundings = call.exchange.futures.venue.state.fundings
    chosen = [market_api.checked_symbol(call)] if "symbol" in call.params else list(fundings)
    found = [
        record
        for name in chosen
        for record in fundings[name]
        if (first_ms is None or record.time_ms >= first_ms)
        and (last_ms is None or record.time_ms <= last_ms)
    ]
    found.sort(key=lambda record: record.time_ms)
    shown = found[-most:] if first_ms is None else found[:most]
    return [wire_futures_market.funding_rate(record) for record in shown]


def funding_info(call: Call) -> Any:
    """Contracts whose funding is not every eight hours; in whole hours, as the venue has it."""
    hours = max(1, call.exchange.config.futures.funding_interval_s // 3600)
    return [
        {
            "symbol": symbol,
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": hours,
            "disclaimer": False,
        }
        for symbol in call.exchange.futures.symbols
    ]


def _mapped(rows: Any, change: Any) -> Any:
    return [change(row) for row in rows] if isinstance(rows, list) else change(rows)

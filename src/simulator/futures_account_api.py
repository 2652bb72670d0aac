"""Endpoints of the futures account: wallet, positions, settings, income, listen keys."""

from typing import Any

from simulator import market_api, params, wire_futures_account
from simulator.call import Call
from simulator.errors import FuturesError, VenueError
from simulator.futures_state import EntryKind
from simulator.futures_venue import FuturesVenue
from simulator.positions import notional_max_e8
from simulator.units import format_e8, format_plain

_SUCCESS = {"code": 200, "msg": "success"}


def account_v2(call: Call) -> Any:
    standings = _venue(call).standings(call.account)
    return wire_futures_account.account(standings, call.now_ms, version=2)


def account_v3(call: Call) -> Any:
    standings = _venue(call).standings(call.account)
    return wire_futures_account.account(standings, call.now_ms, version=3)


def balance(call: Call) -> Any:
    standings = _venue(call).standings(call.account)
    return [
        wire_futures_account.balance(asset, item, call.now_ms) for asset, item in standings.items()
    ]


def position_risk_v2(call: Call) -> Any:
    """Every contract, held or not."""
    return _position_risk(call, version=2)


def position_risk_v3(call: Call) -> Any:
    """Only contracts with a position or open orders."""
    return _position_risk(call, version=3)


def set_leverage(call: Call) -> Any:
    symbol = market_api.checked_symbol(call)
    leverage = params.integer(call.params, "leverage") or 0
    _venue(call).configure(call.account, symbol, call.now_ms, leverage=leverage)
    call.exchange.commit()
    most = format_plain(notional_max_e8(leverage))
    return {"leverage": leverage, "maxNotionalValue": most, "symbol": symbol}


def set_margin_type(call: Call) -> Any:
    symbol = market_api.checked_symbol(call)
    wanted = call.params["marginType"]
    if wanted not in {"ISOLATED", "CROSSED"}:
        raise VenueError(-1130, "Data sent for parameter 'marginType' is not valid.")
    _venue(call).configure(call.account, symbol, call.now_ms, isolated=wanted == "ISOLATED")
    call.exchange.commit()
    return _SUCCESS


def leverage_brackets(call: Call) -> Any:
    if "symbol" in call.params:
        return [wire_futures_account.leverage_brackets(market_api.checked_symbol(call))]
    return [wire_futures_account.leverage_brackets(symbol) for symbol in _venue(call).state.rules]


def position_side(_: Call) -> Any:
    return {"dualSidePosition": False}


def set_position_side(call: Call) -> Any:
    """One-way is all there is: the wish for hedge mode is refused in the venue's words."""
    if not params.flag(call.params, "dualSidePosition"):
        raise FuturesError.POSITION_SIDE_KEPT.error()
    state = _venue(call).state
    if any(state.open_orders_of(call.account, symbol) for symbol in state.rules):
        raise FuturesError.POSITION_SIDE_HAS_ORDERS.error()
    if any(item.quantity_e8 for item in state.positions(call.account).values()):
        raise FuturesError.POSITION_SIDE_HAS_POSITION.error()
    raise FuturesError.NOT_ALLOWED.error()


def symbol_configs(call: Call) -> Any:
    positions = _venue(call).state.positions(call.account)
    chosen = [market_api.checked_symbol(call)] if "symbol" in call.params else list(positions)
    return [wire_futures_account.symbol_config(symbol, positions[symbol]) for symbol in chosen]


def account_config(_: Call) -> Any:
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def incomes(call: Call) -> Any:
    """What moved the wallet, oldest first."""
    most = params.limit(call.params, default=100, most=1000)
    page = params.integer(call.params, "page") or 1
    first_ms = params.integer(call.params, "startTime")
    last_ms = params.integer(call.params, "endTime")
    kind = call.params.get("incomeType")
    if kind is not None and kind not in set(EntryKind):
        raise VenueError(-1130, "Data sent for parameter 'incomeType' is not valid.")
    found = [
        entry
        for entry in _venue(call).state.entries[call.account]
        if kind in {None, entry.kind}
        and call.params.get("symbol", entry.symbol) == entry.symbol
        and (first_ms is None or entry.time_ms >= first_ms)
        and (last_ms is None or entry.time_ms <= last_ms)
    ]
    if first_ms is None and "page" not in call.params:
        shown = found[-most:]
    else:
        shown = found[(page - 1) * most : page * most]
    return [wire_futures_account.income(entry) for entry in shown]


def commission_rate(call: Call) -> Any:
    rules = _venue(call).rules(call.params["symbol"])
    return {
        "symbol": rules.symbol,
        "makerCommissionRate": format_e8(rules.maker_fee_e8),
        "takerCommissionRate": format_e8(rules.taker_fee_e8),
    }


def create_listen_key(call: Call) -> Any:
    return {"listenKey": call.exchange.listen_keys.create(call.account, call.now_ms)}


def keep_listen_key(call: Call) -> Any:
    return {"listenKey": call.exchange.listen_keys.keep_alive(call.account, call.now_ms)}


def close_listen_key(call: Call) -> Any:
    call.exchange.listen_keys.close(call.account)
    return {}


def _position_risk(call: Call, *, version: int) -> Any:
    venue = _venue(call)
    wanted = market_api.checked_symbol(call) if "symbol" in call.params else None
    return [
        wire_futures_account.position_risk(
            symbol,
            standing,
            venue.marks_e8.get(symbol, 0),
            venue.rules(symbol),
            version=version,
        )
        for standing in venue.standings(call.account).values()
        for symbol, item in standing.carried.items()
        if wanted in {None, symbol}
        and (version == 2 or standing.positions[symbol].quantity_e8 or item.exposure_e8)
    ]


def _venue(call: Call) -> FuturesVenue:
    return call.exchange.futures.venue

"""Futures JSON as the venue writes it: wallets, positions, settings, and events about them."""

from collections.abc import Iterable, Mapping
from typing import Any

from simulator.futures_state import Entry
from simulator.margin import Standing
from simulator.positions import BRACKETS, Carried, Position, notional_max_e8
from simulator.symbols import Rules
from simulator.units import UNIT, format_e8, format_plain

ZERO = "0"


def income(entry: Entry) -> dict[str, Any]:
    return {
        "symbol": entry.symbol,
        "incomeType": entry.kind,
        "income": format_e8(entry.amount_e8),
        "asset": entry.asset,
        "info": entry.kind,
        "time": entry.time_ms,
        "tranId": entry.number,
        "tradeId": "" if entry.trade_id is None else str(entry.trade_id),
    }


def balance(asset: str, standing: Standing, update_ms: int) -> dict[str, Any]:
    """One row of the balance calls."""
    return {
        "accountAlias": "simulated",
        "asset": asset,
        "balance": format_e8(standing.wallet_e8),
        "crossWalletBalance": format_e8(standing.cross_wallet_e8),
        "crossUnPnl": format_e8(standing.cross_unrealised_e8),
        "availableBalance": format_e8(standing.available_e8),
        "maxWithdrawAmount": format_e8(standing.withdrawable_e8),
        "marginAvailable": True,
        "updateTime": update_ms,
    }


def account(standings: Mapping[str, Standing], update_ms: int, *, version: int) -> dict[str, Any]:
    """The account; version 2 lists every position with its settings, version 3 only what is held.

    Totals are those of one asset, as the simulated account has no collateral in other ones.
    """
    assets = [_asset(asset, standing, update_ms) for asset, standing in standings.items()]
    positions = [
        _account_position(symbol, standing, version=version)
        for standing in standings.values()
        for symbol, item in standing.carried.items()
        if version == 2 or standing.positions[symbol].quantity_e8 or item.exposure_e8
    ]
    document: dict[str, Any] = {
        "totalInitialMargin": _total(item.initial_e8 for item in standings.values()),
        "totalMaintMargin": _total(item.maintenance_e8 for item in standings.values()),
        "totalWalletBalance": _total(item.wallet_e8 for item in standings.values()),
        "totalUnrealizedProfit": _total(item.unrealised_e8 for item in standings.values()),
        "totalMarginBalance": _total(item.margin_e8 for item in standings.values()),
        "totalPositionInitialMargin": _total(
            _position_initial_e8(item) for item in standings.values()
        ),
        "totalOpenOrderInitialMargin": _total(
            item.initial_e8 - _position_initial_e8(item) for item in standings.values()
        ),
        "totalCrossWalletBalance": _total(item.cross_wallet_e8 for item in standings.values()),
        "totalCrossUnPnl": _total(item.cross_unrealised_e8 for item in standings.values()),
        "availableBalance": _total(item.available_e8 for item in standings.values()),
        "maxWithdrawAmount": _total(item.withdrawable_e8 for item in standings.values()),
        "assets": assets,
        "positions": positions,
    }
    if version == 2:
        settings = {"feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True}
        document = {**settings, "multiAssetsMargin": False, "updateTime": 0, **document}
    return document


def position_risk(
    symbol: str, standing: Standing, mark_e8: int, rules: Rules, *, version: int
) -> dict[str, Any]:
    position, item = standing.positions[symbol], standing.carried[symbol]
    document: dict[str, Any] = {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": format_plain(position.quantity_e8),
        "entryPrice": format_e8(position.entry_price_e8),
        "breakEvenPrice": format_e8(position.entry_price_e8),
        "markPrice": format_e8(mark_e8),
        "unRealizedProfit": format_e8(item.unrealised_e8),
        "liquidationPrice": format_plain(standing.liquidation_price_e8(symbol, mark_e8)),
        "isolatedMargin": isolated_margin(position, item),
        "notional": format_e8(item.notional_e8),
        "isolatedWallet": format_plain(position.isolated_e8),
        "updateTime": position.update_ms,
    }
    if version == 2:
        return document | {
            "leverage": str(position.leverage),
            "maxNotionalValue": format_plain(notional_max_e8(position.leverage)),
            "marginType": margin_type(position),
            "isAutoAddMargin": "false",
        }
    return document | {
        "marginAsset": rules.quote,
        "initialMargin": format_e8(item.initial_e8),
        "maintMargin": format_e8(item.maintenance_e8),
        "positionInitialMargin": format_e8(item.position_initial_e8),
        "openOrderInitialMargin": format_e8(item.orders_initial_e8),
        "adl": 0,
        "bidNotional": format_plain(item.bids_e8),
        "askNotional": format_plain(item.asks_e8),
    }


def leverage_brackets(symbol: str) -> dict[str, Any]:
    """Numbers, not texts, as on the venue; they are exact in a double."""
    return {
        "symbol": symbol,
        "brackets": [
            {
                "bracket": bracket.number,
                "initialLeverage": bracket.leverage_max,
                "notionalCap": bracket.cap_e8 // UNIT,
                "notionalFloor": bracket.floor_e8 // UNIT,
                "maintMarginRatio": bracket.maintenance_rate_e8 / UNIT,
                "cum": bracket.deduction_e8 / UNIT,
            }
            for bracket in BRACKETS
        ],
    }


def symbol_config(symbol: str, position: Position) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "marginType": "ISOLATED" if position.isolated else "CROSSED",
        "isAutoAddMargin": False,
        "leverage": position.leverage,
        "maxNotionalValue": format_plain(notional_max_e8(position.leverage)),
    }


def account_update(
    standings: Mapping[str, Standing], reason: str, symbols: Iterable[str], now_ms: int
) -> dict[str, Any]:
    """Wallets, and the positions of the symbols that changed."""
    wanted = set(symbols)
    return {
        "e": "ACCOUNT_UPDATE",
        "E": now_ms,
        "T": now_ms,
        "a": {
            "m": reason,
            "B": [
                {
                    "a": asset,
                    "wb": format_e8(standing.wallet_e8),
                    "cw": format_e8(standing.cross_wallet_e8),
                    "bc": ZERO,
                }
                for asset, standing in standings.items()
            ],
            "P": [
                _event_position(symbol, position, standing.carried[symbol], asset)
                for asset, standing in standings.items()
                for symbol, position in standing.positions.items()
                if symbol in wanted
            ],
        },
    }


def config_update(symbol: str, leverage: int, now_ms: int) -> dict[str, Any]:
    change = {"s": symbol, "l": leverage}
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ac": change}


def margin_type(position: Position) -> str:
    return "isolated" if position.isolated else "cross"


def isolated_margin(position: Position, item: Carried) -> str:
    if not position.isolated:
        return ZERO
    return format_e8(position.isolated_e8 + item.unrealised_e8)


def _asset(asset: str, standing: Standing, update_ms: int) -> dict[str, Any]:
    position_initial_e8 = _position_initial_e8(standing)
    return {
        "asset": asset,
        "walletBalance": format_e8(standing.wallet_e8),
        "unrealizedProfit": format_e8(standing.unrealised_e8),
        "marginBalance": format_e8(standing.margin_e8),
        "maintMargin": format_e8(standing.maintenance_e8),
        "initialMargin": format_e8(standing.initial_e8),
        "positionInitialMargin": format_e8(position_initial_e8),
        "openOrderInitialMargin": format_e8(standing.initial_e8 - position_initial_e8),
        "crossWalletBalance": format_e8(standing.cross_wallet_e8),
        "crossUnPnl": format_e8(standing.cross_unrealised_e8),
        "availableBalance": format_e8(standing.available_e8),
        "maxWithdrawAmount": format_e8(standing.withdrawable_e8),
        "marginAvailable": True,
        "updateTime": update_ms,
    }


def _account_position(symbol: str, standing: Standing, *, version: int) -> dict[str, Any]:
    position, item = standing.positions[symbol], standing.carried[symbol]
    document: dict[str, Any] = {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": format_plain(position.quantity_e8),
        "unrealizedProfit": format_e8(item.unrealised_e8),
        "isolatedMargin": isolated_margin(position, item),
        "notional": format_plain(item.notional_e8),
        "isolatedWallet": format_plain(position.isolated_e8),
        "initialMargin": format_e8(item.initial_e8),
        "maintMargin": format_e8(item.maintenance_e8),
        "updateTime": position.update_ms,
    }
    if version == 3:
        return document
    return document | {
        "entryPrice": format_e8(position.entry_price_e8),
        "breakEvenPrice": format_e8(position.entry_price_e8),
        "leverage": str(position.leverage),
        "isolated": position.isolated,
        "maxNotional": format_plain(notional_max_e8(position.leverage)),
        "positionInitialMargin": format_e8(item.position_initial_e8),
        "openOrderInitialMargin": format_e8(item.orders_initial_e8),
        "bidNotional": format_plain(item.bids_e8),
        "askNotional": format_plain(item.asks_e8),
    }


def _event_position(symbol: str, position: Position, item: Carried, asset: str) -> dict[str, Any]:
    return {
        "s": symbol,
        "pa": format_plain(position.quantity_e8),
        "ep": format_e8(position.entry_price_e8),
        "bep": format_e8(position.entry_price_e8),
        "cr": format_e8(position.realised_e8),
        "up": format_e8(item.unrealised_e8),
        "mt": margin_type(position),
        "iw": format_e8(position.isolated_e8) if position.isolated else ZERO,
        "ps": "BOTH",
        "ma": asset,
    }


def _position_initial_e8(standing: Standing) -> int:
    return sum(item.position_initial_e8 for item in standing.carried.values())


def _total(amounts: Iterable[int]) -> str:
    return format_e8(sum(amounts))

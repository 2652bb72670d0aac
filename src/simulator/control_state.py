"""What the control API tells of each market: balances and positions, open orders, prices."""

from collections.abc import Mapping
from typing import Any

from simulator import wire, wire_futures, wire_futures_account
from simulator.futures_marketplace import FuturesMarketplace
from simulator.marketplace import Marketplace
from simulator.spot_venue import SpotVenue
from simulator.units import format_e8


def describe_spot(market: Marketplace[SpotVenue]) -> dict[str, Any]:
    state = market.venue.state
    accounts = {
        account: {
            "balances": {
                asset: {
                    "free": format_e8(balance.free_e8),
                    "locked": format_e8(balance.locked_e8),
                }
                for asset, balance in balances.items()
            },
            **_account(market, account),
            "open_orders": [
                wire.order(order)
                for symbol in state.rules
                for order in state.open_orders_of(account, symbol)
            ],
        }
        for account, balances in state.balances.items()
    }
    return {
        "accounts": accounts,
        "counterparty": amounts(state.counterparty_e8),
        **_prices(market),
    }


def describe_futures(market: FuturesMarketplace) -> dict[str, Any]:
    """Positions are those of version 2 of positionRisk, so every contract is there."""
    venue = market.venue
    state = venue.state
    accounts = {
        account: {
            "wallets": amounts(state.wallets_e8[account]),
            **_account(market, account),
            "positions": [
                wire_futures_account.position_risk(
                    symbol,
                    standing,
                    venue.marks_e8.get(symbol, 0),
                    venue.rules(symbol),
                    version=2,
                )
                for standing in venue.standings(account).values()
                for symbol in standing.positions
            ],
            "open_orders": [
                wire_futures.order(order)
                for symbol in state.rules
                for order in state.open_orders_of(account, symbol)
            ],
        }
        for account in state.accounts()
    }
    return {"accounts": accounts, "mark_prices": amounts(venue.marks_e8), **_prices(market)}


def amounts(found: Mapping[str, int]) -> dict[str, str]:
    return {name: format_e8(amount) for name, amount in found.items()}


def _account(market: Marketplace[Any], account: str) -> dict[str, Any]:
    state = market.venue.state
    return {
        "initial": amounts(state.initial_e8[account]),
        "deposits": amounts(state.deposits_e8[account]),
    }


def _prices(market: Marketplace[Any]) -> dict[str, Any]:
    state = market.venue.state
    return {
        "fees": amounts(state.fees_e8),
        "orders_rejected": state.rejected_count,
        "rate_refusals": market.rate_limiter.refused,
        "last_prices": amounts(market.venue.last_price_e8),
        "last_trade_ids": state.last_trade_id,
        "frozen": [symbol for symbol, feed in market.feeds.items() if feed.frozen],
    }

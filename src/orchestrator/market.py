"""A market and its price at this moment, or why there is none to trade at."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from domain.errors import RequestRefused
from domain.instrument import Instrument
from domain.market import Quote
from ports.exchange import ExchangePort


async def market_now(exchange: ExchangePort, symbol: str) -> tuple[Instrument, Quote, Decimal]:
    """A market, its quote, and the price that a grid is judged at.

    Raises
    ------
    RequestRefused
        If the market is not traded, or has no price.
    """
    instrument = listed(await exchange.load_instruments(), symbol, exchange.account)
    quote = await exchange.fetch_quote(symbol)
    price = quote.bid or quote.ask
    if price is None:
        raise RequestRefused(f"{symbol} has no price now: its book is empty")
    return instrument, quote, price


def listed(markets: Mapping[str, Instrument], symbol: str, account: str) -> Instrument:
    """One of the account's markets.

    Raises
    ------
    RequestRefused
        If there is no such market.
    """
    if symbol not in markets:
        raise RequestRefused(
            f"{symbol} is not traded on account {account}: see `gridkeeper symbol markets`"
        )
    return markets[symbol]

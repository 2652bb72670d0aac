"""What a run trades: one to three symbols of one account, its money and its margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from domain.instrument import MarketKind
from simulation.symbol import Symbol, draw_symbol

#: Base and quote; all prices begin at the same.
PAIRS = (("BTC", "USDT"), ("ETH", "USDT"), ("BTC", "USDC"))

_QUOTE = Decimal(100_000)
_BASE = Decimal(20)
#: Less than some budgets: the venue refuses what goes beyond.
_SCARCE = (Decimal(40), Decimal(200), Decimal(1_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How an account carries its contracts."""

    leverage: int
    is_isolated: bool
    #: Whether positions may be liquidated: else nothing must ever be.
    liquidates: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """What a seed trades, and with what."""

    kind: MarketKind
    symbols: tuple[Symbol, ...]
    #: What the account holds at first.
    opening: Mapping[str, Decimal]
    margin: Margin
    #: Whether the money is less than some budgets ask for.
    is_scarce: bool

    def of(self, symbols: tuple[Symbol, ...]) -> Portfolio:
        """What is left of it when only these are traded."""
        assets = {asset for each in symbols for asset in (each.market.base, each.market.quote)}
        opening = {asset: held for asset, held in self.opening.items() if asset in assets}
        return replace(self, symbols=symbols, opening=opening)


def draw_portfolio(dice: Random) -> Portfolio:
    """Draw a market, its symbols, and money that is mostly enough."""
    kind = dice.choice((MarketKind.SPOT, MarketKind.SPOT, MarketKind.LINEAR))
    count = dice.choice((1, 1, 1, 1, 1, 1, 2, 2, 3))
    symbols = tuple(draw_symbol(dice, kind, *pair) for pair in PAIRS[:count])
    is_scarce = dice.random() < 0.15
    quote = dice.choice(_SCARCE) if is_scarce else _QUOTE
    opening = {symbol.market.quote: quote for symbol in symbols}
    if kind is MarketKind.SPOT:
        opening |= {symbol.market.base: _BASE for symbol in symbols}
    return Portfolio(
        kind=kind,
        symbols=symbols,
        opening=opening,
        margin=_margin(dice),
        is_scarce=is_scarce,
    )


def _margin(dice: Random) -> Margin:
    """At twice the money the price would have to fall by half before a position ends."""
    if dice.random() < 0.2:
        return Margin(leverage=dice.choice((5, 10)), is_isolated=True, liquidates=True)
    return Margin(leverage=dice.choice((1, 2)), is_isolated=dice.random() < 0.5, liquidates=False)

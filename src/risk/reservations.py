"""What each symbol may tie up of the account's money, and whether another one still fits in.

Amounts are of whole assets, not of one grid: they are Decimals, as the account's balances are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from domain.errors import ConfigurationError
from domain.instrument import MarketKind
from grid.spec import GridSpec, Mode

#: Symbols that a refusal names.
NAMED_MAX = 5
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a symbol's slots hold; each is 0 or more."""

    #: Base of the long slots, and the quote that it cost.
    base: Decimal = NOTHING
    quote_paid: Decimal = NOTHING
    #: Base that the short slots owe, and the quote that it brought.
    base_owed: Decimal = NOTHING
    quote_received: Decimal = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The assets that a symbol turns into each other."""

    symbol: str
    kind: MarketKind
    base: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One symbol's claim on one asset."""

    symbol: str
    asset: str
    #: Field of the grid's spec that asks for it, and what that says.
    asked_in: str
    asked: Decimal
    #: How much of what is asked for one unit of the asset pays for.
    leverage: Decimal = Decimal(1)
    #: Held on top of that: bought, or received for what is to be bought back.
    gained: Decimal = NOTHING
    #: Turned into the other asset, and so no longer part of the balance.
    spent: Decimal = NOTHING

    @property
    def reserved(self) -> Decimal:
        return self.asked / self.leverage + self.gained

    @property
    def in_balance(self) -> Decimal:
        """What the account's balance must hold for it."""
        return self.reserved - self.spent


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetUse:
    """One asset of the account: free = balance + in_inventory - reserved."""

    asset: str
    #: Free plus locked; `None` where it was never read.
    balance: Decimal | None
    reserved: Decimal
    #: Spent of what is reserved: it has become inventory, or was sold short.
    in_inventory: Decimal
    free: Decimal | None
    #: What each symbol reserves.
    reserved_by: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioLimits:
    """Bounds on all symbols of the account together, on whatever nodes they run."""

    #: Most that all budgets may add up to, by quote asset; an asset without one has no bound.
    max_total_budget_quote: Mapping[str, Decimal] = field(default_factory=dict)
    #: The same for every asset that is not named above.
    max_total_budget_any_quote: Decimal | None = None
    max_symbols: int | None = None

    def budget_max(self, quote: str) -> Decimal | None:
        return self.max_total_budget_quote.get(quote, self.max_total_budget_any_quote)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserving:
    """A symbol that reserves: one of the account's, or one about to be."""

    market: Market
    spec: GridSpec
    held: Held = field(default_factory=Held)
    leverage: Decimal = Decimal(1)


def claims_of(symbol: Reserving) -> tuple[Claim, ...]:
    """What a symbol claims of each of its assets; of a perpetual's the margin alone."""
    market, spec, held = symbol.market, symbol.spec, symbol.held
    if market.kind is MarketKind.LINEAR:
        margin = Claim(
            symbol=market.symbol,
            asset=market.quote,
            asked_in="budget_quote",
            asked=spec.budget_quote,
            leverage=symbol.leverage,
        )
        return (margin,)
    quote = Claim(
        symbol=market.symbol,
        asset=market.quote,
        asked_in="budget_quote",
        # A grid that only sells first ties up no quote but what it received.
        asked=NOTHING if spec.mode is Mode.SHORT else spec.budget_quote,
        gained=held.quote_received,
        spent=held.quote_paid,
    )
    base = Claim(
        symbol=market.symbol,
        asset=market.base,
        asked_in="base_inventory",
        asked=spec.base_inventory or NOTHING,
        gained=held.base,
        spent=held.base_owed,
    )
    return quote, base


def check_reservation(
    new: Reserving,
    others: Sequence[Reserving],
    balances: Mapping[str, Decimal],
    before: Reserving | None = None,
) -> None:
    """Refuse a symbol whose claims the account's money does not cover beside those of the others.

    Parameters
    ----------
    before : Reserving, optional
        The symbol as it is, where it is to change. What does not grow is not judged: after a loss
        the account may not cover the present grid, and a smaller one must still be possible.

    Raises
    ------
    ConfigurationError
        Naming the numbers, who reserves them, and the largest value that would work.
    """
    claims = [claim for other in others for claim in claims_of(other)]
    present = {claim.asset: claim.reserved for claim in claims_of(before)} if before else {}
    for wanted in claims_of(new):
        if not wanted.asked or wanted.reserved <= present.get(wanted.asset, NOTHING):
            continue
        of_asset = [claim for claim in claims if claim.asset == wanted.asset]
        balance = balances.get(wanted.asset, NOTHING)
        free = balance - sum((claim.in_balance for claim in of_asset), NOTHING)
        if wanted.in_balance > free:
            raise _not_covered(wanted, of_asset, balance, free)


def check_portfolio(
    new: Reserving,
    others: Sequence[Reserving],
    limits: PortfolioLimits,
    before: Reserving | None = None,
) -> None:
    """Refuse a symbol that takes all of them together past a limit.

    Parameters
    ----------
    before : Reserving, optional
        The symbol as it is, where it is to change: only a larger budget is judged then.

    Raises
    ------
    ConfigurationError
        Naming the limit, what is taken of it, and the largest value that would work.
    """
    if before is not None and new.spec.budget_quote <= before.spec.budget_quote:
        return
    if before is None and limits.max_symbols is not None and len(others) >= limits.max_symbols:
        raise ConfigurationError(
            field="risk.max_symbols",
            rule=f"must leave room for {new.market.symbol}: {len(others)} symbols are there",
            value=limits.max_symbols,
            remedy="remove a symbol, or raise the limit",
        )
    quote = new.market.quote
    most = limits.budget_max(quote)
    taken = {
        other.market.symbol: other.spec.budget_quote
        for other in others
        if other.market.quote == quote
    }
    total = sum(taken.values(), NOTHING)
    if most is not None and total + new.spec.budget_quote > most:
        raise ConfigurationError(
            field="budget_quote",
            rule=f"must keep all budgets within risk.max_total_budget_quote of {_plain(most)}"
            f" {quote}, of which {_plain(total)} are taken{_by(taken)}",
            value=_plain(new.spec.budget_quote),
            remedy=_remedy(most - total, "raise the limit"),
        )


def use_of(symbols: Iterable[Reserving], balances: Mapping[str, Decimal]) -> tuple[AssetUse, ...]:
    """What every asset that is held or claimed is used for, by name."""
    claims = [claim for symbol in symbols for claim in claims_of(symbol)]
    assets = {asset for asset, amount in balances.items() if amount} | {
        claim.asset for claim in claims
    }
    return tuple(
        _asset_use(asset, [claim for claim in claims if claim.asset == asset], balances.get(asset))
        for asset in sorted(assets)
    )


def _asset_use(asset: str, claims: Sequence[Claim], balance: Decimal | None) -> AssetUse:
    reserved = sum((claim.reserved for claim in claims), NOTHING)
    spent = sum((claim.spent for claim in claims), NOTHING)
    return AssetUse(
        asset=asset,
        balance=balance,
        reserved=reserved,
        in_inventory=spent,
        free=None if balance is None else balance + spent - reserved,
        reserved_by=_reserved_by(claims),
    )


def _reserved_by(claims: Iterable[Claim]) -> dict[str, Decimal]:
    amounts = {claim.symbol: claim.reserved for claim in claims}
    return {symbol: amount for symbol, amount in amounts.items() if amount}


def _not_covered(
    wanted: Claim, others: Sequence[Claim], balance: Decimal, free: Decimal
) -> ConfigurationError:
    spent = sum((claim.spent for claim in others), wanted.spent)
    reserved = _reserved_by(others)
    if wanted.gained:
        reserved[wanted.symbol] = wanted.gained
    total = sum(reserved.values(), NOTHING)
    return ConfigurationError(
        field=wanted.asked_in,
        rule=f"must be covered by the account: a balance of {_plain(balance)} {wanted.asset}"
        f" and {_plain(spent)} in inventory, of which {_plain(total)} are reserved"
        f"{_by(reserved)}",
        value=_plain(wanted.asked),
        remedy=_remedy((free + wanted.spent - wanted.gained) * wanted.leverage, "fund the account"),
    )


def _by(amounts: Mapping[str, Decimal]) -> str:
    """Who takes most of it."""
    largest = sorted(amounts.items(), key=lambda named: (-named[1], named[0]))
    named = [f"{symbol} {_plain(amount)}" for symbol, amount in largest[:NAMED_MAX]]
    if len(largest) > NAMED_MAX:
        named.append(f"{len(largest) - NAMED_MAX} others")
    return f" ({', '.join(named)})" if named else ""


def _remedy(largest: Decimal, otherwise: str) -> str:
    fallback = f"{otherwise}, or remove a symbol"
    return f"use {_plain(largest)} or less, {fallback}" if largest > 0 else fallback


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

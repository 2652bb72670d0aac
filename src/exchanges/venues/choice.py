"""Which record an account trades by, and what is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from domain.errors import ConfigurationError
from domain.instrument import MarketKind
from exchanges.account import AccountConfig, Mode
from exchanges.capabilities import Proof, Sandbox, Venue, record_name
from exchanges.venues.binance import BINANCE
from exchanges.venues.binance_linear import BINANCE_LINEAR
from exchanges.venues.bitget import BITGET
from exchanges.venues.bitvavo import BITVAVO
from exchanges.venues.bybit import BYBIT
from exchanges.venues.coinbase import COINBASE
from exchanges.venues.gate import GATE
from exchanges.venues.kraken import KRAKEN
from exchanges.venues.okx import OKX
from exchanges.venues.unverified import unverified

VENUES: Mapping[str, Venue] = MappingProxyType(
    {
        venue.name: venue
        for venue in (BINANCE, BINANCE_LINEAR, BYBIT, OKX, KRAKEN, BITGET, GATE, BITVAVO, COINBASE)
    }
)


def venue_of(account: AccountConfig) -> Venue:
    """The record of the account's venue.

    Raises
    ------
    ConfigurationError
        If there is none and the account does not say that it will do without.
    """
    venue = VENUES.get(record_name(account.venue, account.market))
    if venue is not None and venue.ccxt_id == account.venue:
        return venue
    if account.market is not MarketKind.SPOT:
        raise ConfigurationError(
            field="account.market",
            rule=f"must be spot for {account.venue}: contracts are traded on binance only",
            value=account.market.value,
            remedy="leave account.market out, or set account.venue to binance",
        )
    if not account.unverified:
        known = sorted({venue.ccxt_id for venue in VENUES.values()})
        raise ConfigurationError(
            field="account.venue",
            rule=f"must be one of {', '.join(known)}",
            value=account.venue,
            remedy="name one of these, or set account.unverified (--unverified): nothing proves "
            "then that orders are found by our ids, that requests expire or that errors are "
            "understood, so an order may be placed twice or stray",
        )
    return unverified(account.venue)


def require_access(account: AccountConfig, *, real_money: bool) -> None:
    """Refuse an account that cannot be reached as asked for, or that would risk money unasked.

    Raises
    ------
    ConfigurationError
        With what to set instead.
    """
    venue = venue_of(account)
    if account.mode is Mode.SIMULATOR and venue.proof is not Proof.END_TO_END:
        raise ConfigurationError(
            field="account.mode",
            rule=f"must be testnet or live for {venue.ccxt_id}: the simulator speaks binance",
            value=account.mode.value,
            remedy=_where_to_trade(venue),
        )
    if account.mode is Mode.TESTNET and venue.sandbox is Sandbox.NONE:
        raise ConfigurationError(
            field="account.mode",
            rule=f"must be live for {venue.ccxt_id}: it has no spot sandbox that ccxt knows",
            value=account.mode.value,
            remedy=_where_to_trade(venue),
        )
    if account.mode is Mode.LIVE and not real_money:
        raise ConfigurationError(
            field="account.real_money",
            rule="must be true for account.mode live",
            value=real_money,
            remedy="set GRIDKEEPER_ACCOUNT__REAL_MONEY=true if orders shall cost real money",
        )
    if venue.has_passphrase and not account.api_passphrase:
        raise ConfigurationError(
            field="account.api_passphrase",
            rule=f"must be given for {venue.ccxt_id}",
            value="nothing",
            remedy="set GRIDKEEPER_ACCOUNT__API_PASSPHRASE or the key file's third line",
        )


def _where_to_trade(venue: Venue) -> str:
    if venue.sandbox is Sandbox.NONE:
        return "try the strategy on the simulator (venue binance); here only live is possible"
    return "set account.mode to testnet"

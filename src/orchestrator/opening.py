"""What an account holds at the moment a symbol is added, before it trades anything of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from domain.errors import ConfigurationError, TransientVenueError
from domain.instrument import Instrument, MarketKind
from ports.exchange import ExchangePort

#: Tries to see the account's balances and trades at one and the same moment.
CONSISTENT_READS = 20
#: A wallet is written down only when nothing but trades moved it for so long.
QUIET_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    #: Of base and quote; of contracts of the asset they are settled in.
    balances: Mapping[str, Decimal]
    #: The newest trade that is part of it.
    last_trade_id: str | None
    #: Of contracts: the net position, in base.
    position: Decimal = Decimal(0)
    #: Of contracts: movements beside trades up to this venue time are part of the balances.
    income_ms: int = 0


async def read_opening(exchange: ExchangePort, instrument: Instrument) -> Opening:
    """Balances, position and the last trade before them, with no trade in between.

    Raises
    ------
    TransientVenueError
        If the account trades without a pause, or its wallet is just moving.
    """
    symbol = instrument.symbol
    now_ms = (await exchange.fetch_quote(symbol)).exchange_ms
    for _ in range(CONSISTENT_READS):
        before = await exchange.fetch_last_trade_id(symbol)
        balances = await exchange.fetch_balances()
        position = await _position(exchange, instrument)
        if before != await exchange.fetch_last_trade_id(symbol):
            continue
        if instrument.kind is MarketKind.SPOT:
            return Opening(
                balances=_of(balances, instrument.base, instrument.quote), last_trade_id=before
            )
        if await exchange.fetch_income(now_ms - QUIET_MS):
            raise TransientVenueError(f"{instrument.quote}: the wallet is just moving")
        return Opening(
            balances=_of(balances, instrument.quote),
            last_trade_id=before,
            position=position,
            income_ms=now_ms,
        )
    raise TransientVenueError(f"{symbol}: the account trades without a pause")


async def adoptable_base(exchange: ExchangePort, instrument: Instrument, held: Decimal) -> Decimal:
    """What no symbol trades of it: base beside what is `held`, of contracts the position."""
    if instrument.kind is MarketKind.LINEAR:
        return (await exchange.fetch_position(instrument.symbol)).quantity
    return (await exchange.fetch_balances()).get(instrument.base, Decimal(0)) - held


def refuse_position(symbol: str, position: Decimal) -> None:
    """Refuse a position that nobody takes over: the venue nets it with all the grid trades.

    Raises
    ------
    ConfigurationError
        If there is one.
    """
    if position:
        raise ConfigurationError(
            field="symbol",
            rule="must have no position at the exchange, or one that is adopted whole",
            value=f"{symbol} with a position of {position}",
            remedy="add it with --adopt-position, or close the position first",
        )


async def _position(exchange: ExchangePort, instrument: Instrument) -> Decimal:
    if instrument.kind is MarketKind.SPOT:
        return Decimal(0)
    return (await exchange.fetch_position(instrument.symbol)).quantity


def _of(balances: Mapping[str, Decimal], *assets: str) -> dict[str, Decimal]:
    return {asset: balances.get(asset, Decimal(0)) for asset in assets}

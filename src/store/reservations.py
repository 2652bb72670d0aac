"""What the account's symbols reserve of its money, as Postgres knows it.

Whoever adds to it holds the account's lock to the end of the transaction, on whatever node: two
symbols that the money covers only one of cannot both be added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import RequestRefused
from domain.instrument import Instrument, MarketKind
from grid.spec import GridSpec
from risk.reservations import (
    AssetUse,
    Held,
    Market,
    PortfolioLimits,
    Reserving,
    check_portfolio,
    check_reservation,
    use_of,
)
from store.engine import transaction

#: First half of the advisory locks' keys; the second is the account's.
_LOCK_SPACE = 730_551

_SYMBOLS = text("""
    SELECT s.symbol, i.kind, i.base, i.quote, s.spec, s.leverage, held.*
      FROM shards s
      JOIN instruments i
        ON (i.account, i.symbol, i.version) = (s.account, s.symbol, s.instrument_version)
      CROSS JOIN LATERAL (
          SELECT coalesce(sum(greatest(inventory, 0)), 0) AS base,
                 coalesce(sum(greatest(cost, 0)), 0) AS quote_paid,
                 coalesce(sum(greatest(-inventory, 0)), 0) AS base_owed,
                 coalesce(sum(greatest(-cost, 0)), 0) AS quote_received
            FROM slots WHERE slots.shard = s.shard) held (base_held, quote_paid, base_owed,
                                                          quote_received)
     WHERE s.account = :account AND s.status <> 'removed'
     ORDER BY s.symbol
""")

_NOTE_BALANCES = text("""
    INSERT INTO balances (account, asset, amount)
    SELECT :account, key, CAST(value AS numeric) FROM jsonb_each_text(CAST(:amounts AS jsonb))
    ON CONFLICT (account, asset) DO UPDATE SET amount = excluded.amount, read_at = excluded.read_at
""")

_ARE_OLD = text("""
    SELECT coalesce(max(read_at) < clock_timestamp() - make_interval(secs => :after_s), true)
      FROM balances WHERE account = :account
""")

_BALANCES = text("SELECT asset, amount, read_at FROM balances WHERE account = :account")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUse:
    """What the account's money is used for."""

    account: str
    #: When the exchange last told a balance; `None` before it first did.
    read_at: datetime | None
    assets: tuple[AssetUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What bounds all symbols of an account together."""

    #: Free plus locked, by asset.
    balances: Mapping[str, Decimal]
    limits: PortfolioLimits


async def lock_account(connection: AsyncConnection, account: str) -> None:
    """Wait for, and be until the transaction ends, the only one who reserves of an account."""
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(:space, hashtext(:account))"),
        {"space": _LOCK_SPACE, "account": account},
    )


async def reserving_symbols(connection: AsyncConnection, account: str) -> tuple[Reserving, ...]:
    """Every symbol of the account that is not removed."""
    found = await connection.execute(_SYMBOLS, {"account": account})
    return tuple(
        Reserving(
            market=Market(
                symbol=row.symbol, kind=MarketKind(row.kind), base=row.base, quote=row.quote
            ),
            spec=GridSpec.model_validate(row.spec),
            held=Held(
                base=row.base_held,
                quote_paid=row.quote_paid,
                base_owed=row.base_owed,
                quote_received=row.quote_received,
            ),
            leverage=Decimal(row.leverage),
        )
        for row in found
    )


async def check_room(
    connection: AsyncConnection,
    account: str,
    wanted: Reserving,
    balances: Mapping[str, Decimal],
    limits: PortfolioLimits,
) -> None:
    """Refuse what the account's money or its limits do not allow beside all *other* symbols.

    The caller holds the account's lock.

    Raises
    ------
    ConfigurationError
        With what is reserved by whom, and the largest value that would work.
    """
    symbols = await reserving_symbols(connection, account)
    others = [other for other in symbols if other.market.symbol != wanted.market.symbol]
    check_portfolio(wanted, others, limits)
    check_reservation(wanted, others, balances)


async def check_room_for_spec(
    connection: AsyncConnection,
    account: str,
    symbol: str,
    spec: GridSpec,
    room: Room,
) -> None:
    """The same for another spec of a symbol that is registered: only what grows is judged.

    The caller holds the account's lock, or only wants to know.

    Raises
    ------
    ConfigurationError
        As `check_room` does.
    RequestRefused
        If the symbol is not registered.
    """
    symbols = {each.market.symbol: each for each in await reserving_symbols(connection, account)}
    if symbol not in symbols:
        raise RequestRefused(f"{symbol} is not on account {account}")
    before = symbols.pop(symbol)
    wanted, others = replace(before, spec=spec), list(symbols.values())
    check_portfolio(wanted, others, room.limits, before)
    check_reservation(wanted, others, room.balances, before)


async def account_room(
    engine: AsyncEngine,
    account: str,
    limits: PortfolioLimits,
    balances: Mapping[str, Decimal] | None = None,
) -> tuple[dict[str, Reserving], Room]:
    """Who reserves, by symbol, and what bounds them: by the balances that were told last, or these.

    Nothing is locked: what is judged by it is judged again when it is written.
    """
    async with transaction(engine) as connection:
        symbols = await reserving_symbols(connection, account)
        if balances is None:
            balances = await known_balances(connection, account)
    return {each.market.symbol: each for each in symbols}, Room(balances=balances, limits=limits)


def market_of(instrument: Instrument) -> Market:
    return Market(
        symbol=instrument.symbol,
        kind=instrument.kind,
        base=instrument.base,
        quote=instrument.quote,
    )


async def known_balances(connection: AsyncConnection, account: str) -> dict[str, Decimal]:
    """What the exchange told last; empty before it first did."""
    found = await connection.execute(_BALANCES, {"account": account})
    return {row.asset: row.amount for row in found}


async def note_balances(
    connection: AsyncConnection, account: str, balances: Mapping[str, Decimal]
) -> None:
    """Keep what the exchange told, in place of what it told before."""
    amounts = json.dumps({asset: str(amount) for asset, amount in balances.items()})
    await connection.execute(_NOTE_BALANCES, {"account": account, "amounts": amounts})


async def are_balances_old(engine: AsyncEngine, account: str, after_s: float) -> bool:
    """Whether nobody noted the account's balances for so long."""
    async with transaction(engine) as connection:
        found = await connection.execute(_ARE_OLD, {"account": account, "after_s": after_s})
        return bool(found.scalar_one())


async def keep_balances(engine: AsyncEngine, account: str, balances: Mapping[str, Decimal]) -> None:
    """Note all of an account's balances; assets that it holds none of any more are forgotten."""
    async with transaction(engine) as connection:
        await lock_account(connection, account)
        await connection.execute(
            text("DELETE FROM balances WHERE account = :account"), {"account": account}
        )
        held = {asset: amount for asset, amount in balances.items() if amount}
        await note_balances(connection, account, held)


async def account_use(engine: AsyncEngine, account: str) -> AccountUse:
    """Balance, reservations and what is free of each asset, at one moment."""
    async with transaction(engine) as connection:
        balances = (await connection.execute(_BALANCES, {"account": account})).all()
        symbols = await reserving_symbols(connection, account)
    return AccountUse(
        account=account,
        read_at=max((row.read_at for row in balances), default=None),
        assets=use_of(symbols, {row.asset: row.amount for row in balances}),
    )

"""What moves the wallets of an account beside its trades, in the ledger once each."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.contracts import Income
from store.engine import transaction
from store.rows import milliseconds, moment

#: How far back to ask again: movements of one instant show up one after the other.
OVERLAP_MS = 3_600_000

_BOOKED_UP_TO = text("""
    SELECT min(income_ms) AS opened_ms,
           (SELECT max(booked_at) FROM ledger
             WHERE account = :account AND kind IN ('funding', 'transfer')) AS booked_at
      FROM opening_balances WHERE account = :account
""")

#: What came before the opening balance is part of it; assets without one are not accounted for.
_BOOK = text("""
    INSERT INTO ledger (account, asset, kind, amount, symbol, trade_id, booked_at)
    SELECT account, asset, :kind, CAST(:amount AS numeric), :symbol, :transaction_id,
           CAST(:booked_at AS timestamptz)
      FROM opening_balances
     WHERE account = :account AND asset = :asset AND income_ms < :booked_ms
    ON CONFLICT (account, symbol, trade_id, asset, kind) DO NOTHING
    RETURNING entry
""")


class Wallets:
    """One account's; any process may book, as often as it likes."""

    def __init__(self, engine: AsyncEngine, account: str) -> None:
        self._engine = engine
        self._account = account

    async def ask_from_ms(self) -> int | None:
        """Since when to ask the venue; `None` while nothing was ever traded."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_BOOKED_UP_TO, {"account": self._account})).one()
        if row.opened_ms is None:
            return None
        if row.booked_at is None:
            return int(row.opened_ms)
        return max(int(row.opened_ms), milliseconds(row.booked_at) - OVERLAP_MS)

    async def book(self, found: Sequence[Income]) -> int:
        """Book what is not booked yet; how many entries that made."""
        booked = 0
        async with transaction(self._engine) as connection:
            for income in found:
                made = await connection.execute(
                    _BOOK,
                    {
                        "account": self._account,
                        "asset": income.asset,
                        "kind": income.kind.value,
                        "amount": income.amount,
                        "symbol": income.symbol,
                        "transaction_id": income.transaction_id,
                        "booked_at": moment(income.booked_ms),
                        "booked_ms": income.booked_ms,
                    },
                )
                booked += made.one_or_none() is not None
        return booked

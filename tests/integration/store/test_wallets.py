"""What moves a wallet beside trades is in the ledger once, and only since the opening balance."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.contracts import Income, IncomeKind
from integration.store.factories import execute, select
from store.wallets import OVERLAP_MS, Wallets

OPENED_MS = 1_700_000_000_000
FUNDING = Income(
    kind=IncomeKind.FUNDING,
    transaction_id="7",
    symbol="BTC/USDT:USDT",
    asset="USDT",
    amount=Decimal("-0.12345678"),
    booked_ms=OPENED_MS + 1,
)
TRANSFER = replace(FUNDING, kind=IncomeKind.TRANSFER, symbol="", amount=Decimal(5))


async def opened(engine: AsyncEngine) -> Wallets:
    await execute(
        engine,
        "INSERT INTO opening_balances (account, asset, amount, income_ms)"
        " VALUES ('sim', 'USDT', 1000, :opened_ms)",
        opened_ms=OPENED_MS,
    )
    return Wallets(engine, "sim")


async def test_nothing_is_asked_for_before_an_account_is_used(clean_engine: AsyncEngine) -> None:
    wallets = Wallets(clean_engine, "sim")
    assert await wallets.ask_from_ms() is None
    assert await wallets.book([FUNDING]) == 0


async def test_income_told_twice_is_booked_once(clean_engine: AsyncEngine) -> None:
    wallets = await opened(clean_engine)
    assert await wallets.ask_from_ms() == OPENED_MS
    # The same id may stand for a movement of each kind.
    assert await wallets.book([FUNDING, TRANSFER]) == 2
    assert await wallets.book([FUNDING, TRANSFER, replace(FUNDING, transaction_id="8")]) == 1
    rows = await select(clean_engine, "SELECT kind, sum(amount) FROM ledger GROUP BY kind")
    assert dict(tuple(row) for row in rows) == {
        "funding": Decimal("-0.24691356"),
        "transfer": Decimal(5),
    }


async def test_income_that_the_opening_balance_holds_is_not_booked(
    clean_engine: AsyncEngine,
) -> None:
    wallets = await opened(clean_engine)
    assert await wallets.book([replace(FUNDING, booked_ms=OPENED_MS)]) == 0
    assert await wallets.book([replace(FUNDING, asset="BNB")]) == 0


async def test_what_was_booked_last_is_asked_for_again(clean_engine: AsyncEngine) -> None:
    wallets = await opened(clean_engine)
    late_ms = OPENED_MS + 2 * OVERLAP_MS
    await wallets.book([replace(FUNDING, booked_ms=late_ms)])
    assert await wallets.ask_from_ms() == late_ms - OVERLAP_MS

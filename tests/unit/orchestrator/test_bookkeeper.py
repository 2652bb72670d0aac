"""The bookkeeper asks on its own time, at once where there is news, and through failures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from domain.contracts import Income, IncomeKind
from orchestrator.bookkeeper import Bookkeeper
from support.fake_exchange import FakeExchange
from support.system import eventually

FUNDING = Income(
    kind=IncomeKind.FUNDING,
    transaction_id="7",
    symbol="BTC/USDT:USDT",
    asset="USDT",
    amount=Decimal(-1),
    booked_ms=20,
)
NEVER_S = 3_600.0


@dataclass
class BookedWallets:
    """What `store.wallets.Wallets` is asked to book."""

    from_ms: int | None = 10
    rounds: list[list[Income]] = field(default_factory=list)

    async def ask_from_ms(self) -> int | None:
        return self.from_ms

    async def book(self, found: Sequence[Income]) -> int:
        self.rounds.append(list(found))
        return len(found)


def make_bookkeeper(wallets: Any, exchange: FakeExchange) -> Bookkeeper:
    return Bookkeeper(exchange, wallets, NEVER_S)


async def test_income_since_the_last_entry_is_booked() -> None:
    wallets = BookedWallets(from_ms=20)
    exchange = FakeExchange(income=[FUNDING])
    await make_bookkeeper(wallets, exchange).book()
    wallets.from_ms = 21
    await make_bookkeeper(wallets, exchange).book()
    assert wallets.rounds == [[FUNDING], []]


async def test_exchange_is_not_asked_before_the_account_is_used() -> None:
    exchange = FakeExchange(income=[FUNDING])
    await make_bookkeeper(BookedWallets(from_ms=None), exchange).book()
    assert exchange.asked == []


async def test_news_are_booked_at_once_also_after_a_round_that_failed() -> None:
    wallets = BookedWallets()
    exchange = FakeExchange(income=[FUNDING], failing={"fetch_income"})
    bookkeeper = make_bookkeeper(wallets, exchange)
    keeping = asyncio.create_task(bookkeeper.keep())

    async def has_asked() -> bool:
        return bool(exchange.asked)

    async def has_booked() -> bool:
        return wallets.rounds == [[FUNDING]]

    await eventually(has_asked, "the first round")
    exchange.failing.clear()
    bookkeeper.ask_now()
    await eventually(has_booked, "the second round")
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping

"""Bugs of accounts that trade contracts, to be planted like those of `planted.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from unittest.mock import patch

from domain.contracts import Income, IncomeKind
from domain.instrument import Instrument
from domain.orders import Order, Trade
from grid import desired
from grid.grid import Desired, SlotSide
from grid.role import OPENING
from grid.slots import Slot
from ports.store import Held
from simulation import database
from simulation.database import Database
from store.rows import ledger_values
from symbol_manager import compare
from symbol_manager.reconcile import Survey, why_position_differs


@contextmanager
def funding_not_booked() -> Iterator[None]:
    """Only transfers are."""
    book = Database.book_income

    def choosy(self: Database, account: str, found: Sequence[Income]) -> int:
        return book(self, account, [each for each in found if each.kind is IncomeKind.TRANSFER])

    with patch.object(Database, "book_income", choosy):
        yield


@contextmanager
def funding_booked_at_every_look() -> Iterator[None]:
    """The venue's transaction id is not the entry's key."""
    book = Database.book_income
    numbers = count()

    def eager(self: Database, account: str, found: Sequence[Income]) -> int:
        anew = [replace(each, transaction_id=f"{next(numbers)}") for each in found]
        return book(self, account, anew)

    with patch.object(Database, "book_income", eager):
        yield


@contextmanager
def realised_profit_not_booked() -> Iterator[None]:
    """Of a contract's trade only the fee is."""

    def fees(trade: Trade, instrument: Instrument) -> list[dict[str, object]]:
        entries = ledger_values(trade, instrument)
        return [entry for entry in entries if entry["kind"] != "realised"]

    with patch.object(database, "ledger_values", fees):
        yield


@contextmanager
def reduce_only_beyond_the_position() -> Iterator[None]:
    """All that closes a slot is, whatever other slots have netted."""
    with patch.object(desired, "with_reduce_only", _marking(is_reduce_only=True)):
        yield


@contextmanager
def nothing_is_reduce_only() -> Iterator[None]:
    """Exits may open a position when the slot's is gone."""
    with patch.object(desired, "with_reduce_only", _marking(is_reduce_only=False)):
        yield


@contextmanager
def trades_of_others_ignored() -> Iterator[None]:
    """The position is not compared."""
    with patch.object(compare, "why_position_differs", lambda found, held, base: ""):
        yield


@contextmanager
def trades_of_others_not_counted() -> Iterator[None]:
    """The position is expected to be what the slots hold alone."""

    def narrow(found: Survey, held: Held, base: str) -> str:
        return why_position_differs(found, Held(held.slots, held.others * 0), base)

    with patch.object(compare, "why_position_differs", narrow):
        yield


def _marking(*, is_reduce_only: bool) -> Callable[..., tuple[Desired, ...]]:
    def mark(
        wanted: Sequence[Desired],
        slots: Iterable[Slot],
        live: Mapping[SlotSide, Order],
        instrument: Instrument,
    ) -> tuple[Desired, ...]:
        return tuple(
            replace(each, reduce_only=is_reduce_only and each.purpose not in OPENING)
            for each in wanted
        )

    return mark


CONTRACT_BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    bug.__name__: bug
    for bug in (
        funding_not_booked,
        funding_booked_at_every_look,
        realised_profit_not_booked,
        reduce_only_beyond_the_position,
        nothing_is_reduce_only,
        trades_of_others_ignored,
        trades_of_others_not_counted,
    )
}

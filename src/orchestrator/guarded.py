"""Symbols as people are shown them: with what becomes of their orders when their host dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy.ext.asyncio import AsyncEngine

from orchestrator.settings import Settings
from ports.store import Status
from store import history
from store.history import SymbolRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSymbol(SymbolRecord):
    #: After what silence of its node the venue cancels its orders; 0: they rest until it is back.
    dead_man_switch_s: int


async def guarded(
    settings: Settings, engine: AsyncEngine, found: Sequence[SymbolRecord]
) -> tuple[GuardedSymbol, ...]:
    """The same symbols, each with its dead-man switch."""
    countdown_s = settings.countdown_s(symbols=len(await history.symbols(engine)))
    return tuple(
        GuardedSymbol(
            **{field.name: getattr(symbol, field.name) for field in fields(SymbolRecord)},
            dead_man_switch_s=0 if symbol.status == Status.REMOVED else countdown_s,
        )
        for symbol in found
    )

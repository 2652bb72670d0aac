"""Symbols as people are shown them: with the dead-man switch that is asked for."""

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
    #: After what silence of its node the venue is to cancel its orders, with as many symbols as
    #: there are; 0: they rest until it is back. What is armed only the node that runs it knows.
    dead_man_switch_s: int


async def guarded(
    settings: Settings, engine: AsyncEngine, found: Sequence[SymbolRecord]
) -> tuple[GuardedSymbol, ...]:
    """The same symbols, each with the countdown that is asked for."""
    countdown_s = settings.countdown_s(symbols=len(await history.symbols(engine)))
    return tuple(
        GuardedSymbol(
            **{field.name: getattr(symbol, field.name) for field in fields(SymbolRecord)},
            dead_man_switch_s=0 if symbol.status == Status.REMOVED else countdown_s,
        )
        for symbol in found
    )

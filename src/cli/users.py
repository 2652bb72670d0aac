"""Users of a system in trouble: they ask until they are heard, and keep what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chaos.requests import Request, Verb
from cli.local_system import add_symbols
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import Database, new_request_id

#: How long a pause is waited for before its symbol is resumed.
PAUSE_S = 10.0
#: Within which what was acknowledged must be done: a request waits a minute for what it asks for,
#: and before, where it was interrupted again and again, ten seconds for a process that lasts.
ANSWER_S = 90.0
_AGAIN_S = 0.2


@dataclass(slots=True, kw_only=True)
class Users:
    database: Database
    #: Of every symbol, but for the size of its orders.
    spec: Mapping[str, Any]
    #: Workflow ids.
    acknowledged: list[str] = field(default_factory=list)
    #: Of each symbol's last pause.
    _pauses: dict[str, str] = field(default_factory=dict)

    async def add(self, symbols: Sequence[str]) -> None:
        """Add every symbol and wait until each trades."""
        self.acknowledged += await add_symbols(self.database, symbols, self.spec)

    async def ask(self, request: Request) -> None:
        """Ask until Postgres has it; for a pause to be over only once it began, or took long."""
        if request.verb is Verb.RESUME and request.symbol in self._pauses:
            await self.until_answered([self._pauses[request.symbol]], PAUSE_S)
        request_id = new_request_id()
        while True:
            try:
                asked = await self._ask_once(request, request_id)
            except StoreUnavailable:
                await asyncio.sleep(_AGAIN_S)
            else:
                break
        self.acknowledged.append(asked)
        if request.verb is Verb.PAUSE:
            self._pauses[request.symbol] = asked

    async def until_answered(self, asked: Sequence[str], timeout_s: float) -> None:
        """Wait until requests are done or refused; no longer than that."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        left = list(asked)
        while left and asyncio.get_running_loop().time() < deadline_s:
            try:
                progress = await self.database.requests.progress(left[0])
            except StoreUnavailable:
                progress = None
            if progress is not None and progress.is_finished:
                del left[0]
            else:
                await asyncio.sleep(_AGAIN_S)

    async def _ask_once(self, request: Request, request_id: str) -> str:
        requests = self.database.requests
        match request.verb:
            case Verb.PAUSE:
                return await requests.pause(request.symbol, request_id)
            case Verb.RESUME:
                return await requests.resume(request.symbol, request_id)
            case Verb.UPDATE:
                spec = _with_larger_orders(self.spec, request.larger_percent)
                return await requests.update(request.symbol, spec, request_id)


def _with_larger_orders(spec: Mapping[str, Any], percent: int) -> dict[str, Any]:
    size = spec["order_size"]
    amount = Decimal(size["amount"]) * (100 + percent) / 100
    return {**spec, "order_size": {**size, "amount": str(amount)}}

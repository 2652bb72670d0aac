"""What chaos needs of a system to strike it and to see whether it trades."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from chaos.ends import NodeEnd
from chaos.faults import Line, Process
from chaos.proxy import Proxy
from chaos.requests import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A symbol as the exchange lists it."""

    #: As the exchange writes it: BTCUSDT.
    name: str
    market: str
    tick_size: Decimal
    step_size: Decimal


class NotEndedError(Exception):
    """A process that was told to end goes on."""


class Disk(Protocol):
    """The file system on which Postgres lies."""

    def fill(self) -> None: ...

    def empty(self) -> None: ...


class Rig(Protocol):
    @property
    def listings(self) -> Mapping[str, Listing]:
        """The symbols that are traded, by our names."""
        ...

    @property
    def disk(self) -> Disk | None:
        """`None` where there is no way to fill it."""
        ...

    def proxy(self, node: int, line: Line) -> Proxy: ...

    async def control(self, path: str, body: object | None = None, method: str = "") -> Any:
        """Call the simulated exchange's control API."""
        ...

    def signal(self, process: Process, node: int, number: signal.Signals) -> None: ...

    async def start(self, process: Process, node: int) -> None:
        """Start what ended; nothing where something else does so.

        Raises
        ------
        NotEndedError
            If what was told to end did not, in the time that it has for that; it is killed.
        """
        ...

    async def ask(self, request: Request) -> None:
        """Ask for it until it is acknowledged, however long that takes."""
        ...

    async def throw_kill_switch(self) -> None: ...

    async def rearm(self) -> None:
        """Wait until every order is gone, then allow orders again.

        Raises
        ------
        TimeoutError
            If orders are left.
        """
        ...

    async def idle(self, since: datetime) -> list[str]:
        """Why symbols do not quote, as far as one sees that after a moment; empty if all do."""
        ...

    def ended_by_themselves(self) -> list[NodeEnd]:
        """Nodes that ended otherwise than they were made to, since one asked last."""
        ...

    async def audit(self) -> Sequence[str]:
        """What is wrong now; the same words for the same thing."""
        ...

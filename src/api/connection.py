"""One connection: it is closed when it brings no whole request in time, or takes no answer.

Else strangers, who need no token for it, could hold all connections that there are.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Where the state of a request has its connection.
TRANSPORT: Final = "transport"
#: A connection that stands still for so long is closed; at the most, for twice as long.
STANDSTILL_S: Final = 15.0


class Connection(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an eye on who is at the other end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}
        self._next_look = self.loop.call_later(STANDSTILL_S, self._look, self._progress())

    def connection_lost(self, exc: Exception | None) -> None:
        self._next_look.cancel()
        super().connection_lost(exc)

    def _look(self, before: tuple[object, bool, int]) -> None:
        now = self._progress()
        _, is_served, unsent_bytes = now
        if now == before and (not is_served or unsent_bytes):
            self.transport.abort()
        else:
            self._next_look = self.loop.call_later(STANDSTILL_S, self._look, now)

    def _progress(self) -> tuple[object, bool, int]:
        """The newest request, whether we work on it, and what of our answers was not taken."""
        cycle = self.cycle
        is_served = cycle is not None and not (cycle.more_body or cycle.response_complete)
        return cycle, is_served, self.transport.get_write_buffer_size()

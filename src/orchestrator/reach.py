"""Whether a node reaches the exchange, as its heartbeat tells whoever places symbols."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ports.clock import Clock
from ports.exchange import StreamLost, StreamRestored
from symbol_manager.shard import Shard


class Reach:
    """What the account's stream, and the quotes of the symbols that run here, say of it.

    Parameters
    ----------
    forgotten_s : float
        How long a node without symbols stands by the last word of their quotes. It hears none any
        more, so that only a symbol that is placed there again can tell.
    """

    def __init__(
        self,
        clock: Clock,
        forgotten_s: float,
        shards: Callable[[], Collection[Shard]],
    ) -> None:
        self._clock = clock
        self._forgotten_s = forgotten_s
        self._shards = shards
        self._account_is_up = False
        self._quotes_flow = True
        self._quotes_judged_ms = 0

    def note(self, event: object) -> None:
        """Take an event of the account's stream."""
        match event:
            case StreamRestored():
                self._account_is_up = self._quotes_flow = True
            case StreamLost():
                self._account_is_up = False

    def is_given(self) -> bool:
        """Whether the account's stream is up, and prices are fresh of any symbol that runs here."""
        are_fresh = [runner.freshness.of_latest for runner in self._shards()]
        boot_ms = self._clock.boot_ms()
        if any(is_fresh is not None for is_fresh in are_fresh):
            self._quotes_flow = any(are_fresh)
            self._quotes_judged_ms = boot_ms
        elif boot_ms - self._quotes_judged_ms > self._forgotten_s * 1000:
            self._quotes_flow = True
        return self._account_is_up and self._quotes_flow

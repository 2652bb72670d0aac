"""Feeds the venue's dead-man switch, by which it cancels the orders of a host that died."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from domain.errors import (
    OutcomeUnknown,
    OwnershipLost,
    StoreUnavailable,
    TransientVenueError,
    VenueError,
)
from exchanges.capabilities import FEEDS
from orchestrator.membership import Membership
from ports.clock import Clock
from ports.exchange import DeadManSwitch
from symbol_manager.lease import Lease

#: How long a symbol that ends here waits for its switch to be taken back.
DISARM_WAIT_S = 5.0

#: What says nothing of one symbol: the venue, the line to it, or our right to send is away.
_OF_ALL = (TransientVenueError, OutcomeUnknown, OwnershipLost)

log = structlog.get_logger("orchestrator")


@dataclass(frozen=True, slots=True)
class Armed:
    """One symbol's switch as the venue was told last."""

    #: When it was asked to, by CLOCK_BOOTTIME: it counts from then on, or from later.
    fed_ms: int
    #: After what silence the venue cancels.
    countdown_s: int


class Feeder:
    """One node's switches, each for one symbol that it runs.

    A feed goes only after a heartbeat that Postgres acknowledged, and only while the lease holds:
    orders that nobody can book any more, or that nobody owns, are cancelled by the venue.
    """

    def __init__(
        self,
        switch: DeadManSwitch,
        membership: Membership,
        clock: Clock,
        lease: Lease,
        wanted_s: int,
    ) -> None:
        self._switch = switch
        self._membership = membership
        self._clock = clock
        self._lease = lease
        self._wanted_s = wanted_s
        self._armed: dict[str, Armed] = {}
        #: When each symbol has its turn again, by CLOCK_BOOTTIME; at once where it had none.
        self._due_ms: dict[str, int] = {}
        #: Why the venue refuses to arm a symbol.
        self._refusals: dict[str, str] = {}
        #: One request at a time, so that none of two overtakes the other.
        self._sending = asyncio.Lock()
        self._is_fasting = False
        self._is_closed = False

    @property
    def armed(self) -> Mapping[str, Armed]:
        """The switches of the symbols fed here, but for those that the venue never set."""
        return self._armed

    async def keep(self, symbols: Callable[[], Collection[str]]) -> None:
        """Feed for ever what `symbols` says that this node runs."""
        while self._wanted_s:
            await self._membership.next_beat()
            await self.feed(symbols)

    async def feed(self, symbols: Callable[[], Collection[str]]) -> None:
        """Feed those whose turn it is, first those that have waited longest.

        Where the venue is away, the rest have their turn after the next heartbeat.
        """
        self._forget_all_but(symbols())
        countdown_s = self._switch.countdown_s(self._wanted_s, len(symbols()))
        if not countdown_s:
            return
        now_ms = self._clock.boot_ms()
        for symbol in sorted(symbols(), key=self._turn_ms):
            if now_ms < self._turn_ms(symbol):
                break
            try:
                async with self._sending:
                    if symbol in symbols() and not self._is_closed:
                        await self._arm(symbol, countdown_s)
            except _OF_ALL as error:
                self._due_ms[symbol] = now_ms  # behind the others: it may be this one's fault
                if not self._is_fasting:
                    log.warning("dead_man_switches_unfed", error=str(error))
                self._is_fasting = True
                return
            except VenueError as error:
                self._note_refusal(symbol, countdown_s, str(error))
        self._is_fasting = False

    async def disarm(self, symbol: str, is_ours: Callable[[], Awaitable[bool]]) -> None:
        """Take a symbol's switch back: nothing of ours is to be cancelled there.

        Parameters
        ----------
        is_ours : callable
            Whether the switch is still this node's, asked for right before: it never takes back
            what another owner armed.
        """
        try:
            async with asyncio.timeout(DISARM_WAIT_S), self._sending:
                if symbol in self._armed and await is_ours():
                    await self._switch.set_dead_man_switch(symbol, 0, self._lease.check)
                    self._armed.pop(symbol, None)
        except (VenueError, OwnershipLost, StoreUnavailable, TimeoutError) as error:
            log.warning("dead_man_switch_left_armed", symbol=symbol, error=repr(error))

    def close(self) -> None:
        """Feed no more; what is not taken back stays armed."""
        self._is_closed = True

    async def _arm(self, symbol: str, countdown_s: int) -> None:
        asked_ms = self._clock.boot_ms()
        await self._switch.set_dead_man_switch(symbol, countdown_s, self._lease.check)
        before = self._armed.get(symbol)
        is_news = before is None or before.countdown_s != countdown_s
        if is_news or symbol in self._refusals:
            log.info("dead_man_switch_armed", symbol=symbol, countdown_s=countdown_s)
        self._refusals.pop(symbol, None)
        self._armed[symbol] = Armed(asked_ms, countdown_s)
        self._due_ms[symbol] = asked_ms + countdown_s * 1_000 // FEEDS

    def _note_refusal(self, symbol: str, countdown_s: int, reason: str) -> None:
        """Try it again twice as often as the others are fed."""
        if self._refusals.get(symbol) != reason:
            log.warning("dead_man_switch_refused", symbol=symbol, error=reason)
        self._refusals[symbol] = reason
        self._due_ms[symbol] = self._clock.boot_ms() + countdown_s * 1_000 // (2 * FEEDS)

    def _turn_ms(self, symbol: str) -> int:
        return self._due_ms.get(symbol, 0)

    def _forget_all_but(self, symbols: Collection[str]) -> None:
        for known in (self._armed, self._due_ms, self._refusals):
            for symbol in known.keys() - set(symbols):
                del known[symbol]

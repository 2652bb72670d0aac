"""Feeds the venue's dead-man switch, by which it cancels the orders of a host that died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

import structlog

from domain.errors import OwnershipLost, VenueError
from exchanges.capabilities import FEEDS
from orchestrator.membership import Membership
from ports.clock import Clock
from ports.exchange import DeadManSwitch
from symbol_manager.lease import Lease

#: How long a stop waits for the venue to take the switches back.
DISARM_WAIT_S = 5.0

log = structlog.get_logger("orchestrator")


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
        #: When each symbol was fed last, by CLOCK_BOOTTIME, and with how much.
        self._fed: dict[str, tuple[int, int]] = {}
        #: One request at a time, so that none of two overtakes the other.
        self._sending = asyncio.Lock()
        self._is_fasting = False
        self._is_closed = False

    @property
    def countdowns_s(self) -> Mapping[str, int]:
        """After what silence the venue cancels the orders of each symbol fed here."""
        return {symbol: countdown_s for symbol, (_, countdown_s) in self._fed.items()}

    async def keep(self, symbols: Callable[[], Collection[str]]) -> None:
        """Feed for ever what `symbols` says that this node runs."""
        while self._wanted_s:
            await self._membership.next_beat()
            await self.feed(symbols)

    async def feed(self, symbols: Callable[[], Collection[str]]) -> None:
        """Feed those whose turn it is; what fails has its turn again after the next heartbeat."""
        self._fed = {symbol: fed for symbol, fed in self._fed.items() if symbol in symbols()}
        countdown_s = self._switch.countdown_s(self._wanted_s, len(symbols()))
        if not countdown_s:
            return
        try:
            for symbol in sorted(symbols(), key=self._fed_ms):
                if self._clock.boot_ms() < self._fed_ms(symbol) + countdown_s * 1_000 // FEEDS:
                    break
                async with self._sending:
                    if symbol in symbols() and not self._is_closed:
                        await self._arm(symbol, countdown_s)
        except (VenueError, OwnershipLost) as error:
            if not self._is_fasting:
                log.warning("dead_man_switches_unfed", error=str(error))
            self._is_fasting = True
        else:
            self._is_fasting = False

    async def disarm(self, symbol: str) -> None:
        """Take a symbol's switch back: nothing of ours is to be cancelled there."""
        async with self._sending:
            if self._fed.pop(symbol, None) is None:
                return
            try:
                await self._switch.set_dead_man_switch(symbol, 0, self._lease.check)
            except (VenueError, OwnershipLost) as error:
                log.warning("dead_man_switch_left_armed", symbol=symbol, error=str(error))

    async def close(self, *, keeps_orders: bool) -> None:
        """Feed no more. Orders that are to rest on while no node runs need the switches off.

        Where orders are to be cancelled the switches stay armed, for what cannot be cancelled.
        """
        self._is_closed = True
        if not keeps_orders:
            return
        try:
            async with asyncio.timeout(DISARM_WAIT_S):
                for symbol in list(self._fed):
                    await self.disarm(symbol)
        except TimeoutError:
            log.warning("dead_man_switches_left_armed", symbols=sorted(self._fed))

    async def _arm(self, symbol: str, countdown_s: int) -> None:
        asked_ms = self._clock.boot_ms()
        await self._switch.set_dead_man_switch(symbol, countdown_s, self._lease.check)
        if self.countdowns_s.get(symbol) != countdown_s:
            log.info("dead_man_switch_armed", symbol=symbol, countdown_s=countdown_s)
        self._fed[symbol] = asked_ms, countdown_s

    def _fed_ms(self, symbol: str) -> int:
        fed_ms, _ = self._fed.get(symbol, (-(1 << 62), 0))
        return fed_ms

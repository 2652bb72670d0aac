"""One symbol's place in a process: tenure after tenure, until the symbol is removed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import structlog

from domain.errors import (
    AuthenticationRefused,
    DatabaseRolledBack,
    GridkeeperError,
    InvariantViolation,
    OwnershipLost,
    StoreUnavailable,
    VenueError,
)
from domain.orders import Order
from ports.failpoints import Failpoint
from symbol_manager.freshness import Freshness
from symbol_manager.mailbox import Mailbox
from symbol_manager.state import ShardState
from symbol_manager.tenure import ShardPorts, ShardSettings, Stop, Tenure
from symbol_manager.view import ShardView

RETRY_FIRST_S = 0.5
RETRY_LONGEST_S = 15.0
#: Of `RETRY_FIRST_S` each, while a database is known to be older than the exchange.
LOOKS_A_REST = 120

log = structlog.get_logger("symbol_manager")


class Shard:
    """One symbol's owner in this process.

    Whatever goes wrong, Postgres, the exchange or the lease, ends a tenure; the next one claims,
    loads and compares anew, as after a crash.
    """

    def __init__(
        self,
        *,
        shard: int,
        symbol: str,
        workflow_id: str,
        mailbox: Mailbox,
        ports: ShardPorts,
        settings: ShardSettings,
    ) -> None:
        self.shard = shard
        self.symbol = symbol
        self.mailbox = mailbox
        self.freshness = Freshness(
            mailbox,
            ports.clock,
            stale_after_ms=settings.stale_after_ms,
            clock_skew_ms=ports.exchange.capabilities.clock_skew_ms,
        )
        self.view: ShardView | None = None
        #: Set when nothing of this shard runs any more in this process.
        self.ended = asyncio.Event()
        self._workflow_id = workflow_id
        self._ports = ports
        self._settings = settings
        self._stop = Stop()
        self._is_stopping = asyncio.Event()
        #: The last one that took office, over or not.
        self._tenure: Tenure | None = None
        #: Whether it began after a stop that cancels, and so cancelled before it compared.
        self._has_cancelled = False
        self._quotes: asyncio.Task[None] | None = None
        #: When orders were sent, by CLOCK_BOOTTIME: a new tenure does not reset the rate.
        self._sent_ms: list[int] = []
        self._log = log.bind(symbol=symbol, workflow_id=workflow_id)

    @property
    def wants_no_orders(self) -> bool:
        """Whether all its orders are to go, whatever else is true."""
        return self.mailbox.wishes.is_killed or self._stop.cancels_orders

    @property
    def resting(self) -> tuple[Order, ...]:
        """Orders of ours that may rest, as far as was known last."""
        if self._tenure is None:
            return ()
        state = self._tenure.state
        return *state.live_orders().values(), *state.strays.values()

    def stop(self, *, cancel_orders: bool) -> None:
        """Let the current plan end, cancel own orders if asked to, then leave the loop."""
        self._stop.ask(cancel_orders=cancel_orders)
        self._is_stopping.set()
        self.mailbox.wake()

    async def run(self) -> None:
        """Trade until the symbol is removed.

        Raises
        ------
        OwnershipLost
            If the symbol cannot be claimed: another node runs it, or this one was declared dead.
        asyncio.CancelledError
            After `stop`: the workflow stays pending and is resumed by the next process.
        """
        self._quotes = asyncio.create_task(self._watch_quotes(), name=f"quotes {self.symbol}")
        try:
            await self._run_until_removed()
        finally:
            self._quotes.cancel()
            with suppress(asyncio.CancelledError):
                await self._quotes

    async def _run_until_removed(self) -> None:
        wait_s = RETRY_FIRST_S
        cause = "start"
        while True:
            tenure: Tenure | None = None
            try:
                tenure = await self._take_office(cause)
                cause = "start"
                if await tenure.serve():
                    return
                cause = tenure.successor_cause
                wait_s = RETRY_FIRST_S
                continue
            except OwnershipLost as error:
                if tenure is None:
                    raise
                # The lease ran out for a while, or the epoch is newer: claiming anew tells.
                self._log.warning("tenure_lost", error=str(error))
            except StoreUnavailable as error:
                self._log.warning("store_unavailable", error=str(error))
            except (VenueError, InvariantViolation) as error:
                if isinstance(error, AuthenticationRefused):
                    wait_s = RETRY_LONGEST_S
                await self._halt(tenure, error)
            except DatabaseRolledBack as error:
                await self._halt(tenure, error)
                await self._rest_until_wish()
                continue
            if tenure is not None and tenure.has_compared:
                wait_s = RETRY_FIRST_S
            await self._rest(wait_s)
            wait_s = min(wait_s * 2, RETRY_LONGEST_S)

    async def _halt(self, tenure: Tenure | None, error: GridkeeperError) -> None:
        """Say why nothing goes on."""
        match error:
            case AuthenticationRefused():
                self._log.error("keys_refused", error=str(error))
                reason = f"exchange: {error}"
            case VenueError():
                self._log.warning("exchange_unavailable", error=str(error))
                reason = f"exchange: {error}"
            case InvariantViolation():
                self._log.error("invariant_violated", error=str(error))
                reason = f"invariant: {error}"
            case _:
                self._log.error("database_rolled_back", error=str(error))
                reason = str(error)
        if tenure is not None:
            await tenure.halt(reason)

    async def _rest(self, wait_s: float) -> None:
        """Wait between tenures; a stop that leaves the orders alone need not wait."""
        if self._stop.cancels_orders:
            await asyncio.sleep(wait_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._is_stopping.wait()
        if self._stop.is_asked and not self._stop.cancels_orders:
            raise asyncio.CancelledError

    async def _rest_until_wish(self) -> None:
        """Wait for long, unless orders are to be cancelled meanwhile."""
        wishes = self.mailbox.wishes
        for _ in range(LOOKS_A_REST):
            if self._stop.is_asked and (self._has_cancelled or not self._stop.cancels_orders):
                raise asyncio.CancelledError
            if self._stop.is_asked or self.mailbox.wishes != wishes:
                return
            await asyncio.sleep(RETRY_FIRST_S)

    async def _take_office(self, cause: str) -> Tenure:
        ports = self._ports
        ports.failpoints(Failpoint.SHARD_BEFORE_CLAIM)
        claim = await ports.store.claim(self.shard, self._workflow_id)
        ports.failpoints(Failpoint.SHARD_AFTER_CLAIM)
        loaded = await ports.store.load(claim)
        self._log.info("claimed", epoch=claim.ownership.epoch, orders=len(loaded.orders))
        self._has_cancelled = self._stop.cancels_orders
        self._tenure = Tenure(
            state=ShardState(claim, loaded),
            mailbox=self.mailbox,
            ports=ports,
            settings=self._settings,
            stop=self._stop,
            freshness=self.freshness,
            sent_ms=self._sent_ms,
            show=self._show,
            cause=cause,
        )
        return self._tenure

    def _show(self, view: ShardView) -> None:
        self.view = view
        if self._quotes is not None and self._quotes.done():
            # A feed ends only by a defect: it is this shard's crash.
            self._quotes.result()

    async def _watch_quotes(self) -> None:
        quotes = self._ports.exchange.watch_quotes(self.symbol, self.mailbox.lull)
        async with aclosing(quotes) as events:
            async for event in events:
                self.mailbox.put_quote(event)

"""When a shard asks the exchange what is true, and what that means for its entries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from domain.errors import AuthenticationRefused, DatabaseRolledBack, VenueError
from domain.instrument import MarketKind
from domain.orders import OrderReport
from ports.clock import Clock
from ports.exchange import ExchangePort
from ports.store import Changes, ShardStore
from symbol_manager.doubts import Doubts
from symbol_manager.reconcile import (
    Survey,
    absorb_survey,
    base_shortfall,
    doubtful_orders,
    hints_at_trades,
    look_up,
    settle_parked,
    survey,
    why_not_alone,
    why_orphaned,
    why_position_differs,
)
from symbol_manager.rollback import order_without_intent, unheard_of, why_rolled_back
from symbol_manager.state import ShardState

#: Doubtful orders asked about in one round, so that cancels never wait for many time-outs.
LOOK_UPS_A_ROUND = 4
#: How soon to compare again what may only have been in flight, or what was not answered.
COMPARE_AGAIN_MS = 2_000
#: Trades are by far the dearest question: asked for as a matter of course only while so much of the
#: rate budget is at hand. The rest is for what cannot wait.
PLENTY = 0.5
#: The venue's newest orders are as dear, and can wait until an order is to be placed.
AMPLE = 0.75
#: Comparisons without trades that may follow one another.
INCOMPLETE_MAX = 5
#: Comparisons that may fail in a row before entries are pulled.
FAILED_COMPARISONS_MAX = 3


class Comparison:
    """Keeps one tenure's state in touch with the exchange."""

    def __init__(
        self,
        *,
        state: ShardState,
        doubts: Doubts,
        exchange: ExchangePort,
        store: ShardStore,
        clock: Clock,
        every_ms: int,
        record: Callable[[Changes], Awaitable[None]],
        log: Any,
    ) -> None:
        self._state = state
        self._doubts = doubts
        self._exchange = exchange
        self._store = store
        self._clock = clock
        self._every_ms = every_ms
        self._record = record
        self._log = log
        #: Whether the exchange was ever compared with, so that what is here can be relied on.
        self.is_made = False
        #: Whether the venue's newest orders were looked at, so that no id is made twice.
        self.ids_are_new = False
        #: Why there must be no entries now; empty if nothing speaks against them.
        self.halt_reason = ""
        self._due_ms = 0
        #: When to look at the venue's newest orders again.
        self._newest_due_ms = 0
        #: Comparisons without trades since the last complete one.
        self._incomplete = 0
        self._must_be_complete = False
        self._failed = 0
        #: Looks in a row that showed what may only have been in flight.
        self._doubtful = 0
        self._reconciled_trade_id = state.claim.reconciled_trade_id

    def ask_now(self, *, must_be_complete: bool = False) -> None:
        self._due_ms = 0
        self._must_be_complete |= must_be_complete

    def ask_soon(self) -> None:
        """Compare again in a moment, if not before."""
        self._due_ms = min(self._due_ms, self._clock.boot_ms() + COMPARE_AGAIN_MS)

    async def keep_in_touch(self) -> None:
        """Compare with the exchange when it is time, look doubtful orders up in between."""
        if self._clock.boot_ms() >= self._due_ms or (self._incomplete and self._has_plenty()):
            try:
                await self.make()
            except AuthenticationRefused:
                raise
            except VenueError as error:
                self._failed += 1
                self._due_ms = self._clock.boot_ms() + COMPARE_AGAIN_MS * self._failed
                self._log.warning("comparison_failed", error=str(error))
                if self._failed >= FAILED_COMPARISONS_MAX:
                    self.halt_reason = f"exchange: {error}"[:500]
        await self._look_up_doubtful()

    async def make(self) -> None:
        """Ask the exchange first and change what is known only when all answers are there.

        Many symbols that compare at once, after a start or a lost stream, would use up the rate
        budget by their trades alone: those of which the orders say nothing wait until it allows.

        Raises
        ------
        DatabaseRolledBack
            If the exchange shows orders of ours that the database never made.
        """
        state, exchange, store = self._state, self._exchange, self._store
        instrument = state.claim.instrument
        found = await survey(exchange, instrument, self._reconciled_trade_id, self._needs_trades)
        await self._refuse_rolled_back(found.open_orders)
        if not self.ids_are_new and exchange.rate.level >= AMPLE:
            await self.prove_ids_new()
        changes = Changes(is_reconciled=found.is_complete)
        if instrument.kind is MarketKind.LINEAR:
            changes.position = found.position
        await absorb_survey(found, state, self._doubts, exchange, store, changes)
        if await self._knows_own_orders():
            await settle_parked(state, self._doubts, store, changes)
        await self._record(changes)
        self._reconciled_trade_id = changes.reconciled_trade_id or self._reconciled_trade_id
        gap = await self._gap(found)
        doubt = gap or why_orphaned(found, state, exchange)
        self._doubtful = self._doubtful + 1 if doubt else 0
        self.halt_reason = why_not_alone(found, state, exchange)
        if not self.halt_reason and self._doubtful > 1:
            self.halt_reason = doubt
        wait_ms = self._every_ms
        if doubt:
            # A fill between two answers, or a cancel on its way, looks the same: look again before
            # halting, and until it is gone, but less and less often.
            wait_ms = min(wait_ms, COMPARE_AGAIN_MS * self._doubtful)
        self._due_ms = self._clock.boot_ms() + wait_ms
        self._must_be_complete = bool(gap)
        self._incomplete = 0 if found.is_complete else self._incomplete + 1
        self.is_made = True
        self._failed = 0

    async def prove_ids_new(self) -> None:
        """See to it that ids made now are new, before the first order of a tenure.

        A database is put back only while nothing uses it, so that once is enough. It is a dear
        question: of many symbols that start at once each asks it when it has something to place,
        and not so soon again after it failed.

        Raises
        ------
        DatabaseRolledBack
            If the newest orders of ours are not in the database.
        """
        if self._clock.boot_ms() < self._newest_due_ms:
            return
        try:
            await self._look_at_newest()
        except AuthenticationRefused:
            raise
        except VenueError as error:
            self._newest_due_ms = self._clock.boot_ms() + COMPARE_AGAIN_MS
            self._log.warning("newest_orders_unknown", error=str(error))

    async def _knows_own_orders(self) -> bool:
        """Whether trades of orders that are not known can only be somebody else's."""
        if self._state.parked and not self.ids_are_new:
            await self.prove_ids_new()
        return self.ids_are_new or not self._state.parked

    async def _look_at_newest(self) -> None:
        newest = await self._exchange.fetch_newest_orders(self._state.claim.symbol)
        await self._refuse_rolled_back(newest)
        self.ids_are_new = True

    async def _refuse_rolled_back(self, reports: Sequence[OrderReport]) -> None:
        unheard = await unheard_of(reports, self._state, self._exchange, self._store)
        if unheard:
            await self._record(
                Changes(findings=[order_without_intent(report) for report in unheard.values()])
            )
            raise DatabaseRolledBack(why_rolled_back(unheard))

    def _needs_trades(self, open_orders: Sequence[OrderReport]) -> bool:
        return (
            self._must_be_complete
            or self._has_plenty()
            or self._incomplete >= INCOMPLETE_MAX
            or hints_at_trades(open_orders, self._state, self._exchange)
        )

    def _has_plenty(self) -> bool:
        return self._exchange.rate.level >= PLENTY

    async def _gap(self, found: Survey) -> str:
        """What the exchange holds otherwise than the slots would have it; empty if nothing."""
        claim = self._state.claim
        base = claim.instrument.base
        if claim.instrument.kind is MarketKind.LINEAR:
            position = await self._store.held_position(claim.account, claim.symbol)
            return why_position_differs(found, position, base)
        held = await self._store.held_inventory(claim.account, base)
        missing = base_shortfall(found, held, base)
        return f"the account holds {missing} {base} less than the slots" if missing else ""

    async def _look_up_doubtful(self) -> None:
        changes = Changes()
        made = 0
        with suppress(VenueError):  # proves nothing; the others have their turn in the next round
            for order in doubtful_orders(self._state, self._doubts):
                if made == LOOK_UPS_A_ROUND:
                    break
                if not self._doubts.is_due(order.intent.client_order_id):
                    continue
                made += 1
                await look_up(
                    order, self._state, self._doubts, self._exchange, self._store, changes
                )
        await self._record(changes)

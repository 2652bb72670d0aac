"""The symbols that run on one node: begun by their workflows, told what people want, let go of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from domain.errors import OwnershipLost, StoreUnavailable
from domain.orders import OrderReport, Trade
from orchestrator.guard import Guard
from orchestrator.rows import KillSwitchRow, RunRows, SymbolRows
from ports.exchange import StreamLost, StreamRestored
from ports.store import Status
from store.engine import until_store_answers
from store.nodes import ExecutorId
from store.registry import RegisteredSymbol
from symbol_manager.mailbox import Mailbox, Wishes
from symbol_manager.shard import Shard
from symbol_manager.tenure import ShardPorts, ShardSettings

#: How often a symbol that another node still owns is tried to be claimed.
CLAIM_AGAIN_S = 0.25

log = structlog.get_logger("orchestrator")


class Residents:
    """Whoever is here, and whoever is on the way out.

    Parameters
    ----------
    before_release : callable
        Awaited for a shard that goes on elsewhere, while it is still owned here.
    on_begin, on_end : callable
        Called when a shard begins, and when nothing of it runs here any more.
    """

    def __init__(
        self,
        me: ExecutorId,
        rows: SymbolRows,
        kill_switch: KillSwitchRow,
        runs: RunRows,
        ports: ShardPorts,
        settings: ShardSettings,
        *,
        guard: Guard,
        before_release: Callable[[Shard], Awaitable[None]],
        on_begin: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._me = me
        self._rows = rows
        self._kill_switch = kill_switch
        self._runs = runs
        self._ports = ports
        self._settings = settings
        self._guard = guard
        self._before_release = before_release
        self._on_begin = on_begin
        self._on_end = on_end
        self._shards: dict[int, Shard] = {}
        #: Those of them that are to end here and go on elsewhere.
        self._leaving: set[int] = set()
        self._stopping = False

    @property
    def shards(self) -> Sequence[Shard]:
        return list(self._shards.values())

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    async def run(self, shard: int, workflow_id: str) -> Shard | None:
        """Run a symbol until it is removed; `None` if it was before.

        Raises
        ------
        asyncio.CancelledError
            If it runs here already, or is to go on elsewhere.
        """
        registered = await until_store_answers(lambda: self._rows.symbol(shard))
        killed = await until_store_answers(self._kill_switch.is_engaged)
        if registered.status is Status.REMOVED:
            return None
        if self._stopping or shard in self._shards:
            # A late resume started it a second time: the one that runs goes on alone.
            raise asyncio.CancelledError
        runner = Shard(
            shard=shard,
            symbol=registered.symbol,
            workflow_id=workflow_id,
            mailbox=Mailbox(_wishes(registered, is_killed=killed)),
            ports=self._ports,
            settings=self._settings,
        )
        self._shards[shard] = runner
        self._on_begin()
        try:
            await self._run_here(runner)
        except asyncio.CancelledError:
            await self._before_release(runner)
            raise
        finally:
            await self._let_go(runner)
        return runner

    async def read_wishes(self) -> None:
        """Tell each what people want of it, and have those go whose place is elsewhere."""
        if not self._shards:
            return
        killed = await self._kill_switch.is_engaged()
        for registered in await self._rows.active_symbols():
            runner = self._shards.get(registered.shard)
            if runner is not None:
                runner.mailbox.put_wishes(_wishes(registered, is_killed=killed))
                is_elsewhere = registered.placed_on not in {None, self._me}
                if is_elsewhere and not self._stopping:  # a stop may have to cancel first
                    self._leaving.add(registered.shard)
                    runner.stop(cancel_orders=False)
                if registered.awaits_reconcile:
                    runner.mailbox.ask_reconcile()

    async def release_ended(self) -> None:
        """Let go of what ended here while Postgres did not answer."""
        for registered in await self._rows.active_symbols():
            if registered.owner == self._me and registered.shard not in self._shards:
                await self._runs.release(registered.shard)

    def hand_out(self, event: OrderReport | Trade | StreamLost | StreamRestored) -> None:
        """An order's event goes to its symbol, news of the account's stream to everybody."""
        for runner in self._shards.values():
            is_of_another = isinstance(event, OrderReport | Trade) and event.symbol != runner.symbol
            if not is_of_another:
                runner.mailbox.put_order_event(event)

    def close(self) -> None:
        """Begin no more, and let those go that wait for something."""
        self._stopping = True

    async def stop(self, *, cancel_orders: bool) -> None:
        """Have each end its plan, cancel its orders unless they are to rest, and go."""
        runners = self.shards
        for runner in runners:
            runner.stop(cancel_orders=cancel_orders)
        await asyncio.gather(*(runner.ended.wait() for runner in runners))

    async def _run_here(self, runner: Shard) -> None:
        """Run a shard for as long as this is its place; its owner before may not be done yet."""
        while True:
            try:
                await self._guard.run(runner, is_leaving=lambda: self._is_leaving(runner))
            except OwnershipLost as failure:
                log.info("ownership_lost", symbol=runner.symbol, reason=str(failure))
            else:
                return
            seen = await until_store_answers(lambda: self._rows.symbol(runner.shard))
            if seen.status is Status.REMOVED:
                return
            if self._is_leaving(runner) or seen.placed_on != self._me:
                raise asyncio.CancelledError
            await asyncio.sleep(CLAIM_AGAIN_S)

    async def _let_go(self, runner: Shard) -> None:
        try:
            with suppress(StoreUnavailable):  # the watchdog releases it then
                await self._runs.release(runner.shard)
        finally:
            del self._shards[runner.shard]
            self._leaving.discard(runner.shard)
            runner.ended.set()
            self._on_end()

    def _is_leaving(self, runner: Shard) -> bool:
        return self._stopping or runner.shard in self._leaving


def _wishes(registered: RegisteredSymbol, *, is_killed: bool) -> Wishes:
    return Wishes(registered.desired, is_killed, registered.spec_version)

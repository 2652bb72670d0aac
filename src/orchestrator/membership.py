"""A process's row in `nodes`: its permission to act, renewed by a heartbeat.

The same heartbeat divides the account's rate limits among the nodes, and tells all of them when the
venue asked one for silence.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import OwnershipLost, StoreUnavailable
from orchestrator.rate_share import ShareRule
from orchestrator.rows import NodeRows
from orchestrator.takeover import is_gone, this_process
from ports.clock import Clock
from ports.exchange import ExchangePort
from store.nodes import Beat, ExecutorId, Member
from symbol_manager.lease import Lease


class Membership:
    """Joins, keeps the lease renewed, and leaves."""

    def __init__(
        self,
        nodes: NodeRows,
        executor_id: ExecutorId,
        clock: Clock,
        lease: Lease,
        exchange: ExchangePort,
    ) -> None:
        self._nodes = nodes
        self._executor_id = executor_id
        self._clock = clock
        self._lease = lease
        self._account = exchange.account
        self._rate = exchange.rate
        self._rule = ShareRule(lease.duration_ms)
        #: Since when no heartbeat came too late for the lease.
        self._steady_since_ms = 0
        #: Of each node, its last heartbeat and when, by boot time, that was seen here first.
        self._heard: Mapping[ExecutorId, tuple[datetime, int]] = {}
        self._has_beaten = asyncio.Event()
        self.process = this_process()

    async def join(self, name: str, capacity: int) -> None:
        """Write the row that lets this process act."""
        asked_ms = self._clock.boot_ms()
        await self._nodes.join(self._executor_id, name, self.process, capacity)
        self._steady_since_ms = asked_ms
        self._rule.join(self._clock.boot_ms())
        self._lease.renew(asked_ms)
        self._heed(await self._beat(reaches_exchange=False))

    def was_steady_for(self, seconds: float) -> bool:
        """Whether Postgres acknowledged the heartbeats without a gap for so long."""
        steady_ms = self._clock.boot_ms() - self._steady_since_ms
        return self._lease.is_held and steady_ms >= seconds * 1000

    def silent_s(self, member: Member) -> float:
        """For how long a node has not been heard of, by boot time: Postgres' clock may be set."""
        now_ms = self._clock.boot_ms()
        return (now_ms - self._seen_ms(member, now_ms)) / 1000

    def until_silent_s(self, seconds: float) -> float:
        """In how long the next of the others will not have been heard of for so long."""
        now_ms = self._clock.boot_ms()
        left_s = [
            seconds - (now_ms - seen_ms) / 1000
            for executor_id, (_, seen_ms) in self._heard.items()
            if executor_id != self._executor_id
        ]
        return min((each for each in left_s if each > 0), default=math.inf)

    async def next_beat(self) -> None:
        """Wait until Postgres acknowledges a heartbeat of this node."""
        await self._has_beaten.wait()

    async def keep(self, heartbeat_s: float, reaches_exchange: Callable[[], bool]) -> None:
        """Renew the lease for ever; while Postgres does not answer it runs out by itself.

        Raises
        ------
        OwnershipLost
            If the row is gone: this process was declared dead and must not renew what it lost.
        """
        while True:
            asked_ms = self._clock.boot_ms()
            with suppress(StoreUnavailable, SQLAlchemyError):
                beat = await self._beat(reaches_exchange=reaches_exchange())
                if not self._lease.is_held:
                    self._steady_since_ms = asked_ms
                self._lease.renew(asked_ms)
                self._heed(beat)
                # Whoever waits goes on; whoever comes later waits for the next one.
                self._has_beaten.set()
                self._has_beaten = asyncio.Event()
            with suppress(TimeoutError):  # the others must hear of a pause at once
                async with asyncio.timeout(heartbeat_s):
                    await self._rate.was_told()

    async def leave(self) -> None:
        """Send nothing any more and delete the row: what is pending here may be resumed."""
        self._revoke()
        with suppress(StoreUnavailable):
            await self._nodes.leave(self._executor_id)

    async def _beat(self, *, reaches_exchange: bool) -> Beat:
        beat = await self._nodes.beat(
            self._executor_id,
            reaches_exchange=reaches_exchange,
            account=self._account,
            told_pause_s=self._rate.told_pause_s,
        )
        if beat is None:
            self._revoke()
            raise OwnershipLost("this node was declared dead; its shards moved on")
        return beat

    def _heed(self, beat: Beat) -> None:
        """Keep to the part of the rate limits, and the pause, that a heartbeat told of."""
        alive = [
            member
            for member in beat.members
            if member.executor_id == self._executor_id or not is_gone(member.process, self.process)
        ]
        now_ms = self._clock.boot_ms()
        self._heard = {
            member.executor_id: (member.heartbeat_at, self._seen_ms(member, now_ms))
            for member in beat.members
        }
        nodes = self._rule.nodes(len(alive), now_ms)
        # Not longer than the lease: by then other nodes may have taken this one's part.
        self._rate.share(nodes, self._lease.valid_until_ms)
        self._rate.pause_with(beat.paused_for_s)

    def _seen_ms(self, member: Member, now_ms: int) -> int:
        """When its last heartbeat was seen here first."""
        heartbeat_at, seen_ms = self._heard.get(member.executor_id, (None, now_ms))
        return seen_ms if heartbeat_at == member.heartbeat_at else now_ms

    def _revoke(self) -> None:
        self._lease.revoke()
        self._rate.share(0, self._clock.boot_ms())

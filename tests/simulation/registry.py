"""What the orchestrator does in Postgres, in memory: symbols, nodes, and who runs what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from grid.ladder import LadderVersion
from orchestrator.workflows import CHANGES_QUEUE, SHARDS_QUEUE, queue_of
from ports.store import Status
from simulation.link import HeldError
from simulation.tables import (
    LadderRow,
    NodeRow,
    OpeningRow,
    Progress,
    ShardRow,
    SpecRow,
    Tables,
)
from store.engine import TRANSACTION_TIMEOUT_S
from store.nodes import ExecutorId, Placed

#: How long the server waits for a client that holds a lock and says nothing, and for one of which
#: half a batch has come.
ROUND_MAX_MS = int(TRANSACTION_TIMEOUT_S * 1000)
NEVER_MS = 1 << 60


class Registry(Tables):
    """Stands for `store/registry.py`, `store/nodes.py` and the queues of DBOS."""

    def add_shard(
        self,
        row: ShardRow,
        ladder: LadderVersion,
        balances: Mapping[str, Decimal],
        income_ms: int = 0,
    ) -> None:
        with self._transaction():
            instrument = row.instrument
            rules_key = row.account, row.symbol, instrument.version
            self._insert(self.instruments, rules_key, instrument)
            self._insert(self.shards, row.shard, row)
            first = SpecRow(row.spec, row.ladder_version, "")
            self._insert(self.specs, (row.shard, row.spec_version), first)
            self._insert(
                self.ladders, (row.shard, ladder.version), LadderRow(ladder, row.created_ms)
            )
            for asset, amount in balances.items():
                if asset not in self.openings:
                    self._put(self.openings, asset, OpeningRow(amount, income_ms))

    def join(self, executor: str, host: str, *, name: str = "", capacity: int = 1) -> None:
        self.nodes[executor] = NodeRow(
            executor=executor,
            name=name or executor,
            host=host,
            capacity=capacity,
            heartbeat_ms=self._stamp_ms(),
        )

    def leave(self, *executors: str) -> None:
        self._expect_free(*executors)
        for executor in executors:
            self.nodes.pop(executor, None)

    def is_silent_since(self, executor: str, heartbeat_ms: int) -> bool:
        """Whether a node is there and was not heard of since then."""
        row = self.nodes.get(executor)
        return row is not None and row.heartbeat_ms == heartbeat_ms

    def beat(self, executor: str, *, reaches_exchange: bool, told_pause_ms: int = 0) -> bool:
        """Whether the node's row is still there; a silence it was told of is for all."""
        row = self.nodes.get(executor)
        if row is None:
            return False
        stamp_ms = self._stamp_ms()
        exchange_ms = stamp_ms if reaches_exchange else row.exchange_ms
        self.nodes[executor] = replace(row, heartbeat_ms=stamp_ms, exchange_ms=exchange_ms)
        if told_pause_ms > self.paused_for_ms:
            self.pause = stamp_ms, stamp_ms + told_pause_ms
            self.pauses.append((self._now_ms(), self._now_ms() + told_pause_ms))
        return True

    @property
    def paused_for_ms(self) -> int:
        told_ms, until_ms = self.pause
        stamp_ms = self._stamp_ms()
        return max(until_ms - stamp_ms, 0) if told_ms <= stamp_ms else 0

    def set_clock(self, ahead_ms: int) -> None:
        """The wall clock of the server is set; who joins next need not hear of a pause."""
        self.ahead_ms = ahead_ms
        self.pauses.clear()

    def drain(self, name: str, *, is_draining: bool) -> None:
        """Of all nodes of that name, or of one executor."""
        for executor, row in self.nodes.items():
            if name in {row.name, executor}:
                self.nodes[executor] = replace(row, is_draining=is_draining)

    def lock_round(self, executor: str, has_ended: Callable[[str], bool]) -> bool:
        """Whether nobody else is at it whose connection the server still waits for."""
        if self.round is not None:
            holder, until_ms = self.round
            if not has_ended(holder) and self._now_ms() < until_ms:
                return False
        self.round = executor, self._now_ms() + ROUND_MAX_MS
        return True

    def unlock_round(self, executor: str) -> None:
        if self.round is not None and self.round[0] == executor:
            self.round = None

    def placed(self) -> list[Placed]:
        """Every symbol that a workflow runs or will run."""
        return [
            Placed(
                shard=row.shard,
                placed_on=_id(row.placed_on),
                pinned_to=row.pinned_to,
                owner=_id(row.owner),
                workflow_id=row.workflow_id,
                queue=row.queue if row.progress is Progress.ENQUEUED else None,
                executor_id=_id(row.executor),
            )
            for row in self.shards.values()
            if row.status is not Status.REMOVED and row.progress is not Progress.DONE
        ]

    def hold(self, executor: str, row: int | str) -> None:
        """Keep a shard or a node, and the round, until one goes on or has no connection."""
        self.held[executor] = row, self._now_ms()
        self._keep_round(executor, NEVER_MS)

    def let_go(self, executor: str) -> None:
        if self.held.pop(executor, None) is not None:
            self.freed_ms = self._now_ms()
        self._keep_round(executor, self._now_ms() + ROUND_MAX_MS)

    def end_sessions(self, executor: str) -> None:
        """Take back what an executor has locked."""
        self.let_go(executor)
        self.unlock_round(executor)

    @property
    def too_long(self) -> list[str]:
        """Who has been in one transaction for longer than any takes."""
        before_ms = self._now_ms() - ROUND_MAX_MS
        return [executor for executor, (_, since_ms) in self.held.items() if since_ms < before_ms]

    def _keep_round(self, executor: str, until_ms: int) -> None:
        if self.round is not None and self.round[0] == executor:
            self.round = executor, until_ms

    def _expect_free(self, *rows: int | str) -> None:
        """Whoever writes to a row that is held waits."""
        if any(row in rows for row, _ in self.held.values()):
            raise HeldError

    def place(self, homes: Mapping[int, str]) -> None:
        self._expect_free(*homes)
        for shard, home in homes.items():
            self.shards[shard] = replace(self.shards[shard], placed_on=home)

    def release(self, shard: int, executor: str) -> None:
        """Let another node claim a shard of which nothing runs any more."""
        self._expect_free(shard)
        if self.shards[shard].owner == executor:
            self.shards[shard] = replace(self.shards[shard], owner=None)

    def begin_start(self, shard: int) -> None:
        self._expect_free(shard)
        row = self.shards[shard]
        self.shards[shard] = replace(row, starts=row.starts + 1)

    def end_start(self, shard: int) -> None:
        self._expect_free(shard)
        self.shards[shard] = replace(self.shards[shard], starts=0)

    def halt(self, shard: int, reason: str, executor: str, *, is_quarantined: bool) -> None:
        """Say why a shard does not go on, unless another live node runs it."""
        self._expect_free(shard)
        row = self.shards[shard]
        is_ours = row.owner in {None, executor} or row.owner not in self.nodes
        if row.status is not Status.REMOVED and is_ours:
            status = row.status if row.status is Status.REMOVING else Status.HALTED
            is_quarantined = is_quarantined or row.is_quarantined
            self.shards[shard] = replace(
                row, status=status, reason=reason, is_quarantined=is_quarantined
            )

    # The workflows, as DBOS keeps them.

    def dequeue(self, queue: str, executor: str) -> list[ShardRow]:
        """Take the workflows that wait on a queue, if it is registered."""
        taken = [
            replace(row, progress=Progress.PENDING, executor=executor)
            for row in self.shards.values()
            if (row.progress, row.queue) == (Progress.ENQUEUED, queue) and queue in self.queues
        ]
        self.shards |= {row.shard: row for row in taken}
        return taken

    def finish(self, shard: int, executor: str) -> None:
        row = self.shards[shard]
        if row.executor == executor:
            self.shards[shard] = replace(row, progress=Progress.DONE)

    def resume(self, workflow_ids: Sequence[str], queue: str) -> None:
        """Put on a queue what has not ended, whoever may be at it."""
        for row in list(self.shards.values()):
            if row.workflow_id in workflow_ids and row.progress is not Progress.DONE:
                enqueued = replace(row, progress=Progress.ENQUEUED, queue=queue)
                self.shards[row.shard] = enqueued

    def pending(self, executor: str) -> list[str]:
        """Workflows of symbols that an executor took."""
        return [
            row.workflow_id
            for row in self.shards.values()
            if (row.progress, row.executor) == (Progress.PENDING, executor)
        ]

    def left_behind(self) -> list[str]:
        """Workflows of symbols that no node runs, or has on its queue."""
        served = {CHANGES_QUEUE, *map(queue_of, self.nodes)}
        return [
            row.workflow_id
            for row in self.shards.values()
            if (row.progress is Progress.PENDING and row.executor not in self.nodes)
            or (row.progress is Progress.ENQUEUED and row.queue not in served)
        ]

    def stale_plans(self) -> list[str]:
        """Workflows of plans whose executor is no node."""
        return [name for name, executor in self.plans.items() if executor not in self.nodes]

    def cancel_plans(self, workflow_ids: Sequence[str]) -> None:
        for name in workflow_ids:
            self.plans.pop(name, None)

    def run_orphans_again(self) -> None:
        for row in list(self.shards.values()):
            if row.status is not Status.REMOVED and row.progress is Progress.DONE:
                again = replace(row, progress=Progress.ENQUEUED, queue=SHARDS_QUEUE)
                self.shards[row.shard] = again

    def _stamp_ms(self) -> int:
        """By the wall clock of the server."""
        return self._now_ms() + self.ahead_ms


def _id(executor: str | None) -> ExecutorId | None:
    return None if executor is None else ExecutorId(executor)

"""What the orchestrator does in Postgres, in memory: symbols, nodes, wishes, workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from grid.ladder import LadderVersion
from ports.store import Desired, Status
from simulation.tables import LadderRow, NodeRow, OpeningRow, Progress, ShardRow, Tables


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
            self._insert(self.shards, row.shard, row)
            self._insert(
                self.ladders, (row.shard, ladder.version), LadderRow(ladder, row.created_ms)
            )
            for asset, amount in balances.items():
                self._put(self.openings, asset, OpeningRow(amount, income_ms))

    def join(self, executor: str, host: str) -> None:
        node = NodeRow(executor=executor, host=host, heartbeat_ms=self._now_ms())
        self.nodes[executor] = node

    def leave(self, executor: str) -> None:
        self.nodes.pop(executor, None)

    def beat(self, executor: str, *, told_pause_ms: int = 0) -> bool:
        """Whether the node's row is still there; a silence it was told of is for all."""
        row = self.nodes.get(executor)
        if row is None:
            return False
        self.nodes[executor] = replace(row, heartbeat_ms=self._now_ms())
        if told_pause_ms > self.paused_for_ms:
            self.pauses.append((self._now_ms(), self._now_ms() + told_pause_ms))
        return True

    @property
    def paused_for_ms(self) -> int:
        return max([0, *(until_ms - self._now_ms() for _, until_ms in self.pauses)])

    def wish(self, shard: int, desired: Desired) -> None:
        row = self.shards[shard]
        if row.desired is not Desired.REMOVED and row.status is not Status.REMOVED:
            self.shards[shard] = replace(row, desired=desired)

    def dequeue(self, executor: str) -> list[ShardRow]:
        """Take the workflows that wait; all that the executor has taken."""
        for row in list(self.shards.values()):
            if row.progress is Progress.ENQUEUED and executor in self.nodes:
                taken = replace(row, progress=Progress.PENDING, executor=executor)
                self.shards[row.shard] = taken
        return [
            row
            for row in self.shards.values()
            if (row.progress, row.executor) == (Progress.PENDING, executor)
        ]

    def finish(self, shard: int, executor: str) -> None:
        row = self.shards[shard]
        if row.executor == executor:
            self.shards[shard] = replace(row, progress=Progress.DONE)

    def take_over(self, dead: Callable[[NodeRow], bool]) -> list[str]:
        """Enqueue what dead nodes ran, then delete their rows; the symbols that go on."""
        gone = {name for name, node in self.nodes.items() if dead(node)}
        handed = []
        for row in list(self.shards.values()):
            if row.progress is Progress.PENDING and (
                row.executor in gone or row.executor not in self.nodes
            ):
                self.shards[row.shard] = replace(
                    row, progress=Progress.ENQUEUED, executor=None, turn=row.turn + 1
                )
                handed.append(row.symbol)
        for name in gone:
            del self.nodes[name]
        return handed

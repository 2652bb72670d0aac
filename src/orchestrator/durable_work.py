"""The durable workflows as a watchdog handles them: implements `takeover.Work` on DBOS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from dbos import DBOS

from orchestrator.workflows import run_shard_again
from store.nodes import ExecutorId, Nodes
from store.registry import Registry

log = structlog.get_logger("orchestrator")


class DurableWork:
    """Of all nodes; DBOS itself lists no queues, and pending work of dead nodes only one by one."""

    def __init__(self, nodes: Nodes, registry: Registry) -> None:
        self._nodes = nodes
        self._registry = registry

    async def stranded(
        self, names: Sequence[str], *, of: ExecutorId | None = None
    ) -> Mapping[str, str]:
        return await self._nodes.stranded(names, of=of)

    async def cancel(self, workflow_ids: Sequence[str]) -> None:
        await DBOS.cancel_workflows_async(list(workflow_ids))

    async def resume(self, workflow_ids: Sequence[str], queue: str) -> None:
        await DBOS.resume_workflows_async(list(workflow_ids), queue_name=queue)

    async def queues(self, prefix: str) -> Sequence[str]:
        return await self._nodes.queues(prefix)

    async def drop_queue(self, queue: str) -> None:
        await DBOS.delete_queue_async(queue)

    async def run_orphans_again(self) -> None:
        for orphan in await self._registry.orphans():
            log.error("shard_without_workflow", symbol=orphan.symbol, shard=orphan.shard)
            await self._registry.enqueue(run_shard_again(orphan))

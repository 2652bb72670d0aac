"""The durable workflows: their names, ids and queues, and nothing else.

Names and ids never change: Postgres holds histories under them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from dbos import DBOS, WorkflowSerializationFormat

from domain.ids import SymbolKey
from store.registry import Enqueued, RegisteredSymbol

#: Pinned, so that an upgrade finds the work of the version before.
APPLICATION_VERSION = "1"
APPLICATION_NAME = "gridkeeper"

RUN_SHARD = "run_shard"
EXECUTE_PLAN = "execute_plan"
APPLY_CHANGE = "apply_change"

#: Where shards wait to be placed; no node listens to it, but each to one of its own.
SHARDS_QUEUE = "shards"
#: All nodes listen to it.
CHANGES_QUEUE = "changes"
QUEUE_POLL_S = 0.25

#: A JSON object, as workflows take and return it.
Document = dict[str, Any]

_PORTABLE = WorkflowSerializationFormat.PORTABLE


def run_shard_id(key: SymbolKey, shard: int) -> str:
    return f"run_shard:{key}:{shard}"


def queue_of(executor_id: str) -> str:
    """The queue of the shards that are to run on one node."""
    return f"{SHARDS_QUEUE}@{executor_id}"


def run_shard_again(symbol: RegisteredSymbol) -> Enqueued:
    """A successor of a `run_shard` that ended although its symbol was not removed."""
    first = run_shard_id(symbol.key, symbol.shard)
    return Enqueued(
        name=RUN_SHARD,
        queue=SHARDS_QUEUE,
        workflow_id=f"{first}:{symbol.runs + 1}",
        argument=symbol.shard,
        app_version=APPLICATION_VERSION,
        app_name=APPLICATION_NAME,
    )


def change_id(verb: str, key: str, request_id: str) -> str:
    return f"{verb}:{key}:{request_id}"


class Handlers(Protocol):
    """What the workflows do; a node implements it."""

    def busy_with(self, workflow_id: str) -> AbstractContextManager[None]:
        """Entered while a workflow that was taken from a queue is at work."""
        ...

    async def run_shard(self, shard: int, workflow_id: str) -> Document: ...

    def executing(self, batch: Document) -> AbstractContextManager[None]:
        """Entered while a workflow of plans runs."""
        ...

    async def submit_plans(self, batch: Document) -> Document: ...

    async def prepare_change(self, change: Document, workflow_id: str) -> Document: ...

    async def record_change(
        self, change: Document, prepared: Document, workflow_id: str
    ) -> Document: ...

    async def await_change(
        self, change: Document, recorded: Document, workflow_id: str
    ) -> Document: ...


@dataclass(frozen=True, slots=True)
class Workflows:
    """The registered workflows, to be started by id."""

    run_shard: Callable[[int], Awaitable[Document]]
    execute_plan: Callable[[Document], Awaitable[Document]]
    apply_change: Callable[[Document], Awaitable[Document]]


def register(handlers: Handlers) -> Workflows:
    """Bind the workflows to a node; once in a process, before DBOS is launched."""

    @DBOS.step(name="submit")
    async def submit(batch: Document) -> Document:
        return await handlers.submit_plans(batch)

    @DBOS.step(name="prepare")
    async def prepare(change: Document, workflow_id: str) -> Document:
        return await handlers.prepare_change(change, workflow_id)

    @DBOS.step(name="record")
    async def record(change: Document, prepared: Document, workflow_id: str) -> Document:
        return await handlers.record_change(change, prepared, workflow_id)

    @DBOS.step(name="converge")
    async def converge(change: Document, recorded: Document, workflow_id: str) -> Document:
        return await handlers.await_change(change, recorded, workflow_id)

    @DBOS.workflow(name=RUN_SHARD, serialization_type=_PORTABLE, max_recovery_attempts=None)
    async def run_shard(shard: int) -> Document:
        """No steps: what it decides is durable in plans of its own, so its history stays short."""
        workflow_id = str(DBOS.workflow_id)
        with handlers.busy_with(workflow_id):
            return await handlers.run_shard(shard, workflow_id)

    @DBOS.workflow(name=EXECUTE_PLAN, serialization_type=_PORTABLE)
    async def execute_plan(batch: Document) -> Document:
        with handlers.executing(batch):
            return await submit(batch)

    @DBOS.workflow(name=APPLY_CHANGE, serialization_type=_PORTABLE, max_recovery_attempts=None)
    async def apply_change(change: Document) -> Document:
        workflow_id = str(DBOS.workflow_id)
        with handlers.busy_with(workflow_id):
            prepared = await prepare(change, workflow_id)
            if prepared["outcome"] == "refused":
                return prepared
            recorded = await record(change, prepared, workflow_id)
            if recorded["outcome"] == "refused":
                return recorded
            return await converge(change, recorded, workflow_id)

    return Workflows(run_shard, execute_plan, apply_change)

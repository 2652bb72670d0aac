"""Plans in their workflow `execute_plan`: those that are decided at one moment share one.

A workflow costs more than deciding, committing and sending together. Its id is the first plan's
decision, and a shard waits for its own plan only, never for the answers to another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from dbos import SetWorkflowID, error
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import StoreUnavailable
from domain.ids import DecisionId
from orchestrator.workflows import Document
from store.grouped import Grouped
from symbol_manager.execute import PlanExecutor, PlanRecord, PlanResult, decision_id_of

#: How long the start of a workflow may hold up those behind it; it takes milliseconds.
START_WAIT_S = 10.0


class Plans:
    """Starts `execute_plan`, and is its step."""

    def __init__(self, executor: PlanExecutor) -> None:
        self._executor = executor
        self._start = Grouped(self._start_together)
        #: Set when a shard need not wait for its plan any longer.
        self._done: dict[DecisionId, asyncio.Future[None]] = {}
        #: Set when a workflow has come to its step, by its id.
        self._begun: dict[str, asyncio.Future[None]] = {}
        self._running: set[asyncio.Task[Document]] = set()
        self._execute_plan: Callable[[Document], Awaitable[Document]] | None = None

    def bind(self, execute_plan: Callable[[Document], Awaitable[Document]]) -> None:
        """Give it the workflow as it was registered."""
        self._execute_plan = execute_plan

    async def run(self, plan: PlanRecord) -> None:
        """Have a plan executed: returns once its outcomes are recorded.

        Raises what kept them from being recorded, or what ended the workflow before.
        """
        name = decision_id_of(plan)
        done = self._done[name] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.gather(self._start(plan), done)
        finally:
            del self._done[name]

    async def ended(self) -> None:
        """Wait until every workflow that was started has ended, and DBOS knows."""
        while self._running:
            await asyncio.wait(self._running)

    async def submit(self, batch: Document) -> Document:
        """The one step of `execute_plan`; fails if any of its plans did, once all are through."""
        names = [decision_id_of(plan) for plan in batch["plans"]]
        _settle(self._begun.get(names[0]))
        outcomes = await asyncio.gather(*map(self._submit, names), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return {"orders": dict(zip(names, outcomes, strict=True))}

    async def _submit(self, name: DecisionId) -> PlanResult:
        submitting = asyncio.ensure_future(self._executor.submit(name))
        submitting.add_done_callback(lambda ended: _settle(self._done.get(name), ended))
        return await submitting

    async def _start_together(self, plans: Sequence[PlanRecord]) -> Sequence[None]:
        """Start one workflow, and let the next be started when it has come to its step."""
        names = [decision_id_of(plan) for plan in plans]
        begun = self._begun[names[0]] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(self._execute(names[0], {"plans": list(plans)}))
        self._running.add(running)
        running.add_done_callback(partial(self._end, names))
        try:
            async with asyncio.timeout(START_WAIT_S):
                await begun
        except TimeoutError as late:
            raise StoreUnavailable("the workflow of a plan does not come to its step") from late
        return [None] * len(plans)

    async def _execute(self, workflow_id: str, batch: Document) -> Document:
        if self._execute_plan is None:
            raise RuntimeError("the node was not bound to its workflows")
        try:
            with SetWorkflowID(workflow_id):
                return await self._execute_plan(batch)
        except (SQLAlchemyError, error.DBOSException, error.DBOSBaseException) as failure:
            # Of DBOS itself, not of a plan: no shard has crashed.
            raise StoreUnavailable(f"workflow {workflow_id}: {failure}") from failure

    def _end(self, names: Sequence[DecisionId], ended: asyncio.Task[Document]) -> None:
        """Leave nobody waiting, however the workflow ended."""
        self._running.discard(ended)
        for waiting in (self._begun.pop(names[0]), *map(self._done.get, names)):
            _settle(waiting, ended)


def _settle(waiting: asyncio.Future[None] | None, ended: asyncio.Future[Any] | None = None) -> None:
    """As `ended` has ended, unless it is settled or nobody waits."""
    if waiting is None or waiting.done():
        return
    if ended is None:
        waiting.set_result(None)
    elif ended.cancelled():
        waiting.cancel()
    elif error := ended.exception():
        waiting.set_exception(error)
    else:
        waiting.set_result(None)

"""Plans in their workflow `execute_plan`: those that are decided at one moment share one.

A workflow costs more than deciding, committing and sending together. Its id is the first plan's
decision. A shard waits until its own plan's outcomes are recorded and DBOS has written the workflow
down, neither for the answers to another's plan nor for what DBOS does then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog
from dbos import SetWorkflowID, error
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import StoreUnavailable
from domain.ids import DecisionId
from orchestrator.workflows import Document
from store.grouped import Grouped
from symbol_manager.execute import PlanExecutor, PlanRecord, PlanResult, decision_id_of

#: How long the start of a workflow may hold up those behind it; it takes milliseconds.
START_WAIT_S = 10.0

log = structlog.get_logger("orchestrator")


class Plans:
    """Starts `execute_plan`, and is its step."""

    def __init__(self, executor: PlanExecutor) -> None:
        self._executor = executor
        self._start = Grouped(self._start_together)
        #: Set when a shard need not wait for its plan any longer.
        self._done: dict[DecisionId, asyncio.Future[None]] = {}
        #: Set when DBOS has written a workflow down and runs it, by its id.
        self._begun: dict[str, asyncio.Future[None]] = {}
        #: The results that the step of a workflow that runs will wait for, by its id.
        self._results: dict[str, list[asyncio.Task[PlanResult]]] = {}
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

    @contextmanager
    def executing(self, batch: Document) -> Iterator[None]:
        """Entered while a workflow runs: its shards may go on before it has come to its step."""
        names = _names_of(batch)
        _settle(self._begun.get(names[0]))
        if names[0] not in self._results:
            self._results[names[0]] = self._results_of(names)
        try:
            yield
        finally:
            self._results.pop(names[0], None)

    async def submit(self, batch: Document) -> Document:
        """The one step of `execute_plan`; fails if any of its plans did, once all are through."""
        names = _names_of(batch)
        results = self._results.get(names[0]) or self._results_of(names)
        outcomes = await asyncio.gather(*results, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return {"orders": dict(zip(names, outcomes, strict=True))}

    def _results_of(self, names: Sequence[DecisionId]) -> list[asyncio.Task[PlanResult]]:
        results = []
        for name in names:
            result = asyncio.create_task(self._executor.submit(name))
            result.add_done_callback(partial(self._free, name))
            results.append(result)
        return results

    def _free(self, name: DecisionId, ended: asyncio.Task[PlanResult]) -> None:
        _failure_of(ended)
        _settle(self._done.get(name), ended)

    async def _start_together(self, plans: Sequence[PlanRecord]) -> Sequence[None]:
        """Start one workflow, and let the next be started when DBOS has written it down."""
        names = [decision_id_of(plan) for plan in plans]
        begun = self._begun[names[0]] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(self._execute(names[0], {"plans": list(plans)}))
        self._running.add(running)
        running.add_done_callback(partial(self._end, names))
        try:
            async with asyncio.timeout(START_WAIT_S):
                await begun
        except TimeoutError as late:
            raise StoreUnavailable("the workflow of a plan is not written down") from late
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
        if failure := _failure_of(ended):
            log.warning("plans_failed", workflow_id=names[0], error=str(failure))
        for waiting in (self._begun.pop(names[0]), *map(self._done.get, names)):
            _settle(waiting, ended)


def _names_of(batch: Document) -> list[DecisionId]:
    return [decision_id_of(plan) for plan in batch["plans"]]


def _failure_of(ended: asyncio.Future[Any]) -> BaseException | None:
    """What it failed with, which counts as seen then; nothing if it was cancelled."""
    return None if ended.cancelled() else ended.exception()


def _settle(waiting: asyncio.Future[None] | None, ended: asyncio.Future[Any] | None = None) -> None:
    """As `ended` has ended, unless it is settled or nobody waits."""
    if waiting is None or waiting.done():
        return
    if ended is not None and ended.cancelled():
        waiting.cancel()
    elif ended is not None and (failure := _failure_of(ended)):
        waiting.set_exception(failure)
    else:
        waiting.set_result(None)

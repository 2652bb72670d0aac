"""What DBOS remembers: each request, shard and plan as a workflow with its steps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.history.reading import fetch, fetch_one


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRecord:
    workflow_id: str
    #: ``run_shard``, ``execute_plan`` or ``apply_change``.
    name: str
    #: DBOS's word, such as ENQUEUED, PENDING, SUCCESS, ERROR or CANCELLED.
    status: str
    queue: str | None
    executor_id: str | None
    attempts: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    number: int
    name: str
    output: object
    error: object
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDetail:
    """A workflow with what went in, what came out and its steps."""

    workflow: WorkflowRecord
    input: object
    output: object
    error: object
    steps: tuple[StepRecord, ...]


_WORKFLOW = """
    SELECT workflow_uuid AS workflow_id, name, status, queue_name AS queue, executor_id,
           coalesce(recovery_attempts, 0) AS attempts,
           to_timestamp(created_at / 1000.0) AS created_at,
           to_timestamp(updated_at / 1000.0) AS updated_at,
           to_timestamp(completed_at / 1000.0) AS completed_at
      FROM dbos.workflow_status
"""

#: The symbol's key is the first part of a plan's id and the second of a request's and a shard's.
_WORKFLOWS = text(
    _WORKFLOW
    + """
     WHERE name IN ('run_shard', 'execute_plan', 'apply_change')
       AND (NOT :failed_only OR status IN ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'))
       AND (CAST(:symbol AS text) IS NULL
            OR split_part(workflow_uuid, ':', CASE name WHEN 'execute_plan' THEN 1 ELSE 2 END)
               LIKE '%-' || replace(:symbol, '/', '-'))
     ORDER BY dbos.workflow_status.created_at DESC
     LIMIT :limit
"""
)

_ONE_WORKFLOW = text(_WORKFLOW + " WHERE workflow_uuid = :id")

_CONTENTS = text("""
    SELECT coalesce(i.inputs, s.inputs) AS input, coalesce(o.output, s.output) AS output,
           coalesce(o.error, s.error) AS error
      FROM dbos.workflow_status s
      LEFT JOIN dbos.workflow_input i USING (workflow_uuid)
      LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
     WHERE workflow_uuid = :id
""")

_STEPS = text("""
    SELECT function_id AS number, function_name AS name, output, error,
           to_timestamp(started_at_epoch_ms / 1000.0) AS started_at,
           to_timestamp(completed_at_epoch_ms / 1000.0) AS completed_at
      FROM dbos.operation_outputs
     WHERE workflow_uuid = :id
     ORDER BY function_id
""")


async def workflows(
    engine: AsyncEngine,
    symbol: str | None = None,
    *,
    failed_only: bool = False,
    limit: int = 100,
) -> tuple[WorkflowRecord, ...]:
    """Workflows, the newest first; a plan that was given up for a newer one is not a failure."""
    return await fetch(
        engine, WorkflowRecord, _WORKFLOWS, symbol=symbol, failed_only=failed_only, limit=limit
    )


async def workflow(engine: AsyncEngine, workflow_id: str) -> WorkflowDetail | None:
    found = await fetch_one(engine, WorkflowRecord, _ONE_WORKFLOW, id=workflow_id)
    contents = await fetch_one(engine, _decoded, _CONTENTS, id=workflow_id)
    if found is None or contents is None:
        return None
    steps = await fetch(engine, _step, _STEPS, id=workflow_id)
    return WorkflowDetail(workflow=found, steps=steps, **contents)


def _decoded(**columns: str | None) -> dict[str, object]:
    return {name: _document(content) for name, content in columns.items()}


def _step(*, output: str | None, error: str | None, **columns: Any) -> StepRecord:
    return StepRecord(output=_document(output), error=_document(error), **columns)


def _document(content: str | None) -> object:
    """Contents are stored as JSON; what another version wrote otherwise is shown as it is."""
    if content is None:
        return None
    try:
        return json.loads(content)
    except json.JSONDecodeError:
        return content

"""Workflows: every durable request, plan and shard, with its steps."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.exceptions import HTTPException

from api.problems import documented
from api.served import Running
from api.values import Moment, NewestOfSymbol, Record
from store import history

router = APIRouter(prefix="/workflows", tags=["workflows"])


class Workflow(Record):
    """A durable workflow as DBOS keeps it."""

    workflow_id: str = Field(examples=["sim-BTC-USDT:3:17"])
    name: str = Field(
        description="run_shard, execute_plan or apply_change.", examples=["execute_plan"]
    )
    status: str = Field(
        description="DBOS's word: ENQUEUED, PENDING, SUCCESS, ERROR or CANCELLED.",
        examples=["SUCCESS"],
    )
    queue: str | None = Field(examples=["changes"])
    executor_id: str | None = Field(description="The process that runs or ran it.")
    attempts: int = Field(examples=[1])
    created_at: Moment
    updated_at: Moment
    completed_at: Moment | None


class Step(Record):
    """One checkpointed step."""

    number: int = Field(examples=[1])
    name: str = Field(examples=["submit"])
    output: Any = None
    error: Any = None
    started_at: Moment | None
    completed_at: Moment | None


class WorkflowWithSteps(Record):
    workflow: Workflow
    input: Any = None
    output: Any = Field(default=None, description="A refused request says so here.")
    error: Any = None
    steps: list[Step]


class WorkflowsQuery(NewestOfSymbol):
    failed_only: bool = False


@router.get("", response_model=list[Workflow])
async def list_workflows(
    served: Running, query: Annotated[WorkflowsQuery, Query()]
) -> Sequence[history.WorkflowRecord]:
    """The newest first."""
    return await history.workflows(
        served.database.engine, query.symbol, failed_only=query.failed_only, limit=query.limit
    )


@router.get(
    "/{workflow_id}",
    response_model=WorkflowWithSteps,
    responses=documented(HTTPStatus.NOT_FOUND),
)
async def show_workflow(workflow_id: str, served: Running) -> history.WorkflowDetail:
    """One workflow with its input, output and steps."""
    found = await history.workflow(served.database.engine, workflow_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no workflow {workflow_id!r:.80}")
    return found

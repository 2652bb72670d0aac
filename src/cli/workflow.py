"""`gridkeeper workflow`: requests, shards and plans as the durable workflows they are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.context import with_database
from cli.render import Column, show_facts, show_rows
from cli.session import Format, Limit, Output, session_of
from cli.unknown import unknown_workflow
from store import history
from store.history import StepRecord, WorkflowRecord

app = typer.Typer(no_args_is_help=True)

_COLUMNS: tuple[Column[WorkflowRecord], ...] = (
    Column("created (UTC)", lambda workflow: workflow.created_at),
    Column("workflow id", lambda workflow: workflow.workflow_id),
    Column("name", lambda workflow: workflow.name),
    Column("status", lambda workflow: workflow.status),
    Column("attempts", lambda workflow: workflow.attempts, is_detail=True),
    Column("executor", lambda workflow: workflow.executor_id, is_detail=True),
    Column("completed (UTC)", lambda workflow: workflow.completed_at, is_detail=True),
)
_STEPS: tuple[Column[StepRecord], ...] = (
    Column("step", lambda step: step.number),
    Column("name", lambda step: step.name),
    Column("started (UTC)", lambda step: step.started_at, is_detail=True),
    Column("completed (UTC)", lambda step: step.completed_at, is_detail=True),
    Column("output", lambda step: step.output),
    Column("error", lambda step: step.error),
)


@app.callback()
def workflow() -> None:
    """Durable workflows."""


@app.command("list")
def list_workflows(
    context: typer.Context,
    symbol: Annotated[str | None, typer.Option(help="Only those of this symbol.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """List workflows, the newest first."""
    found = with_database(
        session_of(context),
        lambda database: history.workflows(
            database.engine, symbol, failed_only=failed, limit=limit
        ),
    )
    show_rows(found, _COLUMNS, output, empty="no failed workflows" if failed else "no workflows")


@app.command()
def show(
    context: typer.Context,
    workflow_id: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    output: Output = Format.TABLE,
) -> None:
    """Show one workflow with its input, output and steps."""
    detail = with_database(
        session_of(context), lambda database: history.workflow(database.engine, workflow_id)
    )
    if detail is None:
        raise unknown_workflow(workflow_id)
    if output is Format.JSON:
        show_facts(asdict(detail), output)
        return
    contents = {"input": detail.input, "output": detail.output, "error": detail.error}
    show_facts(asdict(detail.workflow) | contents, output)
    show_rows(detail.steps, _STEPS, output, empty="no steps yet")

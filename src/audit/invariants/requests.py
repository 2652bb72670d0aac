"""Requests that a caller was told are safe: I10."""

from __future__ import annotations

from audit.database import Workflow
from audit.invariants.evidence import Evidence
from audit.report import Result, Violation

_WORKFLOW = "apply_change"
_ANSWERED = "SUCCESS"


def check_requests(evidence: Evidence) -> Result:
    """I10: every acknowledged request is in Postgres, and answered once it had time for that.

    One that ended in an error was neither done nor refused: it is lost.
    """
    violations: list[Violation] = []
    for workflow_id in evidence.acknowledged:
        workflow = evidence.database.workflows.get(workflow_id)
        if workflow is None or not _is_answered(workflow):
            found = "nothing" if workflow is None else f"{workflow.name} {workflow.status}"
            expected = f"{_WORKFLOW}, done or refused"
            violations.append(Violation("I10", f"request {workflow_id}", expected, found))
    checked = {"requests": len(evidence.acknowledged)}
    return Result("I10", "every acknowledged request survives", checked, tuple(violations))


def _is_answered(workflow: Workflow) -> bool:
    return workflow.name == _WORKFLOW and workflow.status == _ANSWERED

"""Judges what became of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.changes import Verb
from orchestrator.workflows import Document
from ports.store import Desired, Status
from simulation.database import Database
from simulation.tables import Progress

_WISHED: Mapping[str, Callable[[Document], Desired]] = {
    Verb.PAUSE: lambda change: Desired.PAUSED,
    Verb.RESUME: lambda change: Desired.RUNNING,
    Verb.REMOVE: lambda change: Desired.CLOSED if change.get("close") else Desired.REMOVED,
}


def check_requests(database: Database) -> list[str]:
    """Each request has an answer, no newer wish gave way to an older one, and specs are taken."""
    violations = [
        f"request {row.workflow_id}: {row.progress.value} after {[*row.steps]}"
        for row in database.changes.values()
        if row.progress is not Progress.DONE
    ]
    for row in database.shards.values():
        wishes = sorted(
            (each.asked_ms, each.workflow_id, _WISHED[each.change["verb"]](each.change))
            for each in database.changes.values()
            if each.change["verb"] in _WISHED
            and each.steps.get("record", {}).get("shard") == row.shard
        )
        if wishes and row.desired is not wishes[-1][-1]:
            violations.append(f"{row.symbol} is wanted {row.desired.value} after {wishes[-1]}")
    violations += [
        f"spec of {row.symbol}: {row.taken_version} of {row.spec_version} is taken"
        for row in database.shards.values()
        if row.status is not Status.REMOVED and row.taken_version != row.spec_version
    ]
    return violations

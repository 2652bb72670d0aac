"""Judges what became of requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from orchestrator.changes import Verb
from orchestrator.workflows import Document
from ports.store import Desired, Status
from simulation.database import Database
from simulation.tables import ENDING, Progress

_WISHED: Mapping[str, Callable[[Document], Desired]] = {
    Verb.PAUSE: lambda change: Desired.PAUSED,
    Verb.RESUME: lambda change: Desired.RUNNING,
    Verb.REMOVE: lambda change: Desired.CLOSED if change.get("close") else Desired.REMOVED,
}


#: What a request may be refused for: by a rule on a field, or by how things stand.
_REFUSALS = re.compile(
    r"`[\w.]+` |.* is not on account |.* is on account .* already: |version \d+ of .* was asked for"
    r"|no node .* takes symbols|the kill switch was thrown again|.* has no price now"
    r"|rate budget is used up"
)


def check_requests(
    database: Database, last_words: Mapping[int, Desired], *, is_deadly: bool
) -> list[str]:
    """Each request has an answer with a reason, the newest wish counts, and specs are taken.

    Parameters
    ----------
    last_words : mapping of shard to what was wanted of it at last
        A removal that was asked for before may have come first.
    is_deadly : bool
        Whether processes end again and again, and so in one request.
    """
    violations = []
    for asked in database.changes.values():
        result = asked.result or {}
        outcome, reason = result.get("outcome"), result.get("reason", "")
        if asked.progress is not Progress.DONE:
            violations.append(f"{asked.workflow_id}: {asked.progress.value} after {[*asked.steps]}")
        elif outcome == "refused" and not _REFUSALS.match(reason):
            violations.append(f"{asked.workflow_id}: refused for {reason}")
        elif outcome == "given up" and is_deadly:
            continue
        elif outcome not in {"done", "pending", "refused"}:
            violations.append(f"{asked.workflow_id}: {outcome}: {reason}")
    for row in database.shards.values():
        newest = _newest_wishes(database, row.shard)
        if newest and row.desired not in newest:
            violations.append(f"{row.symbol} is wanted {row.desired.value} after {newest}")
        wanted = last_words.get(row.shard, row.desired)
        if row.desired not in {wanted, *ENDING, *newest}:
            violations.append(f"{row.symbol} is wanted {row.desired.value}, was asked {wanted}")
        if row.status is not Status.REMOVED and row.taken_version != row.spec_version:
            spec = f"{row.taken_version} of {row.spec_version}"
            violations.append(f"spec of {row.symbol}: {spec} is taken")
    return violations


def _newest_wishes(database: Database, shard: int) -> set[Desired]:
    """Of those that were written down; several if they were asked for at the same moment."""
    wishes = [
        (row.asked_ms, _WISHED[row.change["verb"]](row.change))
        for row in database.changes.values()
        if row.change["verb"] in _WISHED and row.steps.get("record", {}).get("shard") == shard
    ]
    newest_ms = max((asked_ms for asked_ms, _ in wishes), default=0)
    return {desired for asked_ms, desired in wishes if asked_ms == newest_ms}

"""Changes from a file made one after another, and what became of each."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console

from cli.asking import KEPT
from cli.exits import Exit
from cli.render import Column, print_json, show_rows
from cli.session import Format
from orchestrator.bootstrap import Database
from orchestrator.declared import Action, Difference, ask_for
from orchestrator.requests import Progress
from orchestrator.settings import Settings
from store import history


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of one change."""

    symbol: str
    action: Action
    workflow_id: str
    status: str
    #: done, pending, refused or failed; `None` while nothing came of it yet.
    outcome: str | None
    reason: str


_APPLIED: tuple[Column[Applied], ...] = (
    Column("symbol", lambda each: each.symbol),
    Column("action", lambda each: each.action.value),
    Column("outcome", lambda each: each.outcome or each.status.lower()),
    Column("reason", lambda each: each.reason),
    Column("workflow", lambda each: each.workflow_id, is_detail=True),
)


async def apply_all(
    database: Database,
    settings: Settings,
    changes: Sequence[Difference],
    wait: bool | None,
    timeout_s: float,
) -> tuple[list[Applied], bool, bool]:
    """Ask for the changes in their order; what makes room has ended, if it can be waited for.

    Returns
    -------
    list of Applied, bool, bool
        What became of each, whether that was waited for, and whether a node runs.
    """
    nodes = await history.nodes(database.engine)
    node_runs = any(node.silent_s < settings.dead_after_s for node in nodes)
    if not node_runs:
        sys.stderr.write(f"{KEPT}\n")
    waits = node_runs if wait is None else wait
    deadline = asyncio.get_running_loop().time() + timeout_s
    applied: list[Applied] = []
    for _, together in groupby(changes, lambda each: (each.action, each.makes_room)):
        asked = [
            (each, await ask_for(database.requests, settings.account.name, each))
            for each in together
        ]
        for each, workflow_id in asked:
            left_s = deadline - asyncio.get_running_loop().time() if waits else 0.0
            with Console(stderr=True).status(f"waiting for {workflow_id}"):
                progress = await database.requests.wait(workflow_id, max(left_s, 0.0))
            applied.append(_applied(each, progress))
            _tell(applied[-1], len(applied), len(changes))
    return applied, waits, node_runs


def _applied(wanted: Difference, progress: Progress) -> Applied:
    result = progress.result or {}
    return Applied(
        symbol=wanted.symbol,
        action=wanted.action,
        workflow_id=progress.workflow_id,
        status=progress.status,
        outcome=result.get("outcome"),
        reason=str(result.get("reason") or ""),
    )


def _tell(applied: Applied, number: int, of: int) -> None:
    outcome = applied.outcome or applied.status.lower()
    sys.stderr.write(f"{number} of {of}: {applied.action} {applied.symbol}: {outcome}\n")


def exit_of(applied: Sequence[Applied], *, waited: bool) -> Exit:
    """The worst that happened."""
    outcomes = {each.outcome for each in applied}
    if outcomes - {"done", "refused", "pending", None}:
        return Exit.FAILED
    if "refused" in outcomes:
        return Exit.REFUSED
    return Exit.PENDING if waited and outcomes & {"pending", None} else Exit.OK


def show_applied(
    account: str,
    applied: Sequence[Applied],
    output: Format,
    *,
    node_runs: bool | None,
    code: Exit,
) -> None:
    if output is Format.JSON:
        print_json(
            {
                "account": account,
                "changes": applied,
                "node_runs": node_runs,
                "exit_code": code,
            }
        )
    else:
        show_rows(applied, _APPLIED, output, empty="nothing to do: it is as declared")

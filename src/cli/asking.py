"""How every change is asked for: durably, with the workflow's id, and waited for if wanted."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console

from cli.context import load, with_database
from cli.exits import Exit
from cli.render import Facts, print_json, show_facts, show_lines, words
from cli.session import Format, Session
from orchestrator.bootstrap import Database, new_request_id
from orchestrator.requests import Progress, Requests
from store import history

RequestId = Annotated[
    str | None,
    typer.Option(help="Idempotency key: asking again with it is the same request."),
]
Wait = Annotated[
    bool | None,
    typer.Option(
        "--wait/--no-wait", help="Wait for the result; if not given, wait if a node runs."
    ),
]
TimeoutS = Annotated[float, typer.Option("--timeout", min=0.0, help="Seconds to wait at most.")]

KEPT = "no node runs now: it is kept and served when one starts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the answer is waited for."""

    wait: bool | None
    timeout_s: float


def ask(
    session: Session,
    request: Callable[[Requests, str], Awaitable[str]],
    request_id: str | None,
    patience: Patience,
    look: Callable[[Database], Awaitable[Facts]] | None = None,
    *,
    may_create: bool = False,
    wording: Callable[[str], str] = str,
) -> None:
    """Make a request, tell what became of it and end with the exit code that says so.

    Parameters
    ----------
    request : callable of the requests and a request id
        Enqueues it and returns the workflow's id.
    look : callable of the database, optional
        Finds more to tell, after the wait.
    may_create : bool
        Whether this may be the first command of an installation.
    wording : callable of a sentence
        Says why a request was refused in the words that it was made in; programs get it verbatim.
    """
    dead_after_s = load(session).dead_after_s

    async def work(database: Database) -> tuple[Progress, bool, bool, Facts]:
        workflow_id = await request(database.requests, request_id or new_request_id())
        nodes = await history.nodes(database.engine)
        node_runs = any(node.silent_s < dead_after_s for node in nodes)
        if not node_runs:
            sys.stderr.write(f"{KEPT}\n")
        waits = node_runs if patience.wait is None else patience.wait
        with Console(stderr=True).status(f"waiting for {workflow_id}"):
            progress = await database.requests.wait(
                workflow_id, patience.timeout_s if waits else 0.0
            )
        return progress, waits, node_runs, await look(database) if look else {}

    progress, waits, node_runs, more = with_database(session, work, may_create=may_create)
    code = exit_of(progress, waited=waits)
    if session.output is Format.JSON:
        print_json(
            {
                "workflow_id": progress.workflow_id,
                "status": progress.status,
                "result": progress.result,
                "node_runs": node_runs,
                "exit_code": code,
            }
            | more
        )
    else:
        show_lines([wording(line) for line in describe(progress)])
        if more:
            show_facts(more, session.output)
    raise typer.Exit(code)


def exit_of(progress: Progress, *, waited: bool) -> Exit:
    """A request that nobody waited for is kept, and that is all that was asked."""
    if not progress.is_finished:
        return Exit.PENDING if waited else Exit.OK
    outcome = (progress.result or {}).get("outcome")
    codes = {"done": Exit.OK, "refused": Exit.REFUSED, "pending": Exit.PENDING}
    return codes.get(str(outcome), Exit.FAILED)


def describe(progress: Progress) -> list[str]:
    """The workflow's id, then its result in words."""
    result = progress.result
    if result is None:
        return [f"{progress.workflow_id}: {progress.status.lower()}"]
    reason = f": {result['reason']}" if result.get("reason") else ""
    lines = [f"{progress.workflow_id}: {result['outcome']}{reason}"]
    if result["outcome"] == "pending":
        lines.append("it goes on by itself; see `gridkeeper symbol list`")
    facts = {
        name: value for name, value in result.items() if name not in {"outcome", "reason"} and value
    }
    lines += [f"  {name.replace('_', ' ')}: {words(value)}" for name, value in facts.items()]
    return lines

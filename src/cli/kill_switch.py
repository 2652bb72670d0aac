"""`gridkeeper kill` and `gridkeeper rearm`: stop everything, and allow it again."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.asking import Patience, RequestId, TimeoutS, Wait, ask
from cli.session import Format, Output, session_of

kill = typer.Typer()
rearm = typer.Typer()


@kill.command("kill")
def kill_everything(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the switch.")],
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Stop all trading at once and cancel every order of ours; it stays so until re-armed."""
    ask(
        session_of(context),
        lambda requests, new_id: requests.kill(reason, new_id),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
    )


@rearm.command("rearm")
def rearm_everything(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Why trading may go on; it is kept.")],
    request_id: RequestId = None,
    wait: Wait = None,
    timeout_s: TimeoutS = 60.0,
    output: Output = Format.TABLE,
) -> None:
    """Allow orders again after a kill."""
    ask(
        session_of(context),
        lambda requests, new_id: requests.rearm(reason, new_id),
        request_id,
        Patience(wait=wait, timeout_s=timeout_s),
    )

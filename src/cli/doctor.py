"""`gridkeeper doctor`: what is well and what is not, with remedies."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console
from rich.text import Text

from cli.checks import Check, check_all
from cli.context import load, quiet_logs
from cli.exits import Exit
from cli.render import console, print_json
from cli.session import Format, Output, session_of
from orchestrator.settings import Settings

app = typer.Typer()


@app.command()
def doctor(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Check everything a node needs; ends with 1 if anything is not well."""
    session = session_of(context)
    settings = load(session)
    quiet_logs(settings, session)
    checks = asyncio.run(_run(settings, console() if output is Format.TABLE else None))
    is_ok = all(check.is_ok for check in checks)
    if output is Format.JSON:
        print_json({"ok": is_ok, "checks": [_document(check) for check in checks]})
    raise typer.Exit(Exit.OK if is_ok else Exit.FAILED)


async def _run(settings: Settings, progress: Console | None) -> list[Check]:
    checks: list[Check] = []
    async for check in check_all(settings):
        checks.append(check)
        if progress is not None:
            progress.print(_line(check))
    return checks


def _document(check: Check) -> dict[str, object]:
    remedy = None if check.is_ok else check.remedy
    return {"name": check.name, "ok": check.is_ok, "value": check.value, "remedy": remedy}


def _line(check: Check) -> Text:
    line = Text.assemble(
        ("✓" if check.is_ok else "✗", "green" if check.is_ok else "red"),
        f" {check.name:<16} {check.value}",
    )
    if not check.is_ok:
        line.append(f"\n  → {check.remedy}", "yellow")
    return line

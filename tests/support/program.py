"""The command line in a process of its own, as a user starts it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

PATIENCE_S = 280


async def run(*arguments: str) -> tuple[int, Any]:
    """Run `gridkeeper` in a process of its own; its exit code and the JSON it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *arguments,
        "-o",
        "json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if "GRIDKEEPER" not in name},
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert out, err.decode()
    return process.returncode or 0, json.loads(out)


def requests_checked(audit: Any) -> int:
    """How many acknowledged requests an audit looked for."""
    (found,) = (each for each in audit["invariants"] if each["name"] == "I10")
    return int(found["checked"]["requests"])

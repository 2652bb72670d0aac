"""Makes `pending_history.sql`: a database in the middle of its work, as a version of ours left it.

``PYTHONPATH=src:tests python tests/support/make_pending_history.py`` runs a node on the simulated
exchange, kills it before what its first plan led to is written down, and dumps its database with
work in flight: a shard that runs, a plan, a change half-way and one not begun. Run it before a
release that changes workflows or tables, and keep the file of each release.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from cli.db import libpq_environment
from cli.local_system import Market, demo_spec
from orchestrator.takeover import this_process
from ports.failpoints import Failpoint
from store.postgres_binaries import installed_programs
from support.system import running_system

FILE = Path(__file__).with_name("pending_history.sql")
HEADER = """\
-- A database of version 0.1.0, schema 0001_core, in the middle of its work: see
-- make_pending_history.py. Everything in it is made up by the simulated exchange.

"""


async def main() -> None:
    market = Market(symbols=("BTC/USDT", "ETH/USDT"))
    async with running_system(market=market, GRIDKEEPER_NODE_NAME="node-1") as running:
        await running.system.kill_node()
        await running.database.requests.add("BTC/USDT", demo_spec(), "half-way")
        await running.system.start_node(failpoint=Failpoint.PLAN_AFTER_SEND)
        await running.system.wait_node()
        await running.database.requests.add("ETH/USDT", demo_spec(), "not-begun")
        FILE.write_text(HEADER + dump(running.database.dsn))
        await running.system.start_node()
    sys.stdout.write(f"{FILE}: {FILE.stat().st_size} bytes\n")


def dump(dsn: str) -> str:
    """Schema and rows as plain statements, without what only psql understands."""
    finished = subprocess.run(
        [
            str(installed_programs() / "pg_dump"),
            *("--inserts", "--rows-per-insert=100", "--no-owner", "--no-privileges"),
            "--no-comments",
        ],
        env={**os.environ, **libpq_environment(dsn)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = finished.stdout.splitlines()
    kept = [line for line in lines if line and not line.startswith(("\\", "--"))]
    here = this_process()
    text = "\n".join(kept) + "\n"
    return text.replace(here.host, "elsewhere").replace(here.boot_id, "another-boot")


if __name__ == "__main__":
    asyncio.run(main())

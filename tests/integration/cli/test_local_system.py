"""The processes of a local system do not outlive the one that drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_S = 30.0
_DRIVER = """
import asyncio, pathlib, sys
from cli.local_system import LocalSystem, Market

async def drive():
    system = LocalSystem(data_dir=pathlib.Path(sys.argv[1]), market=Market(symbols=("BTC/USDT",)))
    await system.start_simulator()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(drive())
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        yield process
        process.kill()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_simulator_ends_when_its_driver_is_killed(
    driver: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    pid = json.loads((tmp_path / "simulator" / "simulator.json").read_text())["pid"]
    assert _is_alive(pid)

    driver.kill()

    deadline = time.monotonic() + PATIENCE_S
    while _is_alive(pid):
        assert time.monotonic() < deadline, f"pid {pid} lives on"
        time.sleep(0.05)

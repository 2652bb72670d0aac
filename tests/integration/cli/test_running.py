"""A simulated exchange and a node as real processes, driven by commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from cli.local_system import temporary_data_dir

pytestmark = pytest.mark.timeout(150)

GRID = (
    *("--step-bp", "5", "--buy-window", "3", "--sell-window", "3"),
    *("--order-quote", "50", "--budget", "1000"),
)
STOP_WAIT_S = 40.0


@dataclass
class Processes:
    """`gridkeeper` as processes on one data directory."""

    data_dir: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GRIDKEEPER_")}
        return kept | {
            "GRIDKEEPER_DATA_DIR": str(self.data_dir),
            "GRIDKEEPER_API__PORT": "0",
            "GRIDKEEPER_ON_SHUTDOWN": "cancel",
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.data_dir / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=self.data_dir,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def ask(self, *arguments: str, code: Exit = Exit.OK) -> Any:
        finished = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments, "-o", "json"],
            cwd=self.data_dir,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert finished.returncode == code, finished.stdout + finished.stderr
        return json.loads(finished.stdout)

    def log_of(self, noun: str) -> str:
        return (self.data_dir / f"{noun}.log").read_text()


@pytest.fixture
def processes() -> Iterator[Processes]:
    with temporary_data_dir() as data_dir:
        processes = Processes(data_dir)
        yield processes
        for process in processes.running:
            process.kill()
            process.wait()


def eventually(condition: Callable[[], bool], *, timeout_s: float = 40.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(STOP_WAIT_S)


def test_commands_drive_a_running_system_from_start_to_stop(processes: Processes) -> None:
    exchange = processes.start("sim", "--symbol", "BTC/USDT", "--fee-bp", "1")
    eventually(lambda: "exchange" in processes.log_of("sim"))
    node = processes.start("up")
    eventually(lambda: "api_listening" in processes.log_of("up"))

    assert processes.ask("doctor")["ok"]
    assert [market["symbol"] for market in processes.ask("symbol", "markets")] == ["BTC/USDT"]
    added = processes.ask("symbol", "add", "BTC/USDT", *GRID)
    assert added["result"]["outcome"] == "done"
    refused = processes.ask("symbol", "add", "BTC/USDT", *GRID, code=Exit.REFUSED)
    assert "already" in refused["result"]["reason"]
    eventually(lambda: bool(processes.ask("order", "list", "BTC/USDT")))
    order = processes.ask("order", "list", "BTC/USDT", "--all", "--limit", "1")[0]
    assert processes.ask("order", "why", order["client_order_id"])["story"]
    assert processes.ask("position", "reconcile", "BTC/USDT")["result"]["outcome"] == "done"
    assert processes.ask("kill", "--reason", "drill")["result"]["live_orders"] == 0

    assert stop(node) == Exit.OK
    assert stop(exchange) == Exit.OK
    assert "Traceback" not in processes.log_of("up") + processes.log_of("sim")

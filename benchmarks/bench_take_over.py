"""From the loss of one of two nodes until the other runs its symbols, under the default lease.

Real processes. A node that was killed on this host is known to be dead; one that merely says no
more, as when its host is gone, must first be past its lease, and what it sent past its expiry.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from measurement import Result
from orchestrator.settings import Settings
from support.cluster import SYMBOLS, Cluster, running_cluster

LOSSES = 5
WAIT_S = 120.0
#: What a take-over may take on top of the lease, however long the expiry window is.
TAKE_OVER_S = 5.0


async def measure() -> Sequence[Result]:
    defaults = Settings()
    waits: dict[str, Any] = {
        "GRIDKEEPER_LEASE_S": str(defaults.lease_s),
        "GRIDKEEPER_HEARTBEAT_S": str(defaults.heartbeat_s),
        "GRIDKEEPER_ACCOUNT__RECV_WINDOW_MS": str(defaults.account.recv_window_ms),
        "GRIDKEEPER_CLOCK_SKEW_MS": str(defaults.clock_skew_ms),
    }
    async with running_cluster("one", "two", **waits) as cluster:
        killed_s = [await _taken_over(cluster, signal.SIGKILL) for _ in range(LOSSES)]
        stopped_s = [await _taken_over(cluster, signal.SIGSTOP) for _ in range(LOSSES)]
    return [
        _result("a node killed on this host", killed_s, defaults.lease_s),
        _result("a node that says no more", stopped_s, defaults.lease_s),
    ]


async def _taken_over(cluster: Cluster, loss: signal.Signals) -> float:
    half = len(SYMBOLS) // 2
    await cluster.until_counts(WAIT_S, one=half, two=half)
    lost = cluster.nodes["one"]
    started_s = time.perf_counter()
    lost.send(loss)
    await cluster.until_counts(WAIT_S, two=len(SYMBOLS))
    taken_s = time.perf_counter() - started_s
    lost.send(signal.SIGCONT)
    await lost.ended()
    await cluster.start("one")
    return taken_s


def _result(case: str, taken_s: Sequence[float], lease_s: float) -> Result:
    return Result(
        case=f"{case}, until its symbols run on another",
        case_s=median(taken_s),
        baseline="its lease",
        baseline_s=lease_s,
        repetitions=LOSSES,
        aim=(lease_s + TAKE_OVER_S) / lease_s,
    )

"""The loop of a run against a system that does as the test says."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from chaos.faults import Fault, Line, Process
from chaos.proxy import Proxy
from chaos.report import Outcome
from chaos.rig import Disk, Listing
from chaos.run import play
from chaos.schedule import Injection, Round
from chaos.table import FAULTS

LISTING = Listing(
    name="BTCUSDT", market="spot", tick_size=Decimal("0.01"), step_size=Decimal("0.00001")
)
PATIENCE = 0.005


@dataclass
class FakeRig:
    """Implements `chaos.rig.Rig`: remembers what is done to it."""

    calls: list[str] = field(default_factory=list)
    #: Why symbols do not quote, look by look; quoting afterwards.
    reasons: list[list[str]] = field(default_factory=list)
    #: What each audit finds.
    findings: list[list[str]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    orders_left: bool = False
    #: That the control API does not answer.
    is_deaf: bool = False
    listings: Mapping[str, Listing] = field(default_factory=lambda: {"BTC/USDT": LISTING})
    disk: Disk | None = None
    #: What the exchange says is still armed.
    armed: list[dict[str, Any]] = field(default_factory=list)

    def proxy(self, node: int, line: Line) -> Proxy:
        raise AssertionError(f"no proxy is asked for, but {line} of {node}")

    async def control(self, path: str, body: object | None = None, method: str = "") -> Any:
        self.calls.append(f"{method or ('GET' if body is None else 'POST')} {path}")
        if self.is_deaf:
            raise ConnectionRefusedError("nobody listens")
        return self.armed

    def signal(self, process: Process, node: int, number: signal.Signals) -> None:
        self.calls.append(f"{number.name} {process}")

    async def start(self, process: Process, node: int) -> None:
        self.calls.append(f"start {process}")

    async def throw_kill_switch(self) -> None:
        self.calls.append("kill")

    async def rearm(self) -> None:
        self.calls.append("rearm")
        if self.orders_left:
            raise TimeoutError("2 orders open")

    async def idle(self, since: datetime) -> list[str]:
        assert since.tzinfo is not None
        return self.reasons.pop(0) if self.reasons else []

    def ended_by_themselves(self) -> list[str]:
        found, self.ends = self.ends, []
        return found

    async def audit(self) -> Sequence[str]:
        self.calls.append("audit")
        return self.findings.pop(0) if self.findings else []


def turns(*rounds: Sequence[str]) -> Iterator[Round]:
    for number, names in enumerate(rounds, 1):
        yield Round(number, 0.0, tuple(injection(FAULTS[name]) for name in names))


def injection(fault: Fault) -> Injection:
    return Injection(
        fault=fault, after_s=0.0, hold_s=0.0, nodes=(0,), symbol="BTC/USDT", strength=0.0
    )


async def run(rig: FakeRig, *rounds: Sequence[str], rounds_max: int = 100) -> Outcome:
    outcome = Outcome(seed=1, faults=list(FAULTS.values()), audit={"ok": True})
    await play(
        rig,
        turns(*rounds),
        outcome,
        duration_s=60.0,
        rounds_max=rounds_max,
        patience=PATIENCE,
    )
    return outcome


async def test_fault_is_begun_healed_and_audited() -> None:
    rig = FakeRig()

    outcome = await run(rig, ["node-killed"])

    assert rig.calls == ["SIGKILL node", "start node", "audit"]
    assert outcome.ok
    assert outcome.strikes[0].recovery_s is not None


async def test_stopped_process_goes_on() -> None:
    rig = FakeRig()
    await run(rig, ["exchange-stopped"])
    assert rig.calls == ["SIGSTOP exchange", "SIGCONT exchange", "audit"]


async def test_smart_shutdown_is_ended_by_a_fast_one() -> None:
    rig = FakeRig()
    await run(rig, ["postgres-terminated"])
    assert rig.calls == ["SIGTERM postgres", "SIGINT postgres", "start postgres", "audit"]


async def test_recovery_waits_until_every_symbol_quotes() -> None:
    rig = FakeRig(reasons=[["BTC/USDT: halted"]])
    outcome = await run(rig, ["node-killed"])
    assert outcome.ok
    assert (outcome.strikes[0].recovery_s or 0) >= 0.2


async def test_bound_that_passed_is_a_violation_and_the_run_goes_on_once_all_quote() -> None:
    bound_looks = [["BTC/USDT: halted"]] * 3
    rig = FakeRig(reasons=bound_looks)

    outcome = await run(rig, ["node-killed"], ["node-killed"])

    first, second = outcome.strikes
    assert first.violations == ["not quoting 0 s after it: BTC/USDT: halted"]
    assert first.recovery_s is None
    assert second.violations == []
    assert not outcome.ok


async def test_system_that_stays_down_ends_the_run() -> None:
    rig = FakeRig(reasons=[["BTC/USDT: halted"]] * 1_000)
    outcome = await run(rig, ["node-killed"], ["node-killed"])
    assert len(outcome.strikes) == 1
    assert rig.calls.count("audit") == 1


async def test_finding_belongs_to_the_round_that_brought_it() -> None:
    rig = FakeRig(findings=[[], ["I1 order x"], ["I1 order x", "I2 order y"]])

    outcome = await run(rig, ["node-killed"], ["order-lost", "node-stopped"], ["node-killed"])

    assert [strike.violations for strike in outcome.strikes] == [
        [],
        ["I1 order x"],
        ["I1 order x"],
        ["I2 order y"],
    ]
    assert not outcome.ok


async def test_process_that_ends_by_itself_is_a_violation() -> None:
    outcome = await run(FakeRig(ends=["node one ended with 1"]), ["node-killed"])
    assert outcome.strikes[0].violations == ["node one ended with 1"]


async def test_kill_switch_is_rearmed_after_the_other_faults_are_over() -> None:
    rig = FakeRig()
    await run(rig, ["kill-switch", "node-killed"])
    assert sorted(rig.calls[:3]) == ["SIGKILL node", "kill", "start node"]
    assert rig.calls[3:] == ["rearm", "audit"]


async def test_orders_left_after_a_kill_are_a_violation() -> None:
    outcome = await run(FakeRig(orders_left=True), ["kill-switch"])
    assert outcome.strikes[0].violations == ["kill-switch: 2 orders open"]


async def test_fault_without_an_object_is_skipped_not_passed() -> None:
    outcome = await run(FakeRig(), ["disk-full"])
    (row,) = (row for row in outcome.rows if row.fault == "disk-full")
    assert (row.injected, row.skipped) == (0, 1)


async def test_armed_fault_that_nothing_met_is_skipped() -> None:
    untouched = {"kind": "timeout_lost", "fired": 0, "count": 3}
    outcome = await run(FakeRig(armed=[untouched]), ["order-lost"])
    assert outcome.strikes[0].skipped == "no request or event met it"


async def test_armed_fault_that_fired_is_counted_and_cleared() -> None:
    rig = FakeRig(armed=[{"kind": "timeout_lost", "fired": 1, "count": 2}])
    outcome = await run(rig, ["order-lost"])
    assert outcome.strikes[0].skipped == ""
    assert rig.calls[:3] == [
        "POST /control/faults",
        "GET /control/faults",
        "DELETE /control/faults",
    ]


async def test_fault_that_cannot_be_done_is_a_violation_and_the_run_goes_on() -> None:
    outcome = await run(FakeRig(is_deaf=True), ["order-lost"], ["node-killed"])
    lost, killed = outcome.strikes
    assert lost.violations == ["order-lost could not be done: nobody listens"]
    assert killed.violations == []


async def test_run_ends_after_so_many_rounds() -> None:
    outcome = await run(FakeRig(), *[["node-killed"]] * 5, rounds_max=2)
    assert [strike.round for strike in outcome.strikes] == [1, 2]

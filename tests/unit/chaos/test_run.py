"""The loop of a run against a system that does as the test says."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from chaos.ends import NodeEnd
from chaos.faults import Armed, Fault, Line, Process
from chaos.hands import PATHS
from chaos.proxy import Proxy
from chaos.report import Outcome
from chaos.requests import Request, Verb
from chaos.rig import Disk, Listing, NotEndedError
from chaos.run import blame_for_ends, play
from chaos.schedule import Injection, Round
from chaos.table import FAULTS
from simulator.faults import Faults

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
    #: Exit codes of node 0, each found by one look.
    ends: list[list[int]] = field(default_factory=list)
    #: That a node told to end goes on.
    is_deaf_to_signals: bool = False
    #: Set once requests are acknowledged.
    hears: asyncio.Event = field(default_factory=asyncio.Event)
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
        if self.is_deaf_to_signals:
            raise NotEndedError("it goes on")

    async def ask(self, request: Request) -> None:
        self.calls.append(f"{request.verb} {request.symbol}")
        await self.hears.wait()

    async def throw_kill_switch(self) -> None:
        self.calls.append("kill")

    async def rearm(self) -> None:
        self.calls.append("rearm")
        if self.orders_left:
            raise TimeoutError("2 orders open")

    async def idle(self, since: datetime) -> list[str]:
        assert since.tzinfo is not None
        return self.reasons.pop(0) if self.reasons else []

    def ended_by_themselves(self) -> list[NodeEnd]:
        at_s = asyncio.get_running_loop().time()
        codes = self.ends.pop(0) if self.ends else []
        return [NodeEnd(node=0, code=code, at_s=at_s, text=f"ended {code}") for code in codes]

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


@pytest.mark.parametrize("code", [1, 3, 6, 75, 0, -11])
async def test_node_that_ends_for_no_reason_is_a_violation(code: int) -> None:
    outcome = await run(FakeRig(ends=[[], [code]]), ["node-killed"])
    assert outcome.strikes[0].violations == [f"ended {code}"]
    assert not outcome.ok


async def test_node_that_ends_for_what_struck_it_is_none() -> None:
    assert (await run(FakeRig(ends=[[], [75]]), ["node-stopped"])).ok


async def test_node_that_ends_in_the_pause_is_blamed_on_the_round_before() -> None:
    rig = FakeRig(ends=[[1], [], [6]])

    outcome = await run(rig, ["node-killed"], ["node-killed"])

    assert [strike.violations for strike in outcome.strikes] == [["ended 6"], []]
    assert outcome.violations == ["ended 1"]


async def test_node_that_ends_after_the_last_round_is_blamed_on_it() -> None:
    rig = FakeRig(ends=[[], [], [1, 75]])
    outcome = await run(rig, ["node-stopped"])
    blame_for_ends(rig, outcome, patience=1.0)
    assert outcome.strikes[0].violations == ["ended 1"]


async def test_node_that_does_not_end_when_it_is_told_to_is_a_violation() -> None:
    outcome = await run(FakeRig(is_deaf_to_signals=True), ["node-terminated"])
    assert outcome.strikes[0].violations == ["node-terminated: it goes on"]


def asked(verb: Verb, at: float) -> Request:
    return Request(verb=verb, symbol="BTC/USDT", at=at, larger_percent=0)


async def ask(rig: FakeRig) -> Outcome:
    """One round of a tenth of a second, with a pause in the middle of it."""
    item = replace(injection(FAULTS["node-killed"]), hold_s=0.1)
    pause, resume = asked(Verb.PAUSE, 0.5), asked(Verb.RESUME, 0.9)
    outcome = Outcome(seed=1, faults=[item.fault], audit={"ok": True})
    turns = iter([Round(1, 0.0, (item,), (pause, resume))])
    await play(rig, turns, outcome, duration_s=60.0, patience=PATIENCE)
    return outcome


async def test_requests_are_made_while_faults_are_in_force() -> None:
    rig = FakeRig()
    rig.hears.set()
    outcome = await ask(rig)
    assert rig.calls == [
        "SIGKILL node",
        "pause BTC/USDT",
        "resume BTC/USDT",
        "start node",
        "audit",
    ]
    assert outcome.ok


async def test_request_that_is_never_acknowledged_is_a_violation() -> None:
    rig = FakeRig()
    outcome = await ask(rig)
    assert rig.calls == ["SIGKILL node", "pause BTC/USDT", "start node", "audit"]
    assert outcome.strikes[0].violations == [
        "not quoting 0 s after it: a request is not acknowledged"
    ]


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


def left_armed(name: str, *fired: int) -> list[dict[str, Any]]:
    """What the exchange tells of a fault whose parts fired so often each."""
    exchange = Faults()
    effect = FAULTS[name].effect
    assert isinstance(effect, Armed)
    for description, times in zip(effect.descriptions, fired, strict=True):
        path = description.get("path")
        on_path = {} if path is None else {"path": PATHS["spot"][path]}
        fault = exchange.arm(exchange.parse({**description, **on_path}))
        fault.count, fault.fired = fault.count - times, times
    return [told for told in exchange.describe() if told["count"]]


@pytest.mark.parametrize(
    ("name", "fired", "is_injected"),
    [
        pytest.param("order-lost", (0,), False, id="nothing"),
        pytest.param("order-lost", (1,), True, id="once"),
        pytest.param("order-lost", (3,), True, id="as often as it could"),
        pytest.param("order-and-look-up-lost", (0, 0, 2, 0, 0), False, id="a look-up only"),
        pytest.param("order-and-look-up-lost", (1, 0, 0, 0, 0), True, id="an order only"),
        pytest.param("order-and-look-up-lost", (2, 1, 2, 1, 0), True, id="all"),
        pytest.param("cancel-503", (0, 0), False, id="no cancel"),
        pytest.param("cancel-503", (1, 0), True, id="a cancel"),
        pytest.param("keys-refused", (0, 0, 0), False, id="no key was looked at"),
        pytest.param("keys-refused", (0, 1, 0), True, id="refused where one looked"),
    ],
)
async def test_armed_fault_counts_if_what_it_is_called_after_happened(
    name: str, fired: tuple[int, ...], is_injected: bool
) -> None:
    outcome = await run(FakeRig(armed=left_armed(name, *fired)), [name])
    assert outcome.strikes[0].skipped == ("" if is_injected else "no request or event met it")
    assert outcome.ok is is_injected


async def test_armed_fault_that_fired_is_counted_and_cleared() -> None:
    rig = FakeRig(armed=left_armed("order-lost", 1))
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

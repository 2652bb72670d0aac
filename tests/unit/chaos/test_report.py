"""A run's outcome: a row a fault, and every reason to fail."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.report import Outcome, Row, Strike
from chaos.schedule import Injection
from chaos.table import FAULTS

CLEAN: dict[str, Any] = {"ok": True, "invariants": []}


def strike(name: str, **values: Any) -> Strike:
    injection = Injection(
        fault=FAULTS[name],
        after_s=0.0,
        hold_s=1.0,
        nodes=(0,),
        symbol="BTC/USDT",
        strength=0.5,
    )
    return Strike(round=1, injection=injection, **values)


def outcome(*strikes: Strike, audit: dict[str, Any] | None = CLEAN, **values: Any) -> Outcome:
    faults = [FAULTS["node-killed"], FAULTS["order-lost"]]
    return Outcome(seed=1, faults=faults, strikes=list(strikes), audit=audit, **values)


def test_row_counts_strikes_and_says_middle_and_longest_recovery() -> None:
    found = outcome(
        strike("node-killed", recovery_s=1.0),
        strike("node-killed", recovery_s=9.0),
        strike("node-killed", recovery_s=2.0),
        strike("node-killed", violations=["not quoting", "I1"]),
        strike("node-killed", skipped="nothing there"),
    )

    killed, lost = found.rows

    assert killed == Row(
        fault="node-killed",
        injected=4,
        skipped=1,
        violations=2,
        recovery_p50_s=2.0,
        recovery_max_s=9.0,
    )
    assert lost.injected == 0
    assert lost.recovery_p50_s is None


@pytest.mark.parametrize(
    ("found", "is_ok"),
    [
        pytest.param(outcome(strike("order-lost", recovery_s=1.0)), True, id="clean"),
        pytest.param(outcome(audit=None), False, id="never audited"),
        pytest.param(outcome(audit={"ok": False}), False, id="audit failed"),
        pytest.param(outcome(violations=["I8"]), False, id="wrong at the end"),
        pytest.param(outcome(strike("order-lost", violations=["I1"])), False, id="after a fault"),
        pytest.param(outcome(), False, id="nothing struck"),
        pytest.param(outcome(strike("order-lost", skipped="none")), False, id="all skipped"),
        pytest.param(
            outcome(strike("order-lost", skipped="none"), strike("node-killed", recovery_s=1.0)),
            True,
            id="one skipped",
        ),
    ],
)
def test_outcome_is_ok_only_without_any_violation(found: Outcome, is_ok: bool) -> None:
    assert found.ok is is_ok


def test_document_has_stable_keys() -> None:
    document = outcome(strike("order-lost", recovery_s=1.0)).to_document()

    assert list(document) == ["ok", "seed", "faults", "strikes", "violations", "audit"]
    assert document["strikes"] == [
        {
            "round": 1,
            "fault": "order-lost",
            "after_s": 0.0,
            "hold_s": 1.0,
            "nodes": [0],
            "symbol": "BTC/USDT",
            "strength": 0.5,
            "skipped": "",
            "recovery_s": 1.0,
            "violations": [],
        }
    ]

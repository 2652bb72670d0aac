"""A short chaos run as a user starts it, and one that has something to find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.table import FAULTS
from cli.chaos import NOTHING_INJECTED, SYMBOLS, MarketKind, Plan, run
from cli.local_system import temporary_data_dir
from support import planted, program

PROGRAM = str(Path(planted.__file__).resolve())
#: Of the bounds: a test machine may be slow.
PATIENCE = 4.0
KINDS = (
    "order-reply-lost",
    "events-lost",
    "exchange-cut",
    "database-frozen",
    "node-killed",
    "postgres-killed",
)


async def test_chaos_ends_by_itself_and_finds_nothing() -> None:
    code, result = await program.run(
        "chaos",
        *("--seed", "5", "--duration", "40s", "--patience", str(PATIENCE)),
        *("--faults", ",".join(KINDS)),
    )

    assert code == 0, result
    assert result["ok"]
    assert result["seed"] == 5
    assert [row["fault"] for row in result["faults"]] == list(KINDS)
    struck = [row for row in result["faults"] if row["injected"]]
    assert len(struck) >= 2
    assert all(row["recovery_max_s"] is not None for row in struck)
    assert result["audit"]["ok"]
    assert program.requests_checked(result["audit"]) > len(SYMBOLS[MarketKind.SPOT])


async def test_chaos_that_injects_nothing_fails_and_says_what_to_do() -> None:
    code, result = await program.run("chaos", "--seed", "1", "--duration", "1s")

    assert code == 1, result
    assert not result["ok"]
    assert result["audit"]["ok"]
    assert result["violations"] == [NOTHING_INJECTED]


async def test_chaos_finds_a_bug_planted_in_the_nodes() -> None:
    plan = Plan(
        seed=1,
        duration_s=60.0,
        # A grid that lost fills cannot go on: it need not be waited for.
        faults=[replace(FAULTS["node-killed"], again_s=5.0)],
        market=MarketKind.SPOT,
        nodes=1,
        rounds_max=1,
        command=(PROGRAM, "dropped_fill"),
    )
    with temporary_data_dir() as data_dir:
        outcome = await run(plan, data_dir)

    assert not outcome.ok
    found = [what for strike in outcome.strikes for what in strike.violations]
    assert any(what.startswith(("I3", "I8")) for what in found + outcome.violations), outcome


@pytest.mark.parametrize(
    ("bug", "fault", "patience", "told"),
    [
        pytest.param(
            "deaf", "node-terminated", 0.3, "node node-1 did not end within 9 s", id="deaf"
        ),
        pytest.param(
            "gives_up", "price-jump", PATIENCE, "node node-1 ended with 75", id="gives up"
        ),
    ],
)
async def test_chaos_finds_nodes_that_end_when_they_should_not_or_do_not_when_they_should(
    bug: str, fault: str, patience: float, told: str
) -> None:
    plan = Plan(
        seed=1,
        duration_s=30.0,
        faults=[FAULTS[fault]],
        market=MarketKind.SPOT,
        nodes=1,
        patience=patience,
        command=(PROGRAM, bug),
    )
    with temporary_data_dir() as data_dir:
        outcome = await run(plan, data_dir)

    assert not outcome.ok
    found = [what for strike in outcome.strikes for what in strike.violations]
    assert any(told in what for what in found + outcome.violations), outcome

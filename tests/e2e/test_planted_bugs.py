"""An auditor that cannot fail is worth nothing: it must see each bug planted in the product."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.local_system import Market
from support import planted
from support.system import running_system

PROGRAM = str(Path(planted.__file__).resolve())


#: One of these at the least has to be broken.
INVARIANTS = {
    "random_client_ids": {"I2"},
    "dropped_fill": {"I3", "I8"},
    "intent_after_send": {"I1"},
    "re_anchoring": {"I7"},
}


@pytest.mark.parametrize("bug", planted.BUGS)
async def test_planted_bug_is_found_by_the_auditor(bug: str) -> None:
    async with running_system(
        market=Market(symbols=("BTC/USDT",)), node_command=(PROGRAM, bug, "up")
    ) as running:
        await running.request("BTC/USDT")
        await running.exchange_has_traded(4)
        await running.restart_node()
        await running.exchange_has_traded(5)

        report = await running.audit(settle_s=3.0)

    assert not report.ok
    assert INVARIANTS[bug] & {violation.invariant for violation in report.violations}


async def test_same_run_without_a_bug_passes() -> None:
    async with running_system(market=Market(symbols=("BTC/USDT",))) as running:
        await running.request("BTC/USDT")
        await running.exchange_has_traded(4)
        await running.restart_node()
        await running.exchange_has_traded(5)

        await running.assert_sound()

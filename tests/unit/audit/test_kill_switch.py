"""What may follow a kill, by the exchange's ledger: each late order is seen, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from audit.database import Kill, _kills
from audit.invariants import Evidence, check_all, check_all_and_kills
from audit.invariants.kill_switch import ACCEPTED_MS, OPEN_MS, check_kill_switch
from unit.audit.dataset import make_world
from unit.audit.planted import with_database

KILLED_MS = 4_100_000_000_000
LATER_MS = KILLED_MS + 60_000


def killed(
    accepted_ms: int,
    ended_ms: int | None,
    *,
    rearmed_ms: int | None = None,
    read_ms: int = LATER_MS,
    is_persons: bool = False,
) -> Evidence:
    """One order, and a kill; its times from the kill on."""
    evidence = make_world(1).evidence()
    order = next(order for order in evidence.exchange.orders if not order.is_persons)
    order = replace(
        order,
        client_order_id="web_1" if is_persons else order.client_order_id,
        accepted_ms=KILLED_MS + accepted_ms,
        ended_ms=None if ended_ms is None else KILLED_MS + ended_ms,
    )
    kill = Kill(
        request_id="kill:1",
        killed_ms=KILLED_MS,
        rearmed_ms=None if rearmed_ms is None else KILLED_MS + rearmed_ms,
    )
    exchange = replace(evidence.exchange, orders=(order,), read_ms=read_ms)
    return with_database(replace(evidence, exchange=exchange), kills=(kill,))


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        pytest.param(killed(-500, 300), [], id="cancelled-at-once"),
        pytest.param(killed(-500, OPEN_MS), [], id="cancelled-at-the-last-moment"),
        pytest.param(killed(-500, OPEN_MS + 1), ["open for 5001 ms"], id="cancelled-late"),
        pytest.param(killed(-500, None), ["open for 60000 ms"], id="never-cancelled"),
        pytest.param(killed(-500, None, read_ms=KILLED_MS + 4_000), [], id="not-late-yet"),
        pytest.param(killed(-500, None, rearmed_ms=4_000), [], id="rearmed-before"),
        pytest.param(
            killed(-500, None, rearmed_ms=6_000), ["open for 6000 ms"], id="rearmed-after"
        ),
        pytest.param(killed(-900, -100), [], id="gone-before"),
        pytest.param(killed(ACCEPTED_MS, 1_500), [], id="accepted-at-the-last-moment"),
        pytest.param(
            killed(ACCEPTED_MS + 1, 1_500), ["accepted after 1001 ms"], id="accepted-late"
        ),
        pytest.param(killed(7_000, None, rearmed_ms=6_000), [], id="accepted-after-the-rearm"),
        pytest.param(killed(2_000, None, is_persons=True), [], id="a-person's"),
    ],
)
def test_kill_switch_is_measured_to_the_millisecond(evidence: Evidence, found: list[str]) -> None:
    result = check_kill_switch(evidence)
    assert [violation.found for violation in result.violations] == found
    assert result.checked["kills"] == 1


def test_kills_are_judged_only_where_the_exchange_always_answered() -> None:
    evidence = killed(-500, None)
    assert "I6" not in {result.name for result in check_all(evidence)}
    assert "I6" in {result.name for result in check_all_and_kills(evidence) if not result.ok}


def test_kill_lasts_from_the_first_to_the_rearm() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    log = [("kill:1", True), ("kill:2", True), ("rearm:1", False), ("kill:3", True)]
    rows = [
        {"request_id": name, "engaged": engaged, "changed_at": start + timedelta(seconds=number)}
        for number, (name, engaged) in enumerate(log)
    ]
    first, second = _kills(rows)
    assert (first.request_id, second.request_id) == ("kill:1", "kill:3")
    assert first.rearmed_ms == first.killed_ms + 2_000
    assert (second.killed_ms, second.rearmed_ms) == (first.killed_ms + 3_000, None)

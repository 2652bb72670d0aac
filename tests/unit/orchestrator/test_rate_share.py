"""Nodes come, go, fall silent and wake: what they use together is never more than the limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.rate_budget import Cost, RateBudget, RateLimits
from orchestrator.rate_share import ShareRule

LEASE_MS = 5_000
#: A row is deleted no sooner after its last heartbeat.
DEAD_AFTER_MS = 8_000
LIMITS = RateLimits(weight_per_minute=6_000, orders_per_10s=100)
QUERY = Cost(weight=20)


@dataclass
class SimulatedNode:
    """One process; its heartbeat reads the table at one time and heeds it later."""

    budget: RateBudget = field(default_factory=lambda: RateBudget(LIMITS))
    rule: ShareRule = field(default_factory=lambda: ShareRule(LEASE_MS))
    heard_ms: int = 0
    is_there: bool = True
    #: A heartbeat under way: when it was asked for, and what it saw.
    asked: tuple[int, int] | None = None

    def heed(self, asked_ms: int, seen: int, now_ms: int) -> None:
        self.budget.share(self.rule.nodes(seen, now_ms), now_ms, asked_ms + LEASE_MS)


@dataclass
class SimulatedTable:
    nodes: list[SimulatedNode] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return sum(node.is_there for node in self.nodes)

    def used(self, now_ms: int) -> float:
        return sum(node.budget.part(now_ms) for node in self.nodes)

    def join(self, now_ms: int) -> None:
        node = SimulatedNode(heard_ms=now_ms)
        self.nodes.append(node)
        node.rule.join(now_ms)
        node.heed(now_ms, self.seen, now_ms)

    def ask(self, node: SimulatedNode, now_ms: int) -> None:
        """A heartbeat reaches Postgres; its answer may take its time."""
        if node.is_there and node.asked is None:
            node.heard_ms = now_ms
            node.asked = (now_ms, self.seen)

    def answer(self, node: SimulatedNode, now_ms: int) -> None:
        if node.asked is not None:
            node.heed(*node.asked, now_ms)
            node.asked = None

    def leave(self, node: SimulatedNode, now_ms: int) -> None:
        node.budget.share(0, now_ms, now_ms)
        node.is_there, node.asked = False, None

    def bury(self, node: SimulatedNode, now_ms: int) -> None:
        """Others find it dead: it may wake later with an answer from before."""
        if now_ms - node.heard_ms > DEAD_AFTER_MS:
            node.is_there = False


ACTIONS = st.sampled_from(
    ["join", "ask", "ask", "answer", "answer", "beat", "beat", "leave", "bury"]
)
STEPS = st.lists(st.tuples(ACTIONS, st.integers(0, 5), st.integers(0, 4_000)), max_size=60)


@given(STEPS)
def test_parts_in_use_never_exceed_the_whole(steps: list[tuple[str, int, int]]) -> None:
    table, now_ms = SimulatedTable(), 1
    for action, number, passed_ms in steps:
        now_ms += passed_ms
        assert table.used(now_ms) <= 1 + 1e-9
        if action == "join":
            table.join(now_ms)
        elif table.nodes:
            node = table.nodes[number % len(table.nodes)]
            if action == "beat":
                table.ask(node, now_ms)
                table.answer(node, now_ms)
            else:
                getattr(table, action)(node, now_ms)
        assert table.used(now_ms) <= 1 + 1e-9


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_add_up_to_the_whole_one_lease_after_the_last_join(count: int) -> None:
    table, now_ms = SimulatedTable(), 1
    for _ in range(count):
        table.join(now_ms)
    for _ in range(LEASE_MS // 1_000 + 1):
        now_ms += 1_000
        for node in table.nodes:
            table.ask(node, now_ms)
            table.answer(node, now_ms)
    assert table.used(now_ms) == pytest.approx(1)
    assert {node.budget.part(now_ms) for node in table.nodes} == {1 / count}


def test_part_lapses_with_the_lease() -> None:
    table = SimulatedTable()
    table.join(1)
    assert table.used(LEASE_MS) == 1
    assert table.used(LEASE_MS + 1) == 0
    assert math.isinf(table.nodes[0].budget.take(QUERY, LEASE_MS + 1))


@given(st.lists(st.integers(0, 700), min_size=50, max_size=200), st.integers(0, 60_000))
def test_requests_of_all_nodes_in_any_minute_stay_within_the_limit_while_one_joins(
    pauses_ms: list[int], joins_ms: int
) -> None:
    """Both ask as often as they may."""
    table, now_ms = SimulatedTable(), 1
    table.join(now_ms)
    sent: list[tuple[int, int]] = []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        if now_ms >= joins_ms and len(table.nodes) == 1:
            table.join(now_ms)
        for node in table.nodes:
            table.ask(node, now_ms)
            table.answer(node, now_ms)
            while node.budget.take(QUERY, now_ms) == 0:
                sent.append((now_ms, QUERY.weight))
    for start_ms, _ in sent:
        window = [weight for at_ms, weight in sent if start_ms <= at_ms < start_ms + 60_000]
        assert sum(window) <= LIMITS.weight_per_minute

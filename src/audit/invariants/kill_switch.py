"""What the exchange accepted and had open while the kill switch was thrown: I6."""

from __future__ import annotations

from audit.database import Kill
from audit.exchange import ExchangeOrder
from audit.invariants.evidence import Evidence
from audit.report import Result, Violation

#: How long after a kill an order may still be accepted, and how long one may be open.
ACCEPTED_MS = 1_000
OPEN_MS = 5_000


def check_kill_switch(evidence: Evidence) -> Result:
    """I6: nothing of ours is accepted 1 s after a kill, nor open 5 s after it.

    Only where the exchange answered all the time: what it does not hear it cannot cancel.
    """
    read_ms = evidence.exchange.read_ms
    violations: list[Violation] = []
    for kill in evidence.database.kills:
        until_ms = read_ms if kill.rearmed_ms is None else kill.rearmed_ms
        for orders in evidence.orders.values():
            for order in orders:
                violations += _late(order, kill, until_ms)
    checked = {
        "kills": len(evidence.database.kills),
        "orders": sum(map(len, evidence.orders.values())),
    }
    title = "after the kill switch nothing is accepted or open"
    return Result("I6", title, checked, tuple(violations))


def _late(order: ExchangeOrder, kill: Kill, until_ms: int) -> list[Violation]:
    subject = f"order {order.client_order_id} after kill {kill.request_id}"
    accepted_ms = order.accepted_ms - kill.killed_ms
    if accepted_ms > ACCEPTED_MS and order.accepted_ms < until_ms:
        expected = f"accepted within {ACCEPTED_MS} ms"
        return [Violation("I6", subject, expected, f"accepted after {accepted_ms} ms")]
    ended_ms = until_ms if order.ended_ms is None else min(order.ended_ms, until_ms)
    open_ms = ended_ms - kill.killed_ms
    if order.accepted_ms < until_ms and open_ms > OPEN_MS:
        return [Violation("I6", subject, f"open for {OPEN_MS} ms", f"open for {open_ms} ms")]
    return []

"""Exchange orders and their intents: I1, I2 and I4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from audit.database import Intent, Shard
from audit.exchange import ExchangeOrder
from audit.invariants.evidence import Evidence, differences
from audit.report import Result, Violation


def check_single_order(evidence: Evidence) -> Result:
    """I1: an intent leads to one exchange order at most, and never before it is committed."""
    violations: list[Violation] = []
    for client_order_id, orders in evidence.orders.items():
        if len(orders) > 1:
            found = ", ".join(f"{order.symbol} {order.order_id}" for order in orders)
            violations.append(
                Violation("I1", f"order {client_order_id}", "one exchange order", found)
            )
        intent = evidence.intents.get(client_order_id)
        if intent is not None:
            violations += _untimely(intent, orders[0])
    checked = {"orders": sum(map(len, evidence.orders.values()))}
    if evidence.database.restoration is not None:
        checked["restored"] = sum(intent.restored for intent in evidence.database.intents)
    return Result("I1", "at most one exchange order per intent", checked, tuple(violations))


def check_intents(evidence: Evidence) -> Result:
    """I2: every order of the account that no person placed was intended, exactly as it is."""
    checked = {
        "orders": sum(map(len, evidence.orders.values())),
        "intents": len(evidence.intents),
    }
    if evidence.database.restoration is not None:
        left_out = sum(map(evidence.is_left_out, _without_intent(evidence)))
        checked["left out by a restoration"] = left_out
    violations = (*_unfaithful_ids(evidence), *_unintended_orders(evidence))
    return Result("I2", "every own order maps to an intent", checked, violations)


def check_single_live_order(evidence: Evidence) -> Result:
    """I4: replayed record by record, a symbol's slot and side has one live order at most."""
    latest: dict[tuple[str, int, int, str], ExchangeOrder] = {}
    violations: list[Violation] = []
    for order, tag in evidence.tagged_orders:
        place = order.symbol, tag.ladder_version, tag.slot, tag.side
        before = latest.get(place)
        if before is not None and _ends_after(before, order.accepted_seq):
            violations.append(
                Violation(
                    "I4",
                    f"{order.symbol} ladder {tag.ladder_version} slot {tag.slot} {tag.side}"
                    f" at record {order.accepted_seq}",
                    "one live order",
                    f"{before.client_order_id} and {order.client_order_id}",
                )
            )
        if before is None or not _ends_after(before, order.ended_seq):
            latest[place] = order
    checked = {"orders": len(evidence.tagged_orders)}
    title = "at most one live order per symbol, slot and side"
    return Result("I4", title, checked, tuple(violations))


def _untimely(intent: Intent, order: ExchangeOrder) -> list[Violation]:
    """An intent comes before its order; only what a restoration found was there before it."""
    early_ms = intent.committed_ms - order.accepted_ms
    subject = f"sending of order {intent.client_order_id}"
    if intent.restored and early_ms < 0:
        expected = "accepted before it was restored"
        return [Violation("I1", subject, expected, f"accepted {-early_ms} ms after")]
    if not intent.restored and early_ms > 0:
        expected = "accepted after its intent was committed"
        return [Violation("I1", subject, expected, f"accepted {early_ms} ms before")]
    return []


def _ends_after(order: ExchangeOrder, seq: int | None) -> bool:
    return order.ended_seq is None or (seq is not None and order.ended_seq > seq)


def _unfaithful_ids(evidence: Evidence) -> list[Violation]:
    """An id must say what its row says: after a loss of the database it is all there is."""
    violations: list[Violation] = []
    for client_order_id, intent in evidence.intents.items():
        tag = evidence.tag(client_order_id)
        differing: tuple[str, str] | None
        if tag is None:
            differing = "an id of this installation", "one that does not decode as such"
        else:
            parts = asdict(tag)
            row = {name: getattr(intent, name) for name in parts if name != "nonce"}
            differing = differences(row, parts)
        if differing is not None:
            subject = f"id {client_order_id}"
            violations.append(Violation("I2", subject, differing[0], differing[1]))
    return violations


def _unintended_orders(evidence: Evidence) -> list[Violation]:
    shards = {shard.shard: shard for shard in evidence.database.shards}
    violations: list[Violation] = []
    for client_order_id, orders in evidence.orders.items():
        intent = evidence.intents.get(client_order_id)
        for order in orders:
            differing: tuple[str, str] | None
            if intent is None and evidence.is_left_out(order):
                differing = None
            elif intent is None:
                differing = "an intent", f"none for {order.symbol} order {order.order_id}"
            else:
                differing = differences(_as_intended(intent, shards), _as_accepted(order))
            if differing is not None:
                subject = f"order {client_order_id}"
                violations.append(Violation("I2", subject, differing[0], differing[1]))
    return violations


def _without_intent(evidence: Evidence) -> list[ExchangeOrder]:
    return [
        order
        for client_order_id, orders in evidence.orders.items()
        if client_order_id not in evidence.intents
        for order in orders
    ]


def _as_intended(intent: Intent, shards: Mapping[int, Shard]) -> dict[str, object]:
    return {
        "symbol": shards[intent.shard].symbol,
        "side": intent.side,
        "price": intent.price,
        "quantity": intent.quantity,
        "reduce only": intent.reduce_only,
    }


def _as_accepted(order: ExchangeOrder) -> dict[str, object]:
    return {
        "symbol": order.symbol,
        "side": order.side,
        "price": order.price,
        "quantity": order.quantity,
        "reduce only": order.reduce_only,
    }

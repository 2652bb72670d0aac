"""Exchange orders and their intents: I1, I2 and I4."""

from __future__ import annotations

from audit.database import Intent, Shard
from audit.exchange import ExchangeOrder
from audit.ids import Tag
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
        early_ms = intent.committed_ms - orders[0].accepted_ms if intent is not None else 0
        if early_ms > 0:
            violations.append(
                Violation(
                    "I1",
                    f"sending of order {client_order_id}",
                    "accepted after its intent was committed",
                    f"accepted {early_ms} ms before",
                )
            )
    checked = {"orders": sum(map(len, evidence.orders.values()))}
    return Result("I1", "at most one exchange order per intent", checked, tuple(violations))


def check_intents(evidence: Evidence) -> Result:
    """I2: every order of the account that no person placed is one that was intended, as it was."""
    shards = {shard.shard: shard for shard in evidence.database.shards}
    violations: list[Violation] = []
    for client_order_id, orders in evidence.orders.items():
        subject = f"order {client_order_id}"
        intent = evidence.intents.get(client_order_id)
        tag = evidence.tag(client_order_id)
        if intent is None:
            found = f"none for {orders[0].symbol} order {orders[0].order_id}"
            violations.append(Violation("I2", subject, "an intent", found))
        elif tag is None:
            found = "an id that does not decode to it"
            violations.append(Violation("I2", subject, "an id of this installation", found))
        else:
            intended = _as_intended(intent, shards[intent.shard])
            differing = [differences(intended, _as_accepted(order, tag)) for order in orders]
            violations += [
                Violation("I2", subject, expected_and_found[0], expected_and_found[1])
                for expected_and_found in differing
                if expected_and_found is not None
            ]
    checked = {"orders": sum(map(len, evidence.orders.values()))}
    return Result("I2", "every own order maps to an intent", checked, tuple(violations))


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


def _ends_after(order: ExchangeOrder, seq: int | None) -> bool:
    return order.ended_seq is None or (seq is not None and order.ended_seq > seq)


def _as_intended(intent: Intent, shard: Shard) -> dict[str, object]:
    return {
        "symbol": shard.symbol,
        "side": intent.side,
        "price": intent.price,
        "quantity": intent.quantity,
        "shard": intent.shard,
        "ladder version": intent.ladder_version,
        "slot": intent.slot,
        "purpose": intent.purpose,
        "side in the id": intent.side,
        "generation": intent.generation,
    }


def _as_accepted(order: ExchangeOrder, tag: Tag) -> dict[str, object]:
    return {
        "symbol": order.symbol,
        "side": order.side,
        "price": order.price,
        "quantity": order.quantity,
        "shard": tag.shard,
        "ladder version": tag.ladder_version,
        "slot": tag.slot,
        "purpose": tag.purpose,
        "side in the id": tag.side,
        "generation": tag.generation,
    }

"""Every running symbol trades again, on the ladder it was given: I7."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal, localcontext

from audit.database import Shard
from audit.exchange import ExchangeOrder
from audit.ids import Tag
from audit.invariants.evidence import Evidence
from audit.report import Result, Violation

#: Enough for every level to be rounded as if it were computed exactly.
_DIGITS = 60


def check_convergence(evidence: Evidence) -> Result:
    """I7: wished-for symbols run with live orders; all prices lie on the persisted ladder."""
    running = [shard for shard in evidence.database.shards if shard.desired == "running"]
    priced = _priced_orders(evidence)
    violations = [violation for shard in running for violation in _standing(evidence, shard)]
    for order, tag, shard in priced:
        violations += _off_ladder(order, tag, shard)
    checked = {"symbols": len(running), "prices": len(priced)}
    return Result("I7", "the ladder converges", checked, tuple(violations))


def _standing(evidence: Evidence, shard: Shard) -> list[Violation]:
    """Running with a live order, or with the reason why there is none; stopped when killed."""
    live = Counter(tag.shard for order, tag in evidence.tagged_orders if order.is_open)
    status = "stopped" if evidence.database.is_killed else "running"
    violations: list[Violation] = []
    if shard.status != status:
        found = f"{shard.status} ({shard.status_reason})"
        violations.append(Violation("I7", f"status of {shard.symbol}", status, found))
    elif status == "running" and not live[shard.shard] and not shard.status_reason:
        violations.append(
            Violation("I7", f"orders of {shard.symbol}", "a live order or a reason", "neither")
        )
    return violations


def _priced_orders(evidence: Evidence) -> list[tuple[ExchangeOrder, Tag, Shard]]:
    """Entries and exits of the ladders whose spec is known."""
    shards = {(shard.shard, shard.ladder_version): shard for shard in evidence.database.shards}
    return [
        (order, tag, shards[tag.shard, tag.ladder_version])
        for order, tag in evidence.tagged_orders
        if tag.purpose in {"entry", "exit"} and (tag.shard, tag.ladder_version) in shards
    ]


def _off_ladder(order: ExchangeOrder, tag: Tag, shard: Shard) -> list[Violation]:
    is_entry = tag.purpose == "entry"
    levels = [
        _level(shard, tick_size, tag.slot if is_entry else tag.slot + 1)
        for tick_size in shard.tick_sizes
    ]
    if is_entry:
        fits, rule = order.price in levels, "at"
    else:
        fits, rule = any(order.price >= level for level in levels), "at least"
    if fits:
        return []
    expected = f"{rule} {' or '.join(map(str, levels))} in slot {tag.slot}"
    return [Violation("I7", f"price of order {order.client_order_id}", expected, f"{order.price}")]


def _level(shard: Shard, tick_size: Decimal, index: int) -> Decimal:
    with localcontext() as context:
        context.prec = _DIGITS
        anchor_ticks = shard.anchor // tick_size
        if shard.spacing["kind"] == "arithmetic":
            ticks = anchor_ticks + index * (Decimal(shard.spacing["step"]) // tick_size)
        else:
            exact = anchor_ticks * Decimal(shard.spacing["ratio"]) ** index
            ticks = exact.to_integral_value(ROUND_HALF_UP)
        return ticks * tick_size

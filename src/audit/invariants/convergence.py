"""Every running symbol trades again, on the ladder it was given, and no other does: I7."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext

from audit.database import Ladder, Shard
from audit.exchange import ExchangeOrder
from audit.ids import PURPOSES, Tag
from audit.invariants.evidence import Evidence
from audit.report import Result, Violation

#: What a symbol that is wished to run shows, by the stage of its grid.
_STATUSES = {
    "waiting": "waiting",
    "running": "running",
    "closing": "closing",
    "ended": "stopped",
}
#: What may not rest of a symbol that is not to trade, or only to get rid of what it holds.
_MAY_NOT_REST = {
    "removed": PURPOSES,
    "stopped": PURPOSES,
    "paused": ("entry", "initial"),
}
#: A restored ladder begins by the venue's time of an order, which its ledger has a little later.
_WRITTEN_LATER_MS = 100
#: Enough for every level to be rounded as if it were computed exactly.
_DIGITS = 60


def check_convergence(evidence: Evidence) -> Result:
    """I7: wished-for symbols run with live orders; all prices lie on the persisted ladder."""
    shards = evidence.database.shards
    running = [shard for shard in shards if shard.desired == "running"]
    priced = _priced_orders(evidence)
    violations = [violation for shard in running for violation in _standing(evidence, shard)]
    for shard in shards:
        violations += _left_open(evidence, shard)
    for order, tag, ladder in priced:
        violations += _off_ladder(order, tag, ladder)
    checked = {"symbols": len(running), "prices": len(priced)}
    return Result("I7", "the ladder converges", checked, tuple(violations))


def _standing(evidence: Evidence, shard: Shard) -> list[Violation]:
    """Running with a live order, or with the reason why there is none; stopped when killed."""
    live = Counter(tag.shard for order, tag in evidence.tagged_orders if order.is_open)
    status = "stopped" if evidence.database.is_killed else _STATUSES[shard.stage]
    violations: list[Violation] = []
    if shard.status != status:
        found = f"{shard.status} ({shard.status_reason})"
        violations.append(Violation("I7", f"status of {shard.symbol}", status, found))
    elif status == "running" and not live[shard.shard] and not shard.status_reason:
        violations.append(
            Violation("I7", f"orders of {shard.symbol}", "a live order or a reason", "neither")
        )
    return violations


def _left_open(evidence: Evidence, shard: Shard) -> list[Violation]:
    """Orders that rest although their symbol shows that none is to."""
    forbidden = _MAY_NOT_REST.get(shard.status, ())
    return [
        Violation(
            "I7", f"order {order.client_order_id} of {shard.symbol}", shard.status, "it is open"
        )
        for order, tag in evidence.tagged_orders
        if tag.shard == shard.shard and order.is_open and tag.purpose in forbidden
    ]


def _priced_orders(evidence: Evidence) -> list[tuple[ExchangeOrder, Tag, Ladder | None]]:
    """Entries and exits, each with the ladder that its id names.

    A version whose slots are all flat may be made anew: orders from before had other levels.
    """
    ladders = {(ladder.shard, ladder.version): ladder for ladder in evidence.database.ladders}
    named = [
        (order, tag, ladders.get((tag.shard, tag.ladder_version)))
        for order, tag in evidence.tagged_orders
        if tag.purpose in {"entry", "exit"} and not evidence.is_left_out(order)
    ]
    return [
        (order, tag, ladder)
        for order, tag, ladder in named
        if ladder is None or order.accepted_ms >= ladder.made_ms + _WRITTEN_LATER_MS
    ]


def _off_ladder(order: ExchangeOrder, tag: Tag, ladder: Ladder | None) -> list[Violation]:
    """A slot buys at its lower level and sells at its upper one; exits may do better."""
    subject = f"price of order {order.client_order_id}"
    if ladder is None:
        name = f"ladder {tag.ladder_version} of shard {tag.shard}"
        return [Violation("I7", subject, f"a level of {name}", "no such ladder")]
    is_buy = tag.side == "buy"
    levels = [
        _level(ladder, tick_size, tag.slot if is_buy else tag.slot + 1)
        for tick_size in ladder.tick_sizes
    ]
    if tag.purpose == "entry":
        fits, rule = order.price in levels, "at"
    elif is_buy:
        fits, rule = any(order.price <= level for level in levels), "at most"
    else:
        fits, rule = any(order.price >= level for level in levels), "at least"
    if fits:
        return []
    expected = f"{rule} {' or '.join(map(str, levels))} in slot {tag.slot}"
    return [Violation("I7", subject, expected, f"{order.price}")]


def _level(ladder: Ladder, tick_size: Decimal, index: int) -> Decimal:
    with localcontext() as context:
        context.prec = _DIGITS
        anchor_ticks = ladder.anchor // tick_size
        if ladder.spacing["kind"] == "arithmetic":
            exact = index * Decimal(ladder.spacing["step"]) / tick_size
            ticks = anchor_ticks + exact.to_integral_value(ROUND_FLOOR)
        else:
            exact = anchor_ticks * Decimal(ladder.spacing["ratio"]) ** index
            ticks = exact.to_integral_value(ROUND_HALF_UP)
        return ticks * tick_size

"""Trades, orders' ends and positions as both sides have them: I3."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from audit.database import Fill, Intent
from audit.exchange import SPOT, ExchangeOrder, ExchangeTrade
from audit.invariants.evidence import Evidence, differences, slot_name
from audit.report import Result, Violation


def check_fills(evidence: Evidence) -> Result:
    """I3: our fills, orders and slots equal the exchange's trades, by trade id."""
    violations = (
        *_trades(evidence),
        *_orders(evidence),
        *_inventories(evidence),
        *_positions(evidence),
    )
    checked = {
        "trades": len(evidence.exchange.trades),
        "orders": len(evidence.intents),
        "slots": len(evidence.database.slots),
    }
    return Result("I3", "our fills and positions equal the exchange's", checked, violations)


def _trades(evidence: Evidence) -> list[Violation]:
    violations: list[Violation] = []
    unmatched = dict(evidence.fills)
    for trade in evidence.exchange.trades:
        fill = unmatched.pop((trade.symbol, trade.trade_id), None)
        if fill is not None:
            intent = evidence.intents.get(trade.client_order_id)
            differing = differences(_as_traded(trade, fill, intent), _as_recorded(fill))
        elif evidence.must_be_recorded(trade):
            differing = f"{trade.side} of {trade.quantity} at {trade.price}", "nothing"
        else:
            differing = None
        if differing is not None:
            subject = f"trade {trade.symbol} {trade.trade_id}"
            violations.append(Violation("I3", subject, differing[0], differing[1]))
    violations += [
        Violation(
            "I3",
            f"trade {fill.symbol} {fill.trade_id}",
            "nothing, the exchange has no such trade",
            f"{fill.side} of {fill.quantity} at {fill.price}",
        )
        for fill in unmatched.values()
    ]
    return violations


def _as_traded(trade: ExchangeTrade, fill: Fill, intent: Intent | None) -> dict[str, object]:
    """A trade of an order without an intent counts as a person's; I2 says that it was not."""
    return {
        "order": trade.order_id,
        "side": trade.side,
        "price": trade.price,
        "quantity": trade.quantity,
        "fee": trade.fee,
        "fee asset": trade.fee_asset,
        "realised": trade.realised or 0,
        "origin": "external" if intent is None else "own",
        "client order id": None if intent is None else intent.client_order_id,
        "shard": fill.shard if intent is None else intent.shard,
    }


def _as_recorded(fill: Fill) -> dict[str, object]:
    return {
        "order": fill.venue_order_id,
        "side": fill.side,
        "price": fill.price,
        "quantity": fill.quantity,
        "fee": fill.fee,
        "fee asset": fill.fee_asset,
        "realised": fill.realised,
        "origin": fill.origin,
        "client order id": fill.client_order_id,
        "shard": fill.shard,
    }


def _orders(evidence: Evidence) -> list[Violation]:
    violations: list[Violation] = []
    for client_order_id, intent in evidence.intents.items():
        orders = evidence.orders.get(client_order_id, [])
        filled = sum((order.filled for order in orders), Decimal(0))
        if intent.lot_size:
            filled -= filled % intent.lot_size
        statuses = _statuses(orders, filled)
        if intent.status in statuses and intent.filled == filled:
            continue
        violations.append(
            Violation(
                "I3",
                f"order {client_order_id}",
                f"{' or '.join(statuses)}, {filled} filled",
                f"{intent.status}, {intent.filled} filled",
            )
        )
    return violations


def _statuses(orders: list[ExchangeOrder], filled: Decimal) -> tuple[str, ...]:
    """What an intent may be when nothing is in flight; unknown is nothing to come to rest at."""
    if not orders:
        return "rejected", "absent"
    if any(order.is_open for order in orders):
        return ("partially_filled",) if filled else ("open",)
    if all(order.filled == order.quantity for order in orders):
        return ("filled",)
    return ("cancelled",)


def _inventories(evidence: Evidence) -> list[Violation]:
    """Each slot holds what it began with and its own trades left in it, and so does the shard."""
    held = {
        (slot.shard, slot.ladder_version, slot.slot): slot.inventory
        for slot in evidence.database.slots
    }
    violations: list[Violation] = []
    for key in sorted(held.keys() | evidence.own_trades.keys() | evidence.adoptions.keys()):
        found = held.get(key, Decimal(0))
        adopted = evidence.adoptions.get(key)
        began = adopted.quantity if adopted else Decimal(0)
        traded = sum(map(_to_inventory, evidence.own_trades.get(key, [])), began)
        if found != traded:
            subject = f"inventory of {slot_name(key)}"
            violations.append(Violation("I3", subject, f"{traded}", f"{found}"))
    return violations


def _positions(evidence: Evidence) -> list[Violation]:
    """A futures position is what was found, and what recorded trades made of it since."""
    if evidence.exchange.market == SPOT:
        return []
    found: dict[str, Decimal] = defaultdict(Decimal)
    since_ms: dict[str, int] = {}
    for shard in evidence.database.shards:
        found[shard.symbol] += shard.found_position
        since_ms.setdefault(shard.symbol, shard.created_ms)
    for fill in evidence.database.fills:
        found[fill.symbol] += fill.quantity if fill.side == "buy" else -fill.quantity
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for trade in evidence.exchange.trades:
        is_earlier = trade.traded_ms < since_ms.get(trade.symbol, 0)
        is_recorded = (trade.symbol, trade.trade_id) in evidence.fills
        if is_earlier or is_recorded or evidence.must_be_recorded(trade):
            expected[trade.symbol] += trade.signed_quantity
    return [
        Violation("I3", f"position of {symbol}", f"{expected[symbol]}", f"{found[symbol]}")
        for symbol in sorted(expected.keys() | found.keys())
        if expected[symbol] != found[symbol]
    ]


def _to_inventory(trade: ExchangeTrade) -> Decimal:
    return trade.signed_quantity - trade.base_fee

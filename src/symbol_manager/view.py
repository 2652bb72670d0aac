"""A shard as others may look at it: an immutable copy, taken without locks after each loop."""

from __future__ import annotations

from dataclasses import dataclass

from domain.market import BookTop
from domain.orders import OrderStatus
from ports.store import Status
from symbol_manager.state import ShardState


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardView:
    symbol: str
    epoch: int
    status: Status
    reason: str
    book: BookTop | None
    #: Orders that may rest at the venue, by status.
    live_orders: dict[OrderStatus, int]
    parked_trades: int


def view_of(state: ShardState, book: BookTop | None, status: Status, reason: str) -> ShardView:
    counts: dict[OrderStatus, int] = {}
    for order in state.active_orders():
        counts[order.status] = counts.get(order.status, 0) + 1
    return ShardView(
        symbol=state.claim.symbol,
        epoch=state.claim.ownership.epoch,
        status=status,
        reason=reason,
        book=book,
        live_orders=counts,
        parked_trades=sum(len(trades) for trades in state.parked.values()),
    )

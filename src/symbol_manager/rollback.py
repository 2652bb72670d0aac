"""Whether the database is older than the exchange: orders of ours there that it never made.

After a dump was put back, or a server that lagged behind took over, slots do not know what was
traded since, and the next ids were used already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from domain.ids import ClientOrderId, OrderTag
from domain.orders import OrderReport, VenueStatus
from ports.exchange import ExchangePort
from ports.store import Finding, ShardStore
from symbol_manager.state import ShardState


async def unheard_of(
    reports: Iterable[OrderReport], state: ShardState, exchange: ExchangePort, store: ShardStore
) -> Mapping[ClientOrderId, OrderReport]:
    """Which of these orders are ours and were never made by the database; none if it is new."""
    unheard: dict[ClientOrderId, OrderReport] = {}
    for report in reports:
        tag = exchange.ids.decode(report.client_order_id)
        if tag is None or tag.nonce != state.claim.nonce or state.knows(report.client_order_id):
            continue
        if _is_beyond(tag, state) or await _has_no_row(report, tag, state, store):
            unheard[report.client_order_id] = report
    return unheard


def order_without_intent(report: OrderReport) -> Finding:
    return Finding(
        kind="order_without_intent",
        subject=report.client_order_id,
        detail={"venue_order_id": report.venue_order_id, "status": report.status},
    )


def why_rolled_back(unheard: Mapping[ClientOrderId, OrderReport]) -> str:
    resting = sum(report.status is VenueStatus.OPEN for report in unheard.values())
    return (
        f"the database is older than the exchange: orders of this symbol are not in it, such as"
        f" {next(iter(unheard))} (seen: {len(unheard)}, resting: {resting}); nothing is sent. Stop"
        " all nodes and rebuild it with `gridkeeper restore`, in a new data directory or database"
    )


def _is_beyond(tag: OrderTag, state: ShardState) -> bool:
    """Whether an id comes after every one that was ever made, of this or any shard of the symbol.

    Orders are forgotten after a while; how far a slot's generations came is not.
    """
    shard = state.claim.ownership.shard
    if tag.shard != shard:
        return tag.shard > shard
    return tag.generation >= state.slot(tag.slot).next_generation(tag.side)


async def _has_no_row(
    report: OrderReport, tag: OrderTag, state: ShardState, store: ShardStore
) -> bool:
    """Whether an order rests and is not known; one that ended may be forgotten by now."""
    if report.status is not VenueStatus.OPEN or tag.shard != state.claim.ownership.shard:
        return False
    return await store.find_order(state.claim, report.client_order_id) is None

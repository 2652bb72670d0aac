"""plan = diff(desired, live): the cancels and places that lead from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from domain.errors import InvariantViolation
from domain.ids import ClientOrderId, OrderTag, Purpose, Side, SlotId
from domain.orders import Intent, Open, Order, PartiallyFilled
from domain.plans import Cancel, Place, Plan
from grid.grid import Desired, SlotSide
from grid.slots import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentFactory:
    """What the orders of one shard have in common."""

    nonce: int
    shard: int
    #: Spells a tag as the venue wants it.
    client_order_id: Callable[[OrderTag], ClientOrderId]

    def intent(self, desired: Desired, slot: Slot) -> Intent:
        """Make the intent of a desired order, with the slot's next generation."""
        tag = OrderTag(
            nonce=self.nonce,
            shard=self.shard,
            slot=desired.slot,
            purpose=desired.purpose,
            side=desired.side,
            generation=slot.next_generation(desired.side),
        )
        return Intent(
            client_order_id=self.client_order_id(tag),
            tag=tag,
            price_ticks=desired.price_ticks,
            quantity_lots=desired.quantity_lots,
            post_only=desired.post_only,
            reduce_only=desired.reduce_only,
        )


def live_by_slot(orders: Iterable[Order]) -> dict[SlotSide, Order]:
    """Index the live ones of some orders by slot and side.

    Raises
    ------
    InvariantViolation
        If a slot and side has two.
    """
    live: dict[SlotSide, Order] = {}
    for order in orders:
        if not order.is_live:
            continue
        key = order.intent.tag.slot, order.intent.side
        if key in live:
            raise InvariantViolation(
                f"slot {key[0]} has two live {key[1]} orders:"
                f" {live[key].intent.client_order_id} and {order.intent.client_order_id}"
            )
        live[key] = order
    return live


def diff(
    desired: Iterable[Desired],
    live: Mapping[SlotSide, Order],
    slots: Mapping[SlotId, Slot],
    intents: IntentFactory,
    *,
    blocked: Collection[SlotSide] = frozenset(),
) -> Plan:
    """Plan the way from what is live to what is desired.

    An order that is live in any state, known or not, keeps its slot and side: a replacement is a
    cancel now and a place in a later plan, after the end of the old order was seen.

    Parameters
    ----------
    slots : mapping of SlotId to Slot
        As given to `desired_orders`; the generations come from here.
    blocked : collection of slot and side
        Where nothing may be placed and nothing resized for now; what is not desired at all is
        cancelled there too.
    """
    wanted = {(order.slot, order.side): order for order in desired}
    cancels = tuple(
        Cancel(
            client_order_id=order.intent.client_order_id, slot=key[0], side=key[1], reason=reason
        )
        for key, order in live.items()
        if _is_cancellable(order)
        and (reason := _why_cancel(order, wanted.get(key), is_blocked=key in blocked))
    )
    places = tuple(
        Place(
            intent=intents.intent(order, slots.get(order.slot) or Slot(id=order.slot)),
            reason=_why_place(order),
        )
        for key, order in wanted.items()
        if order.placeable and key not in live and key not in blocked
    )
    return Plan(cancels, places)


def _is_cancellable(order: Order) -> bool:
    return isinstance(order.state, Open | PartiallyFilled) and not order.cancel_requested


def _why_cancel(order: Order, wanted: Desired | None, *, is_blocked: bool) -> str | None:
    if wanted is None:
        return "no longer desired"
    if is_blocked:
        return None
    if order.intent.tag.purpose is not wanted.purpose:
        return f"{order.intent.tag.purpose.name.lower()} → {wanted.purpose.name.lower()}"
    if order.intent.price_ticks != wanted.price_ticks:
        return f"price {order.intent.price_ticks} → {wanted.price_ticks} ticks"
    if order.remaining_lots != wanted.quantity_lots:
        return f"quantity {order.remaining_lots} → {wanted.quantity_lots} lots"
    return None


def _why_place(desired: Desired) -> str:
    match desired.purpose:
        case Purpose.ENTRY:
            return f"entry {'below' if desired.side is Side.BUY else 'above'} the price"
        case Purpose.EXIT:
            return "exit of the slot's inventory"
        case Purpose.INITIAL:
            return "initial position of the slot"
        case Purpose.FLATTEN | Purpose.STOP:
            return "closes the slot's inventory"
        case never:
            assert_never(never)

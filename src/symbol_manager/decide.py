"""One decision: what should rest, what does rest, the difference, and the risk gate. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from domain.errors import ConfigurationError
from domain.ids import ClientOrderId, OrderTag, Side
from domain.instrument import Instrument, Rounding
from domain.market import BookTop, Quote
from domain.plans import Cancel, Plan, RiskApproved
from grid.desired import desired_orders
from grid.grid import SlotSide
from grid.plan import IntentFactory, diff
from risk.gate import review
from risk.limits import Exposure, RiskLimits
from symbol_manager.state import ShardState

_NO_BOOK = BookTop(None, None, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What a shard may do now."""

    #: Have any order at all; without it everything is cancelled.
    orders: bool
    #: Have orders that add to the position.
    entries: bool
    #: Place anything new.
    placing: bool


def to_book(quote: Quote, instrument: Instrument) -> BookTop | None:
    """A quote in ticks; `None` for one that makes no sense."""
    if any(side is not None and not side.is_finite() for side in (quote.bid, quote.ask)):
        return None
    try:
        bid = None if quote.bid is None else instrument.price_to_ticks(quote.bid, Rounding.FLOOR)
        ask = None if quote.ask is None else instrument.price_to_ticks(quote.ask, Rounding.CEIL)
    except (ConfigurationError, ArithmeticError):
        return None
    sides = [side for side in (bid, ask) if side is not None]
    if not sides or min(sides) <= 0:
        return None
    if bid is not None and ask is not None and bid >= ask:
        return None
    return BookTop(bid, ask, quote.exchange_ms)


def decide(
    state: ShardState,
    book: BookTop | None,
    limits: RiskLimits,
    *,
    permissions: Permissions,
    waiting: Collection[SlotSide],
    sent_last_minute: int,
    new_id: Callable[[OrderTag], ClientOrderId],
) -> RiskApproved:
    """Plan the difference between the orders wanted and the orders there.

    Parameters
    ----------
    waiting : collection of slot and side
        Where the venue refused lately and nothing is to be placed yet.
    """
    live = state.live_orders()
    if book is None and permissions.orders:
        return RiskApproved(Plan())
    desired = (
        desired_orders(
            state.grid,
            state.slots,
            book,
            live,
            entries_allowed=permissions.entries,
            exits_allowed=True,
        )
        if book is not None and permissions.orders
        else ()
    )
    plan = diff(
        desired,
        live,
        state.slots,
        IntentFactory(
            nonce=state.claim.nonce,
            shard=state.claim.ownership.shard,
            ladder_version=state.claim.ladder_version,
            client_order_id=new_id,
        ),
        blocked={*waiting, *state.unsettled(), *state.ahead_of_trades()},
    )
    plan = Plan(plan.cancels + _cancels_of_strays(state), plan.places)
    if not permissions.placing:
        plan = Plan(plan.cancels)
    if not plan:
        return RiskApproved(plan)
    return review(
        plan,
        instrument=state.claim.instrument,
        book=book or _NO_BOOK,
        limits=limits,
        exposure=_exposure(state, len(live), sent_last_minute),
        is_killed=not permissions.orders,
    )


def _cancels_of_strays(state: ShardState) -> tuple[Cancel, ...]:
    return tuple(
        Cancel(
            client_order_id=client_order_id,
            slot=stray.intent.tag.slot,
            side=stray.intent.side,
            reason="stray",
        )
        for client_order_id, stray in state.strays.items()
        if not state.order(client_order_id).cancel_requested
    )


def limits_of(state: ShardState, orders_per_minute: int) -> RiskLimits:
    """The hard limits of a symbol, from its grid's budget."""
    grid = state.grid
    return RiskLimits(
        max_position_units=grid.budget_units,
        max_open_entry_units=grid.budget_units,
        max_order_notional_units=grid.budget_units,
        max_open_orders=grid.spec.max_open_orders,
        orders_per_minute=orders_per_minute,
        price_collar=grid.spec.price_collar,
    )


def _exposure(state: ShardState, open_orders: int, sent_last_minute: int) -> Exposure:
    instrument = state.claim.instrument
    return Exposure(
        position_units=sum(slot.cost_units for slot in state.slots.values()),
        open_entry_units=sum(
            instrument.notional_units(order.intent.price_ticks, state.unsettled_lots(order))
            for order in state.active_orders()
            if order.intent.side is Side.BUY
        ),
        open_orders=open_orders,
        orders_last_minute=sent_last_minute,
    )

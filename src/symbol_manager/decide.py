"""One decision: what should rest, what does rest, the difference, and the risk gate. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from domain.errors import ConfigurationError
from domain.ids import ClientOrderId, OrderTag
from domain.instrument import Instrument, Rounding
from domain.market import BookTop, Quote
from domain.plans import Cancel, Plan, RiskApproved
from grid.desired import Stance, desired_orders
from grid.grid import Grid, SlotSide
from grid.plan import IntentFactory, diff
from grid.role import OPENING
from risk.gate import order_units, review, role_of
from risk.limits import Exposure, RiskLimits, RoleExposure, RoleLimits
from symbol_manager.state import ShardState

_NO_BOOK = BookTop(None, None, 0)


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
    stance: Stance,
    may_place: bool,
    may_open: bool = True,
    waiting: Collection[SlotSide],
    sent_last_minute: int,
    new_id: Callable[[OrderTag], ClientOrderId],
) -> RiskApproved:
    """Plan the difference between the orders wanted and the orders there.

    Parameters
    ----------
    may_place : bool
        Whether anything new may be placed.
    may_open : bool
        Whether that may be an entry; those that rest stay in any case.
    waiting : collection of slot and side
        Where the venue refused lately and nothing is to be placed yet.
    """
    live = state.live_orders()
    if book is None and stance is not Stance.NOTHING:
        return RiskApproved(Plan())
    desired = (
        desired_orders(state.grid, state.slots, book, live, stance=stance)
        if book is not None
        else ()
    )
    plan = diff(
        desired,
        live,
        state.slots,
        IntentFactory(
            nonce=state.claim.nonce,
            shard=state.claim.ownership.shard,
            client_order_id=new_id,
        ),
        blocked={*waiting, *state.unsettled(), *state.ahead_of_trades()},
    )
    plan = Plan(plan.cancels + _cancels_of_strays(state), plan.places)
    if not may_place:
        plan = Plan(plan.cancels)
    if not may_open:
        closing = (place for place in plan.places if place.intent.tag.purpose not in OPENING)
        plan = Plan(plan.cancels, tuple(closing))
    if not plan:
        return RiskApproved(plan)
    return review(
        plan,
        instrument=state.claim.instrument,
        book=book or _NO_BOOK,
        limits=limits,
        exposure=_exposure(state, limits, len(live), sent_last_minute),
        is_killed=stance is Stance.NOTHING,
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


def limits_of(grid: Grid, orders_per_minute: int) -> RiskLimits:
    """The hard limits of a symbol, from its grid's budget."""
    roles = {}
    for role in grid.roles:
        budget_units = grid.role_budget_units(role)
        roles[role] = RoleLimits(
            max_position_units=budget_units,
            max_open_entry_units=budget_units,
            max_order_units=budget_units,
            in_base=grid.sells_base(role),
        )
    return RiskLimits(
        roles=roles,
        max_open_orders=grid.spec.max_open_orders,
        orders_per_minute=orders_per_minute,
        price_collar=grid.spec.price_collar,
    )


def _exposure(
    state: ShardState, limits: RiskLimits, open_orders: int, sent_last_minute: int
) -> Exposure:
    instrument = state.claim.instrument
    roles = {role: RoleExposure() for role in limits.roles}
    for slot in state.slots.values():
        role = state.grid.role_of(slot.id)
        used = roles[role]
        units = slot.held_units if limits.roles[role].in_base else role * slot.cost_units
        roles[role] = replace(used, position_units=used.position_units + units)
    for order in state.active_orders():
        if order.intent.tag.purpose in OPENING:
            role = role_of(order.intent)
            used = roles[role]
            rest = replace(order.intent, quantity_lots=state.unsettled_lots(order))
            units = order_units(rest, order.rules or instrument, limits.roles[role])
            roles[role] = replace(used, open_entry_units=used.open_entry_units + units)
    return Exposure(roles=roles, open_orders=open_orders, orders_last_minute=sent_last_minute)

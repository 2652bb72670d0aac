"""Every plan passes here; nothing else makes a `RiskApproved`.

Cancels always pass: they only ever lower the risk. Orders that lower a position pass the limits on
money, but not those that stop a runaway: rate, count and price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from domain.ids import Side
from domain.instrument import Instrument
from domain.market import BookTop
from domain.orders import Intent
from domain.plans import Place, Plan, Refusal, RiskApproved
from grid.grid import collar_band
from grid.role import OPENING, Role
from risk.limits import Exposure, RiskLimits, RoleExposure, RoleLimits


def review(
    plan: Plan,
    *,
    instrument: Instrument,
    book: BookTop,
    limits: RiskLimits,
    exposure: Exposure,
    is_killed: bool,
) -> RiskApproved:
    """Keep back the orders of a plan that break a limit, each with the rule and the numbers.

    Orders are judged in the plan's order, on top of those that passed before them; money that the
    plan's cancels will free is not counted as free yet.
    """
    tally = _Tally(
        roles=dict(exposure.roles),
        open_orders=exposure.open_orders,
        orders_last_minute=exposure.orders_last_minute,
    )
    passed: list[Place] = []
    refused: list[Refusal] = []
    for place in plan.places:
        if is_killed:
            refused.append(Refusal(place, "kill_switch", "the kill switch is on"))
            continue
        broken = next(
            (
                (rule, detail)
                for rule, is_kept, detail in _checks(place.intent, instrument, book, limits, tally)
                if not is_kept
            ),
            None,
        )
        if broken:
            refused.append(Refusal(place, *broken))
        else:
            passed.append(place)
            tally.add(place.intent, instrument, limits)
    return RiskApproved(Plan(plan.cancels, tuple(passed)), tuple(refused))


@dataclass(slots=True)
class _Tally:
    """The exposure, with the orders that passed so far."""

    roles: dict[Role, RoleExposure]
    open_orders: int
    orders_last_minute: int

    def add(self, intent: Intent, instrument: Instrument, limits: RiskLimits) -> None:
        self.open_orders += 1
        self.orders_last_minute += 1
        if intent.tag.purpose in OPENING:
            role = role_of(intent)
            used = self.roles[role]
            units = order_units(intent, instrument, limits.roles[role])
            self.roles[role] = replace(used, open_entry_units=used.open_entry_units + units)


def role_of(intent: Intent) -> Role:
    return Role.of_order(intent.side, intent.tag.purpose)


def order_units(intent: Intent, instrument: Instrument, limits: RoleLimits) -> int:
    """What an order takes of its role's limits, without fees."""
    if limits.in_base:
        return intent.quantity_lots * instrument.base_units_per_lot
    return instrument.notional_units(intent.price_ticks, intent.quantity_lots)


#: A rule's name, whether it is kept, and its numbers.
_Check = tuple[str, bool, str]


def _checks(
    intent: Intent, instrument: Instrument, book: BookTop, limits: RiskLimits, tally: _Tally
) -> Iterator[_Check]:
    price, lots = intent.price_ticks, intent.quantity_lots
    lowest, highest = collar_band(book.mid_ticks, limits.price_collar)
    yield (
        "price_collar",
        lowest <= price <= highest,
        f"price {price} ticks must lie in {lowest} to {highest}",
    )
    yield (
        "post_only",
        not intent.post_only or not _crosses(intent, book),
        f"{intent.side} at {price} ticks would meet bid {book.bid_ticks}, ask {book.ask_ticks}",
    )
    yield (
        "venue_minimum",
        instrument.is_orderable(price, lots),
        f"{lots} lots at {price} ticks, minimum {instrument.min_notional} {instrument.quote}",
    )
    yield (
        "orders_per_minute",
        tally.orders_last_minute < limits.orders_per_minute,
        f"{tally.orders_last_minute} of {limits.orders_per_minute} used",
    )
    yield (
        "max_open_orders",
        tally.open_orders < limits.max_open_orders,
        f"{tally.open_orders} of {limits.max_open_orders} open",
    )
    if intent.tag.purpose in OPENING:
        yield from _money_checks(intent, instrument, limits, tally)


def _money_checks(
    intent: Intent, instrument: Instrument, limits: RiskLimits, tally: _Tally
) -> Iterator[_Check]:
    role = role_of(intent)
    most, used = limits.roles[role], tally.roles[role]
    order = order_units(intent, instrument, most)
    entries = used.open_entry_units + order
    to_amount = instrument.units_to_base if most.in_base else instrument.units_to_quote
    asset = instrument.base if most.in_base else instrument.quote
    for rule, units, limit_units in (
        ("max_order", order, most.max_order_units),
        ("max_open_entry", entries, most.max_open_entry_units),
        ("max_position", used.position_units + entries, most.max_position_units),
    ):
        amount, limit = to_amount(units), to_amount(limit_units)
        yield rule, units <= limit_units, f"{amount} of at most {limit} {asset}"


def _crosses(intent: Intent, book: BookTop) -> bool:
    if intent.side is Side.BUY:
        return book.ask_ticks is not None and intent.price_ticks >= book.ask_ticks
    return book.bid_ticks is not None and intent.price_ticks <= book.bid_ticks

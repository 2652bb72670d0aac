"""The gate: what passes, what is refused, and with which words."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import ConfigurationError
from domain.ids import Purpose, Side
from domain.plans import Cancel, Place, Plan, RiskApproved
from grid.role import Role
from risk.gate import review
from risk.limits import Exposure, RiskLimits, RoleExposure, RoleLimits
from unit.grid.factories import INSTRUMENT, make_book, make_order

QUOTE = 10**8
LONG = RoleLimits(
    max_position_units=1000 * QUOTE,
    max_open_entry_units=500 * QUOTE,
    max_order_units=200 * QUOTE,
)
LIMITS = RiskLimits(
    roles={Role.LONG: LONG},
    max_open_orders=10,
    orders_per_minute=60,
    price_collar=Decimal("0.1"),
)
IDLE = Exposure(roles={Role.LONG: RoleExposure()}, open_orders=0, orders_last_minute=0)
BOOK = make_book(10_040, 10_060)


def used(**changes: int) -> Exposure:
    return replace(IDLE, roles={Role.LONG: RoleExposure(**changes)})


def place(
    side: Side, price: int, lots: int = 10, purpose: Purpose | None = None, slot: int = 0
) -> Place:
    intent = make_order(slot, side, price, lots).intent
    if purpose is not None:
        intent = replace(intent, tag=replace(intent.tag, purpose=purpose))
    return Place(intent=intent, reason="test")


def check(*places: Place, cancels: tuple[Cancel, ...] = (), **changes: Any) -> RiskApproved:
    settings: dict[str, Any] = {
        "instrument": INSTRUMENT,
        "book": BOOK,
        "limits": LIMITS,
        "exposure": IDLE,
        "is_killed": False,
    }
    return review(Plan(cancels, places), **settings | changes)


def test_review_plan_within_limits_passes_whole() -> None:
    places = place(Side.BUY, 10_000), place(Side.SELL, 10_100)
    assert check(*places) == RiskApproved(Plan((), places))


@pytest.mark.parametrize(
    ("order", "changes", "rule", "detail"),
    [
        pytest.param(
            place(Side.BUY, 9_044), {}, "price_collar", "must lie in 9045 to 11055", id="far buy"
        ),
        pytest.param(place(Side.SELL, 11_056), {}, "price_collar", "11056", id="far sell"),
        pytest.param(place(Side.BUY, 10_060), {}, "post_only", "ask 10060", id="crossing buy"),
        pytest.param(place(Side.SELL, 10_040), {}, "post_only", "bid 10040", id="crossing sell"),
        pytest.param(place(Side.SELL, 10_100, 0), {}, "venue_minimum", "0 lots", id="nothing"),
        pytest.param(
            place(Side.SELL, 10_100),
            {"exposure": replace(IDLE, orders_last_minute=60)},
            "orders_per_minute",
            "60 of 60",
            id="runaway",
        ),
        pytest.param(
            place(Side.SELL, 10_100),
            {"exposure": replace(IDLE, open_orders=10)},
            "max_open_orders",
            "10 of 10",
            id="too many",
        ),
        pytest.param(place(Side.BUY, 10_000, 21), {}, "max_order", "210", id="a large order"),
        pytest.param(
            place(Side.BUY, 10_000),
            {"exposure": used(open_entry_units=401 * QUOTE)},
            "max_open_entry",
            "501",
            id="entries",
        ),
        pytest.param(
            place(Side.BUY, 10_000),
            {"exposure": used(position_units=901 * QUOTE)},
            "max_position",
            "1001",
            id="position",
        ),
        pytest.param(
            place(Side.SELL, 10_100), {"is_killed": True}, "kill_switch", "on", id="killed"
        ),
    ],
)
def test_review_order_over_a_limit_is_refused_with_rule_and_numbers(
    order: Place, changes: dict[str, Any], rule: str, detail: str
) -> None:
    approved = check(order, **changes)
    assert approved.plan.places == ()
    (refusal,) = approved.refused
    assert (refusal.place, refusal.rule) == (order, rule)
    assert detail in refusal.detail


@pytest.mark.parametrize("purpose", [Purpose.EXIT, Purpose.FLATTEN, Purpose.STOP])
def test_review_order_that_lowers_the_position_passes_limits_on_money(purpose: Purpose) -> None:
    exposure = used(position_units=9999 * QUOTE, open_entry_units=9999 * QUOTE)
    order = place(Side.SELL, 10_100, 1_000, purpose)
    assert check(order, exposure=exposure).plan.places == (order,)


def test_review_orders_of_one_plan_add_up() -> None:
    places = tuple(place(Side.BUY, 10_000, slot=slot) for slot in range(6))
    approved = check(*places)
    assert approved.plan.places == places[:5]
    assert [refusal.rule for refusal in approved.refused] == ["max_open_entry"]
    few = check(*places, limits=replace(LIMITS, max_open_orders=2))
    assert few.plan.places == places[:2]


def test_review_refused_order_uses_nothing_up() -> None:
    large, small = place(Side.BUY, 10_000, 21), place(Side.BUY, 10_000, slot=1)
    exposure = replace(IDLE, open_orders=9)
    assert check(large, small, exposure=exposure).plan.places == (small,)


def test_review_cancels_pass_always() -> None:
    intent = make_order(0, Side.BUY, 10_000).intent
    cancel = Cancel(
        client_order_id=intent.client_order_id,
        slot=intent.tag.slot,
        side=Side.BUY,
        reason="not desired",
    )
    much = used(position_units=10**30, open_entry_units=10**30)
    exposure = replace(much, open_orders=999, orders_last_minute=999)
    assert check(cancels=(cancel,), exposure=exposure, is_killed=True).plan.cancels == (cancel,)


def test_review_one_sided_book_checks_the_side_that_exists() -> None:
    order = place(Side.BUY, 10_000)
    assert check(order, book=make_book(10_040, None)).plan.places == (order,)
    assert check(order, book=make_book(None, 10_000)).refused[0].rule == "post_only"


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_open_orders", 0), ("orders_per_minute", -1), ("price_collar", Decimal(1))],
)
def test_risk_limits_senseless_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        replace(LIMITS, **{field: value})
    assert refusal.value.field == field


def test_risk_limits_of_a_role_senseless_are_refused() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        replace(LIMITS, roles={Role.SHORT: replace(LONG, max_position_units=-1)})
    assert refusal.value.field == "short.max_position_units"


def test_review_spot_sale_of_base_is_limited_in_base() -> None:
    base = 10**8
    short = RoleLimits(
        max_position_units=3 * base,
        max_open_entry_units=2 * base,
        max_order_units=base,
        in_base=True,
    )
    settings: dict[str, Any] = {
        "limits": replace(LIMITS, roles={Role.SHORT: short}),
        "exposure": replace(IDLE, roles={Role.SHORT: RoleExposure(position_units=2 * base)}),
    }
    first, second = (place(Side.SELL, 10_100, 10, Purpose.ENTRY, slot) for slot in (0, 1))
    approved = check(first, second, **settings)
    assert approved.plan.places == (first,)
    (refusal,) = approved.refused
    assert refusal.detail == "4.00000000 of at most 3.00000000 ABC"

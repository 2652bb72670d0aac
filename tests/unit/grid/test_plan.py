"""From live to desired: what is cancelled, what is placed, what is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvariantViolation
from domain.ids import OrderTag, Purpose, Side
from domain.orders import Absent, Intended, Order, OrderState, Sent, Unknown
from grid.grid import Desired, SlotSide
from grid.plan import diff, live_by_slot
from unit.grid.factories import INTENTS, make_order, make_slot, slot_id, spell


def want(slot: int, side: Side = Side.BUY, **changes: Any) -> Desired:
    fields: dict[str, Any] = {
        "slot": slot_id(slot),
        "side": side,
        "purpose": Purpose.ENTRY if side is Side.BUY else Purpose.EXIT,
        "price_ticks": 10_000,
        "quantity_lots": 10,
        "placeable": True,
    }
    return Desired(**fields | changes)


def test_diff_nothing_live_places_with_next_generation() -> None:
    slots = {
        slot_id(0): make_slot(0, buy_generation=4),
        slot_id(1): make_slot(1, sell_generation=7),
    }
    plan = diff([want(0), want(1, Side.SELL), want(2)], {}, slots, INTENTS)
    assert plan.cancels == ()
    assert [place.intent.tag for place in plan.places] == [
        OrderTag(
            nonce=1,
            shard=1,
            slot=slot_id(slot),
            purpose=purpose,
            side=side,
            generation=generation,
        )
        for slot, purpose, side, generation in [
            (0, Purpose.ENTRY, Side.BUY, 5),
            (1, Purpose.EXIT, Side.SELL, 8),
            (2, Purpose.ENTRY, Side.BUY, 1),
        ]
    ]
    for place in plan.places:
        assert place.intent.client_order_id == spell(place.intent.tag)
        assert (place.intent.price_ticks, place.intent.quantity_lots) == (10_000, 10)
        assert place.intent.post_only
        assert place.reason


@pytest.mark.parametrize(
    ("order", "desired", "reason"),
    [
        pytest.param(make_order(0, Side.BUY, 10_000), [want(0)], None, id="fits"),
        pytest.param(make_order(0, Side.BUY, 10_000), [], "no longer desired", id="undesired"),
        pytest.param(
            make_order(0, Side.BUY, 10_000), [want(0, placeable=False)], None, id="only kept"
        ),
        pytest.param(
            make_order(0, Side.BUY, 9_900), [want(0)], "price 9900 → 10000 ticks", id="moved"
        ),
        pytest.param(
            make_order(0, Side.BUY, 10_000, 15), [want(0)], "quantity 15 → 10 lots", id="resized"
        ),
        pytest.param(
            make_order(0, Side.BUY, 10_000, 15, filled=5), [want(0)], None, id="rest fits"
        ),
        pytest.param(
            make_order(0, Side.SELL, 10_000), [want(0)], "no longer desired", id="other side"
        ),
    ],
)
def test_diff_live_order_is_cancelled_when_it_does_not_match(
    order: Order, desired: list[Desired], reason: str | None
) -> None:
    plan = diff(desired, live_by_slot([order]), {}, INTENTS)
    assert [cancel.reason for cancel in plan.cancels] == ([reason] if reason else [])
    assert [cancel.client_order_id for cancel in plan.cancels] == (
        [order.intent.client_order_id] if reason else []
    )
    replaced = [place for place in plan.places if place.intent.side is order.intent.side]
    assert replaced == []


@pytest.mark.parametrize("state", [Intended(), Sent(), Unknown("timeout")])
def test_diff_order_of_uncertain_state_is_left_alone_and_blocks(state: OrderState) -> None:
    live = live_by_slot([make_order(0, Side.BUY, 9_000, state=state)])
    assert not diff([want(0)], live, {}, INTENTS)
    assert not diff([], live, {}, INTENTS)


def test_diff_cancel_already_requested_is_not_repeated() -> None:
    live = live_by_slot([make_order(0, Side.BUY, 9_000, cancel_requested=True)])
    assert not diff([want(0)], live, {}, INTENTS)


@pytest.mark.parametrize(
    ("desired", "cancels"),
    [
        pytest.param([want(0, price_ticks=9_900)], 0, id="is not moved"),
        pytest.param([], 1, id="is cancelled when nothing is desired"),
    ],
)
def test_diff_blocked_slot_side_places_nothing(desired: list[Desired], cancels: int) -> None:
    blocked: set[SlotSide] = {(slot_id(0), Side.BUY), (slot_id(1), Side.BUY)}
    live = live_by_slot([make_order(0, Side.BUY, 10_000)])
    plan = diff([*desired, want(1)], live, {}, INTENTS, blocked=blocked)
    assert (len(plan.cancels), len(plan.places)) == (cancels, 0)


def test_live_by_slot_ended_orders_are_left_out() -> None:
    ended = make_order(0, Side.BUY, 10_000, state=Absent("proven"))
    live = make_order(0, Side.BUY, 10_000)
    assert live_by_slot([ended, live]) == {(slot_id(0), Side.BUY): live}


def test_live_by_slot_two_on_one_side_raises() -> None:
    with pytest.raises(InvariantViolation, match="slot 0 of ladder 0 has two live buy orders"):
        live_by_slot([make_order(0, Side.BUY, 10_000), make_order(0, Side.BUY, 9_000)])

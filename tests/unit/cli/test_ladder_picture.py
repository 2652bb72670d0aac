"""Ladders as people see them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cli.ladder_picture import NEAREST, Rung, live_rungs, show_ladder
from domain.ids import Side
from store.history import OrderRecord, SlotRecord

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_order(slot: int, side: str, price: str, **changes: Any) -> OrderRecord:
    fields: dict[str, Any] = {
        "client_order_id": f"{slot}{side}",
        "venue_order_id": "v1",
        "symbol": "BTC/USDT",
        "shard": 1,
        "decision_id": "d1",
        "slot": slot,
        "ladder_version": 0,
        "purpose": "entry",
        "side": side,
        "generation": 1,
        "price": Decimal(price),
        "quantity": Decimal("0.002"),
        "filled": Decimal(0),
        "post_only": True,
        "reason": "",
        "status": "open",
        "status_reason": "",
        "cancel_requested": False,
        "intended_at": NOON,
        "updated_at": NOON,
        "ended_at": None,
    }
    return OrderRecord(**fields | changes)


def make_slot(slot: int, inventory: str, **changes: Any) -> SlotRecord:
    fields: dict[str, Any] = {
        "ladder_version": 0,
        "slot": slot,
        "inventory": Decimal(inventory),
        "cost": Decimal(120),
        "average_price": Decimal(60_000),
        "dust": Decimal(0),
        "closed": Decimal(0),
        "proceeds": Decimal(0),
    }
    return SlotRecord(**fields | changes)


@pytest.mark.parametrize(
    ("orders", "slots", "notes"),
    [
        pytest.param([make_order(-1, "buy", "59700")], [], ["slot -1"], id="entry"),
        pytest.param(
            [make_order(0, "sell", "60300")],
            [make_slot(0, "0.002")],
            ["slot 0, holds 0.002"],
            id="exit",
        ),
        pytest.param(
            [make_order(0, "buy", "60000")],
            [make_slot(0, "-0.002")],
            ["slot 0, holds -0.002"],
            id="exit of a short slot",
        ),
        pytest.param(
            [make_order(0, "buy", "60000", status="partially_filled", filled=Decimal("0.001"))],
            [make_slot(0, "0.001")],
            [
                "slot 0, partially filled",
                "slot 0, holds 0.001 at this cost, no exit yet",
            ],
            id="entry that is being filled",
        ),
        pytest.param(
            [make_order(0, "sell", "60300")],
            [make_slot(0, "0.002", ladder_version=1)],
            ["slot 0", "slot 0, holds 0.002 at this cost, no exit yet"],
            id="same slot of another ladder",
        ),
        pytest.param(
            [make_order(-1, "buy", "59700", status="unknown", cancel_requested=True)],
            [],
            ["slot -1, unknown, cancel requested"],
            id="doubt",
        ),
        pytest.param([], [make_slot(3, "0")], [], id="flat"),
    ],
)
def test_live_rungs_are_orders_with_what_their_slots_hold(
    orders: list[OrderRecord], slots: list[SlotRecord], notes: list[str]
) -> None:
    assert [rung.note for rung in live_rungs(orders, slots)] == notes


def test_live_rung_of_an_order_shows_what_rests() -> None:
    (rung,) = live_rungs([make_order(-1, "buy", "59700", filled=Decimal("0.0005"))], [])
    assert (rung.side, rung.quantity) == (Side.BUY, Decimal("0.0015"))


def test_show_ladder_has_buys_left_sells_right_and_the_dearest_on_top(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rungs = [
        Rung(price=Decimal(59), side=Side.BUY, quantity=Decimal(2)),
        Rung(price=Decimal(61), side=Side.SELL, quantity=Decimal(3)),
        Rung(price=Decimal(62), note="held"),
    ]
    show_ladder(rungs, Decimal(60))
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown] == [
        ["buy", "price", "sell"],
        ["62", "held"],
        ["61", "3"],
        ["60", "◂", "price"],
        ["2", "59"],
    ]


def test_show_ladder_counts_what_is_far_away(capsys: pytest.CaptureFixture[str]) -> None:
    rungs = [
        Rung(price=Decimal(price), side=Side.BUY, quantity=Decimal(1))
        for price in range(1, NEAREST + 4)
    ]
    show_ladder(rungs, Decimal(100))
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == NEAREST + 3
    assert "3 more, down to 1" in shown


@pytest.mark.parametrize("price", [None, Decimal(60)])
def test_show_ladder_without_rungs_says_so(
    capsys: pytest.CaptureFixture[str], price: Decimal | None
) -> None:
    show_ladder([], price)
    assert "no orders" in capsys.readouterr().out

"""The strongest word decides what may be wanted, and the first that holds what is said."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from grid.desired import Stance
from grid.phase import Phase, Stage
from ports.store import Desired, Status
from symbol_manager.course import Circumstances, stance_of, status_of
from symbol_manager.freshness import STALE
from symbol_manager.mailbox import Wishes
from unit.symbol_manager.factories import make_phase

WAITING = make_phase(Stage.WAITING, trigger_above=True)
CLOSING = make_phase(Stage.CLOSING, reason="stop-loss")
ENDED = make_phase(Stage.ENDED, reason="stop-loss")


def make_circumstances(
    desired: Desired = Desired.RUNNING, *, is_killed: bool = False, **changes: Any
) -> Circumstances:
    """A grid that trades with its orders out and nothing in its way."""
    fields: dict[str, Any] = {
        "phase": make_phase(),
        "cancels_for_stop": False,
        "halt_reason": "",
        "rules_reason": "",
        "has_price": True,
        "price_reason": "",
        "entries_locked": False,
        "idle_reason": "",
        "has_orders": True,
        "is_flat": False,
    }
    return Circumstances(wishes=Wishes(desired, is_killed), **fields | changes)


TRIGGERED = make_phase(reason="the trigger price was reached")
NORMAL = make_circumstances()
HALTED = {"halt_reason": "exchange: no answer"}
OLD = {"price_reason": STALE}


@pytest.mark.parametrize(
    ("now", "stance"),
    [
        pytest.param(NORMAL, Stance.TRADE, id="running"),
        pytest.param(make_circumstances(Desired.PAUSED), Stance.EXIT, id="paused"),
        pytest.param(make_circumstances(**HALTED), Stance.EXIT, id="halted"),
        pytest.param(make_circumstances(**OLD), Stance.EXIT, id="stale"),
        pytest.param(make_circumstances(entries_locked=True), Stance.TRADE, id="funds short"),
        pytest.param(make_circumstances(phase=WAITING), Stance.NOTHING, id="waiting"),
        pytest.param(make_circumstances(phase=CLOSING), Stance.FLATTEN, id="closing"),
        pytest.param(
            make_circumstances(phase=CLOSING, entries_locked=True),
            Stance.FLATTEN,
            id="closing with funds short",
        ),
        pytest.param(
            make_circumstances(Desired.PAUSED, phase=CLOSING), Stance.FLATTEN, id="closing paused"
        ),
        pytest.param(make_circumstances(phase=CLOSING, **OLD), Stance.EXIT, id="closing stale"),
        pytest.param(make_circumstances(phase=CLOSING, **HALTED), Stance.EXIT, id="closing halted"),
        pytest.param(make_circumstances(phase=ENDED), Stance.NOTHING, id="ended"),
        pytest.param(make_circumstances(phase=ENDED, **HALTED), Stance.NOTHING, id="ended halted"),
        pytest.param(make_circumstances(Desired.CLOSED), Stance.FLATTEN, id="closed"),
        pytest.param(make_circumstances(Desired.CLOSED, **OLD), Stance.EXIT, id="closed stale"),
        pytest.param(
            make_circumstances(Desired.CLOSED, phase=WAITING), Stance.FLATTEN, id="closed waiting"
        ),
        pytest.param(
            make_circumstances(Desired.CLOSED, phase=ENDED), Stance.FLATTEN, id="closed ended"
        ),
        pytest.param(make_circumstances(Desired.REMOVED), Stance.NOTHING, id="removed"),
        pytest.param(
            make_circumstances(Desired.REMOVED, phase=CLOSING), Stance.NOTHING, id="removed closing"
        ),
        pytest.param(make_circumstances(is_killed=True), Stance.NOTHING, id="killed"),
        pytest.param(
            make_circumstances(Desired.CLOSED, is_killed=True), Stance.NOTHING, id="killed closed"
        ),
        pytest.param(make_circumstances(cancels_for_stop=True), Stance.NOTHING, id="stopping"),
        pytest.param(
            make_circumstances(phase=CLOSING, cancels_for_stop=True),
            Stance.NOTHING,
            id="stopping closing",
        ),
    ],
)
def test_stance_of_circumstances_is_the_strongest_word(now: Circumstances, stance: Stance) -> None:
    assert stance_of(now) is stance


@pytest.mark.parametrize(
    ("now", "status", "reason"),
    [
        pytest.param(NORMAL, Status.RUNNING, "", id="running"),
        pytest.param(
            make_circumstances(entries_locked=True),
            Status.RUNNING,
            "entries wait: funds are short",
            id="funds short",
        ),
        pytest.param(
            make_circumstances(idle_reason="`order_size.amount` is small"),
            Status.RUNNING,
            "no entries: `order_size.amount` is small",
            id="nothing to open",
        ),
        pytest.param(make_circumstances(Desired.PAUSED), Status.PAUSED, "", id="paused"),
        pytest.param(
            make_circumstances(has_price=False, **OLD),
            Status.STARTING,
            "no price yet",
            id="no price",
        ),
        pytest.param(
            make_circumstances(**OLD),
            Status.HALTED,
            "no fresh price from the exchange",
            id="stale",
        ),
        pytest.param(
            make_circumstances(has_price=False, **HALTED),
            Status.HALTED,
            "exchange: no answer",
            id="halted without a price",
        ),
        pytest.param(
            make_circumstances(phase=WAITING, has_orders=False),
            Status.WAITING,
            "for the trigger price",
            id="waiting",
        ),
        pytest.param(
            make_circumstances(Desired.PAUSED, phase=WAITING, has_orders=False),
            Status.PAUSED,
            "waits for the trigger price",
            id="waiting paused",
        ),
        pytest.param(
            make_circumstances(Desired.PAUSED, phase=TRIGGERED),
            Status.PAUSED,
            "the trigger price was reached: trades at once when resumed",
            id="triggered while paused",
        ),
        pytest.param(make_circumstances(phase=TRIGGERED), Status.RUNNING, "", id="triggered"),
        pytest.param(make_circumstances(phase=CLOSING), Status.CLOSING, "stop-loss", id="closing"),
        pytest.param(
            make_circumstances(Desired.PAUSED, phase=CLOSING),
            Status.CLOSING,
            "stop-loss",
            id="closing paused",
        ),
        pytest.param(
            make_circumstances(phase=CLOSING, has_orders=False),
            Status.CLOSING,
            "stop-loss",
            id="closing with nothing out",
        ),
        pytest.param(
            make_circumstances(phase=ENDED), Status.CLOSING, "stop-loss", id="ended with orders"
        ),
        pytest.param(
            make_circumstances(phase=ENDED, has_orders=False),
            Status.STOPPED,
            "stop-loss",
            id="ended",
        ),
        pytest.param(
            make_circumstances(Desired.PAUSED, phase=ENDED, has_orders=False),
            Status.STOPPED,
            "stop-loss",
            id="ended paused",
        ),
        pytest.param(
            make_circumstances(Desired.CLOSED),
            Status.REMOVING,
            "closing the inventory",
            id="closed",
        ),
        pytest.param(
            make_circumstances(Desired.CLOSED, is_flat=True),
            Status.REMOVING,
            "closing the inventory",
            id="closed and flat with orders",
        ),
        pytest.param(
            make_circumstances(Desired.CLOSED, has_orders=False),
            Status.REMOVING,
            "closing the inventory",
            id="closed with nothing out",
        ),
        pytest.param(
            make_circumstances(Desired.CLOSED, is_flat=True, has_orders=False),
            Status.REMOVED,
            "inventory closed",
            id="closed and flat",
        ),
        pytest.param(
            make_circumstances(Desired.CLOSED, **HALTED),
            Status.HALTED,
            "exchange: no answer",
            id="closed halted",
        ),
        pytest.param(
            make_circumstances(Desired.REMOVED), Status.REMOVING, "cancelling", id="removing"
        ),
        pytest.param(
            make_circumstances(Desired.REMOVED, has_orders=False, **HALTED),
            Status.REMOVED,
            "",
            id="removed",
        ),
        pytest.param(
            make_circumstances(is_killed=True),
            Status.HALTED,
            "kill switch: cancelling",
            id="killed with orders",
        ),
        pytest.param(
            make_circumstances(is_killed=True, has_orders=False),
            Status.STOPPED,
            "kill switch",
            id="killed",
        ),
        pytest.param(
            make_circumstances(Desired.CLOSED, is_killed=True, has_orders=False, is_flat=True),
            Status.STOPPED,
            "kill switch",
            id="killed closed",
        ),
        pytest.param(
            make_circumstances(Desired.REMOVED, is_killed=True, has_orders=False),
            Status.REMOVED,
            "",
            id="killed removed",
        ),
    ],
)
def test_status_of_circumstances_is_the_first_that_holds(
    now: Circumstances, status: Status, reason: str
) -> None:
    assert status_of(now) == (status, reason)


BOOLEANS = (False, True)
ALL = [
    make_circumstances(
        desired,
        is_killed=is_killed,
        phase=phase,
        cancels_for_stop=cancels_for_stop,
        halt_reason=halt_reason,
        price_reason=price_reason,
        entries_locked=entries_locked,
        has_orders=has_orders,
        is_flat=is_flat,
    )
    for (
        desired,
        phase,
        halt_reason,
        price_reason,
        is_killed,
        cancels_for_stop,
        entries_locked,
        has_orders,
        is_flat,
    ) in product(
        Desired,
        (make_phase(), WAITING, CLOSING, ENDED),
        ("", "broken"),
        ("", STALE),
        *[BOOLEANS] * 5,
    )
]


def test_stance_of_anything_in_the_way_is_never_to_trade() -> None:
    trading = [now for now in ALL if stance_of(now) is Stance.TRADE]
    assert {(now.wishes, now.phase) for now in trading} == {(NORMAL.wishes, NORMAL.phase)}
    assert not any(now.halt_reason or now.price_reason or now.cancels_for_stop for now in trading)


def test_status_of_removed_is_said_only_when_no_order_is_left() -> None:
    removed = [now for now in ALL if status_of(now)[0] is Status.REMOVED]
    assert {now.wishes.desired for now in removed} == {Desired.CLOSED, Desired.REMOVED}
    assert not any(now.has_orders for now in removed)
    assert all(now.is_flat for now in removed if now.wishes.desired is Desired.CLOSED)


@pytest.mark.parametrize("phase", [WAITING, CLOSING, ENDED])
def test_status_of_a_grid_that_does_not_run_never_says_so(phase: Phase) -> None:
    statuses = {status_of(now)[0] for now in ALL if now.phase == phase}
    assert Status.RUNNING not in statuses

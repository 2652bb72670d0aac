"""An order's state is a merge of reports: any order of them, any number of times."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvariantViolation
from domain.ids import ClientOrderId, OrderTag, Purpose, Side, SlotId, VenueOrderId
from domain.orders import (
    LIVE_STATUSES,
    Absent,
    Cancelled,
    Filled,
    Intended,
    Intent,
    Open,
    Order,
    OrderState,
    PartiallyFilled,
    Rejected,
    Sent,
    Unknown,
    VenueStatus,
    merge_report,
)

QUANTITY_LOTS = 10
VENUE_ID = VenueOrderId("v1")
OPEN, FILLED = VenueStatus.OPEN, VenueStatus.FILLED
CANCELLED, REJECTED = VenueStatus.CANCELLED, VenueStatus.REJECTED

Report = tuple[VenueStatus, int]


def make_order(state: OrderState) -> Order:
    tag = OrderTag(
        nonce=1,
        shard=1,
        slot=SlotId(0, 0),
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        generation=1,
    )
    intent = Intent(
        client_order_id=ClientOrderId("c1"), tag=tag, price_ticks=1, quantity_lots=QUANTITY_LOTS
    )
    return Order(intent=intent, state=state)


def merge(order: Order, reports: Sequence[Report]) -> Order:
    for status, filled in reports:
        order = merge_report(order, status, VENUE_ID, filled)
    return order


UNCONFIRMED = [
    pytest.param(Intended(), id="intended"),
    pytest.param(Sent(), id="sent"),
    pytest.param(Unknown("timeout"), id="unknown"),
    pytest.param(Absent("not found"), id="absent"),
]


@pytest.mark.parametrize("state", UNCONFIRMED)
@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param((OPEN, 0), Open(VENUE_ID), id="rests"),
        pytest.param((OPEN, 4), PartiallyFilled(VENUE_ID, 4), id="partly filled"),
        pytest.param((FILLED, 10), Filled(VENUE_ID, 10), id="filled"),
        pytest.param((OPEN, 10), Filled(VENUE_ID, 10), id="filled, told as open"),
        pytest.param((CANCELLED, 0), Cancelled(VENUE_ID, 0), id="cancelled"),
        pytest.param((CANCELLED, 4), Cancelled(VENUE_ID, 4), id="cancelled after a part"),
        pytest.param((REJECTED, 0), Rejected("refused by the venue"), id="rejected"),
    ],
)
def test_merge_report_first_report_decides(
    state: OrderState, report: Report, expected: OrderState
) -> None:
    assert merge(make_order(state), [report]).state == expected


@pytest.mark.parametrize(
    ("state", "report", "expected"),
    [
        pytest.param(Open(VENUE_ID), (OPEN, 0), Open(VENUE_ID), id="open, again"),
        pytest.param(
            Open(VENUE_ID), (OPEN, 3), PartiallyFilled(VENUE_ID, 3), id="open, partly filled"
        ),
        pytest.param(
            PartiallyFilled(VENUE_ID, 5),
            (OPEN, 3),
            PartiallyFilled(VENUE_ID, 5),
            id="part, an older part",
        ),
        pytest.param(
            PartiallyFilled(VENUE_ID, 5),
            (CANCELLED, 3),
            Cancelled(VENUE_ID, 5),
            id="part, cancelled with an older part",
        ),
        pytest.param(
            PartiallyFilled(VENUE_ID, 5), (FILLED, 10), Filled(VENUE_ID, 10), id="part, filled"
        ),
        pytest.param(
            Cancelled(VENUE_ID, 0), (OPEN, 0), Cancelled(VENUE_ID, 0), id="cancelled, late open"
        ),
        pytest.param(
            Cancelled(VENUE_ID, 2), (OPEN, 6), Cancelled(VENUE_ID, 6), id="cancelled, late fill"
        ),
        pytest.param(
            Cancelled(VENUE_ID, 2), (FILLED, 10), Filled(VENUE_ID, 10), id="cancelled, filled"
        ),
        pytest.param(Filled(VENUE_ID, 10), (OPEN, 3), Filled(VENUE_ID, 10), id="filled, late part"),
        pytest.param(
            Filled(VENUE_ID, 10), (CANCELLED, 0), Filled(VENUE_ID, 10), id="filled, late cancel"
        ),
    ],
)
def test_merge_report_known_order_only_moves_on(
    state: OrderState, report: Report, expected: OrderState
) -> None:
    assert merge(make_order(state), [report]).state == expected


@pytest.mark.parametrize("state", [PartiallyFilled(VENUE_ID, 4), Cancelled(VENUE_ID, 4)])
def test_merge_report_rejected_after_a_fill_keeps_the_fill(state: OrderState) -> None:
    assert merge(make_order(state), [(REJECTED, 0)]).filled_lots == 4


@pytest.mark.parametrize("state", [Open(VENUE_ID), Cancelled(VENUE_ID, 2), Filled(VENUE_ID, 10)])
def test_merge_report_more_than_the_quantity_raises(state: OrderState) -> None:
    with pytest.raises(InvariantViolation, match="filled 11 lots of 10"):
        merge(make_order(state), [(OPEN, 11)])


@st.composite
def tellings(draw: st.DrawFn) -> tuple[list[Report], list[Report]]:
    """The reports of one order's life as it was, and as they may come in."""
    parts = sorted(draw(st.sets(st.integers(1, QUANTITY_LOTS))))
    reports: list[Report] = [(OPEN, 0), *((OPEN, part) for part in parts)]
    last = parts[-1] if parts else 0
    if last == QUANTITY_LOTS:
        reports.append((FILLED, last))
    elif draw(st.booleans()):
        reports.append((CANCELLED, last))
    repeated = draw(st.lists(st.sampled_from(reports)))
    return reports, draw(st.permutations(reports + repeated))


@given(tellings())
def test_merge_report_any_telling_ends_in_the_same_state(
    telling: tuple[list[Report], list[Report]],
) -> None:
    as_it_was, as_it_came = telling
    order = make_order(Intended())
    assert merge(order, as_it_came) == merge(order, as_it_was)


@given(tellings())
def test_merge_report_any_telling_fills_monotonously_and_ends_once(
    telling: tuple[list[Report], list[Report]],
) -> None:
    order = make_order(Unknown("timeout"))
    for report in telling[1]:
        merged = merge(order, [report])
        assert merged.filled_lots >= order.filled_lots
        if isinstance(order.state, Filled | Cancelled):
            assert not merged.is_live
        order = merged


@pytest.mark.parametrize(
    ("state", "remaining"),
    [
        pytest.param(Intended(), 10, id="intended"),
        pytest.param(Sent(), 10, id="sent"),
        pytest.param(Unknown("timeout"), 10, id="unknown"),
        pytest.param(Open(VENUE_ID), 10, id="open"),
        pytest.param(PartiallyFilled(VENUE_ID, 4), 6, id="partly filled"),
        pytest.param(Filled(VENUE_ID, 10), 0, id="filled"),
        pytest.param(Cancelled(VENUE_ID, 4), 0, id="cancelled"),
        pytest.param(Rejected("no"), 0, id="rejected"),
        pytest.param(Absent("no"), 0, id="absent"),
    ],
)
def test_order_remaining_lots_are_what_may_still_fill(state: OrderState, remaining: int) -> None:
    order = make_order(state)
    assert order.remaining_lots == remaining
    assert order.is_live is (order.status in LIVE_STATUSES) is (remaining > 0)

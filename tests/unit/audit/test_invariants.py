"""Planted bugs: each is seen by exactly the invariant that should see it."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.database import Database, Intent, Slot
from audit.invariants import Evidence, check_all
from audit.invariants.convergence import check_convergence
from domain.ids import OrderTag, Purpose, Side, SlotId
from unit.audit.dataset import (
    LADDERS,
    NONCE,
    TICK,
    UNIT,
    client_id,
    empty_slot,
    make_world,
)
from unit.audit.planted import (
    PLANTED,
    is_external,
    no_live_orders,
    setting,
    violated,
    with_database,
    with_order,
)


@given(seed=st.integers(0, 2**32))
def test_clean_data_violates_nothing(seed: int) -> None:
    results = check_all(make_world(seed).evidence())

    assert [str(violation) for result in results for violation in result.violations] == []
    assert all(count > 0 for result in results for count in result.checked.values())


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_violates_exactly_its_invariant(name: str) -> None:
    invariant, plant = PLANTED[name]

    assert violated(plant(make_world(1).evidence(), random.Random(1))) == {invariant}


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(PLANTED)))
def test_planted_bug_in_any_data_violates_exactly_its_invariant(seed: int, name: str) -> None:
    invariant, plant = PLANTED[name]

    assert violated(plant(make_world(seed).evidence(), random.Random(seed))) == {invariant}


#: Every column that a bug could get wrong, but for those that only say how to look at the rest.
AUDITED = {
    "intents": (
        "client_order_id",
        "shard",
        "ladder_version",
        "slot",
        "purpose",
        "side",
        "generation",
        "price",
        "quantity",
        "status",
        "filled",
    ),
    "fills": (
        "symbol",
        "trade_id",
        "venue_order_id",
        "client_order_id",
        "origin",
        "side",
        "price",
        "quantity",
        "fee",
        "fee_asset",
    ),
    "slots": ("inventory", "cost", "closed_cost", "proceeds"),
    "pairs": ("shard", "ladder_version", "slot", "cost", "proceeds", "profit"),
    "openings": ("asset", "amount"),
    "adoptions": ("quantity", "cost"),
    "shards": ("symbol", "status"),
    "ladders": ("anchor", "spacing"),
}


def altered(value: object, number: int, unit: Decimal) -> object:
    match value:
        case Decimal():
            return value + unit * number
        case int():
            # Stays a shard that exists where it is one.
            return 3 - value if value in {1, 2} else value + number
        case str() | None:
            return f"{value}{number}"
        case _:
            return {"kind": "arithmetic", "step": str(50 + number)}


def is_free(row: object, name: str) -> bool:
    """Of an order that never arrived nobody else knows price and quantity."""
    return isinstance(row, Intent) and row.status == "absent" and name in {"price", "quantity"}


@given(data=st.data(), seed=st.integers(0, 2**32), number=st.integers(1, 1_000))
def test_any_altered_value_is_found(data: st.DataObject, seed: int, number: int) -> None:
    evidence = make_world(seed).evidence()
    table = data.draw(st.sampled_from(sorted(AUDITED)))
    name = data.draw(st.sampled_from(AUDITED[table]))
    rows = list(getattr(evidence.database, table))
    places = [place for place, row in enumerate(rows) if not is_free(row, name)]
    place = data.draw(st.sampled_from(places))
    # An anchor between two ticks makes the same ladder as the tick below.
    value = altered(getattr(rows[place], name), number, TICK if name == "anchor" else UNIT)
    rows[place] = replace(rows[place], **{name: value})

    assert violated(with_database(evidence, **{table: tuple(rows)}))


@given(data=st.data(), seed=st.integers(0, 2**32))
def test_any_lost_row_with_an_effect_is_found(data: st.DataObject, seed: int) -> None:
    """A slot that never traded and an order that never arrived have none."""
    evidence = make_world(seed).evidence()
    table = data.draw(
        st.sampled_from(("ladders", "intents", "fills", "slots", "adoptions", "pairs", "openings"))
    )
    rows = [
        row
        for row in getattr(evidence.database, table)
        if not (isinstance(row, Intent) and row.status == "absent")
        and not (isinstance(row, Slot) and row == empty_slot(row.shard, row.slot))
        and not (isinstance(row, Slot) and not row.inventory and not row.cost)
    ]
    del rows[data.draw(st.integers(0, len(rows) - 1))]

    lost = with_database(evidence, **{table: tuple(rows)})
    assert violated(lost)


def test_persons_trade_before_the_symbol_was_added_needs_no_fill() -> None:
    world = make_world(3)
    evidence = world.evidence()
    (external, *_) = [fill for fill in world.fills if is_external(fill)]
    late = tuple(
        replace(shard, created_ms=world.now_ms, status="starting")
        for shard in evidence.database.shards
    )
    fills = tuple(fill for fill in world.fills if fill is not external)
    booked = dict(world.booked)
    sign = 1 if external.side == "buy" else -1
    shard = world.shards[external.shard]
    booked[shard.base] -= sign * external.quantity
    booked[shard.quote] += sign * external.quantity * external.price
    booked[external.fee_asset] += external.fee

    # The trade moved the balance, and was not ours to book.
    assert violated(with_database(evidence, fills=fills, booked=booked)) == {"I3", "I8"}
    added_late = with_database(evidence, fills=fills, booked=booked, shards=late)
    assert violated(added_late) == {"I7"}


def test_part_of_a_lot_filled_under_finer_rules_counts_as_none() -> None:
    evidence = make_world(3).evidence()
    intents = list(evidence.database.intents)
    place = next(at for at, intent in enumerate(intents) if intent.filled)
    lot_size = intents[place].filled - UNIT
    intents[place] = replace(intents[place], filled=lot_size)
    assert violated(with_database(evidence, intents=tuple(intents))) == {"I3"}

    intents[place] = replace(intents[place], lot_size=lot_size)
    assert violated(with_database(evidence, intents=tuple(intents))) == set()


def test_killed_installation_is_expected_to_stand_still() -> None:
    evidence = make_world(4).evidence()
    stopped = setting("shards", status="stopped")
    rng = random.Random(0)
    all_stopped = with_database(
        evidence,
        is_killed=True,
        shards=tuple(replace(shard, status="stopped") for shard in evidence.database.shards),
    )

    assert violated(no_live_orders(all_stopped, rng)) == set()
    assert violated(all_stopped) == {"I7"}
    assert violated(stopped(no_live_orders(evidence, rng), rng)) == {"I7"}


@pytest.mark.parametrize(
    ("status", "kept"),
    [("removed", ()), ("stopped", ()), ("paused", ("exit", "flatten", "stop"))],
)
def test_symbol_that_is_not_to_trade_leaves_only_what_gets_rid_of_its_inventory(
    status: str, kept: tuple[str, ...]
) -> None:
    evidence = make_world(4).evidence()
    shards = tuple(
        replace(each, desired=status, status=status) for each in evidence.database.shards
    )
    resting = {tag.purpose for order, tag in evidence.tagged_orders if order.is_open}
    assert {"entry", "exit"} <= resting
    result = check_convergence(with_database(evidence, shards=shards))
    accused = {violation.subject for violation in result.violations}
    assert accused == {
        f"order {order.client_order_id} of {shard.symbol}"
        for order, tag in evidence.tagged_orders
        for shard in shards
        if order.is_open and tag.shard == shard.shard and tag.purpose not in kept
    }


@pytest.mark.parametrize(
    ("stage", "status", "has_orders"),
    [
        pytest.param("waiting", "waiting", False, id="waiting"),
        pytest.param("running", "running", True, id="running"),
        pytest.param("closing", "closing", True, id="closing"),
        pytest.param("closing", "closing", False, id="closing with nothing out"),
        pytest.param("ended", "stopped", False, id="ended"),
    ],
)
def test_symbol_is_expected_to_do_what_its_grids_stage_says(
    stage: str, status: str, has_orders: bool
) -> None:
    evidence = make_world(4).evidence()
    if not has_orders:
        evidence = no_live_orders(evidence, random.Random(0))

    def with_status(shown: str) -> Evidence:
        return with_database(
            evidence,
            shards=tuple(
                replace(shard, stage=stage, status=shown) for shard in evidence.database.shards
            ),
        )

    assert violated(with_status(status)) == set()
    for other in {"waiting", "running", "closing", "stopped", "paused"} - {status}:
        assert violated(with_status(other)) == {"I7"}


def test_exit_of_a_short_slot_may_be_cheaper_than_its_level_and_no_dearer() -> None:
    evidence = make_world(4).evidence()
    intent = next(
        intent
        for intent in evidence.database.intents
        if intent.purpose == "exit" and intent.side == "buy" and intent.status != "filled"
    )

    def priced(price: Decimal) -> Evidence:
        exchange = evidence.exchange
        orders = tuple(
            replace(order, price=price)
            if order.client_order_id == intent.client_order_id
            else order
            for order in exchange.orders
        )
        intents = tuple(
            replace(other, price=price) if other is intent else other
            for other in evidence.database.intents
        )
        moved = replace(evidence, exchange=replace(exchange, orders=orders))
        return with_database(moved, intents=intents)

    assert violated(priced(intent.price - TICK)) == set()
    assert violated(priced(intent.price + TICK)) == {"I7"}


def test_order_of_a_former_ladder_is_measured_by_that_ladder() -> None:
    """Version 1 lies half a step higher; the orders of version 0 keep their levels."""
    world = make_world(4)
    first = world.ladders[0]
    moved = replace(first, version=1, anchor=first.anchor + 25)

    assert violated(with_database(world.evidence(), ladders=(*world.ladders, moved))) == set()
    renamed = replace(first, version=1), replace(moved, version=0), *world.ladders[1:]
    assert violated(with_database(world.evidence(), ladders=renamed)) == {"I7"}


def test_removed_symbol_is_not_expected_to_trade() -> None:
    evidence = no_live_orders(make_world(5).evidence(), random.Random(0))
    removed = tuple(
        replace(shard, desired="removed", status="removed") for shard in evidence.database.shards
    )

    assert violated(with_database(evidence, shards=removed)) == set()


def test_changed_tick_size_keeps_both_roundings_of_a_level() -> None:
    evidence = make_world(6).evidence()
    ladders = evidence.database.ladders
    both = tuple(replace(ladder, tick_sizes=(Decimal("0.1"), TICK)) for ladder in ladders)

    assert violated(with_database(evidence, ladders=both)) == set()
    coarse = tuple(replace(ladder, tick_sizes=(Decimal(7),)) for ladder in ladders)
    assert violated(with_database(evidence, ladders=coarse)) == {"I7"}


def test_ladder_version_made_anew_does_not_judge_the_orders_before() -> None:
    evidence = make_world(6).evidence()
    last_ms = max(order.accepted_ms for order in evidence.exchange.orders)
    moved = [replace(ladder, anchor=ladder.anchor + TICK) for ladder in evidence.database.ladders]

    anew = tuple(replace(ladder, made_ms=last_ms + 1) for ladder in moved)
    assert violated(with_database(evidence, ladders=anew)) == set()
    assert violated(with_database(evidence, ladders=tuple(moved))) == {"I7"}


def test_nothing_to_check_is_shown_as_zero() -> None:
    evidence = make_world(7).evidence()
    exchange = replace(evidence.exchange, orders=(), trades=(), transfers=())
    empty = Database(
        nonce=None,
        is_killed=False,
        shards=(),
        ladders=(),
        intents=(),
        fills=(),
        slots=(),
        pairs=(),
        openings=(),
        booked={},
        workflows={},
    )

    results = check_all(Evidence(exchange, empty))

    assert {result.name: result.checked_count for result in results} == dict.fromkeys(
        ("I1", "I2", "I3", "I4", "I7", "I8", "I10"), 0
    )
    assert {result.name for result in results if not result.ok} == {"I1", "I2", "I3"}


def test_levels_agree_with_the_grids_own_at_the_ends_of_the_ladder() -> None:
    """Both ladders of the data set, far from the anchor, where rounding would show."""
    evidence = make_world(9).evidence()
    order = next(o for o in evidence.exchange.orders if o.is_open and o.side == "buy")
    for shard in evidence.database.shards:
        for slot in (-1100, -513, 2047, 4000):
            tag = OrderTag(
                nonce=NONCE,
                shard=shard.shard,
                slot=SlotId(0, slot),
                purpose=Purpose.ENTRY,
                side=Side.BUY,
                generation=1,
            )
            placed = replace(
                order,
                symbol=shard.symbol,
                client_order_id=client_id(tag),
                price=LADDERS[shard.symbol].price_ticks(slot) * TICK,
            )
            assert violated(with_order(evidence, placed)) == {"I2"}
            off = replace(placed, price=placed.price + TICK)
            assert violated(with_order(evidence, off)) == {"I2", "I7"}

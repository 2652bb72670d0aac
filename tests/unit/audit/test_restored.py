"""A database that was rebuilt from the exchange is judged as such, and no more leniently."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest

from audit.database import Restoration
from audit.invariants import Evidence, check_all
from domain.ids import OrderTag, Purpose, Side, SlotId
from unit.audit.dataset import NONCE, client_id, make_world
from unit.audit.planted import setting, violated, with_database, with_order


def restored(seed: int = 1, since_ms: int | None = None) -> Evidence:
    """All that the exchange tells, written down after it happened."""
    world = make_world(seed)
    now_ms = world.pass_time()
    evidence = world.evidence()
    intents = tuple(
        replace(intent, restored=True, committed_ms=now_ms)
        for intent in evidence.database.intents
        if intent.client_order_id in evidence.orders
    )
    restoration = Restoration(restored_ms=now_ms, since_ms=since_ms)
    return with_database(evidence, intents=intents, restoration=restoration)


def test_restored_orders_are_counted_apart_and_violate_nothing() -> None:
    evidence = restored()
    results = check_all(evidence)
    assert [str(violation) for result in results for violation in result.violations] == []
    (single, intents, *_) = results
    assert single.checked["restored"] == len(evidence.database.intents)
    assert intents.checked["left out by a restoration"] == 0


def test_order_that_is_not_marked_as_restored_came_too_early() -> None:
    plant = setting("intents", restored=False)
    assert violated(plant(restored(), random.Random(0))) == {"I1"}


def test_order_accepted_after_its_restoration_had_no_intent() -> None:
    plant = setting("intents", committed_ms=0)
    assert violated(plant(restored(), random.Random(0))) == {"I1"}


@pytest.mark.parametrize(
    ("shard", "since", "ended", "expected"),
    [
        pytest.param(99, None, -1, set(), id="of a removed shard"),
        pytest.param(99, None, None, {"I2", "I7"}, id="of a removed shard, resting"),
        pytest.param(99, None, 1, {"I2", "I7"}, id="of a removed shard, ended later"),
        pytest.param(1, None, -1, {"I2"}, id="of a shard that is there"),
        pytest.param(1, 0, -1, set(), id="older than what was restored"),
        pytest.param(1, -2, -1, {"I2"}, id="younger than that"),
    ],
)
def test_order_without_an_intent_may_be_left_out_only_by_rule(
    shard: int, since: int | None, ended: int | None, expected: set[str]
) -> None:
    evidence = restored()
    now_ms = evidence.database.restoration.restored_ms if evidence.database.restoration else 0
    since_ms = None if since is None else now_ms + since
    evidence = with_database(
        evidence, restoration=Restoration(restored_ms=now_ms, since_ms=since_ms)
    )
    known = next(order for order in evidence.exchange.orders if order.symbol == "BTCUSDT")
    tag = OrderTag(
        nonce=NONCE,
        shard=shard,
        slot=SlotId(0, -200),
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        generation=1,
    )
    order = replace(
        known,
        order_id="forgotten",
        client_order_id=client_id(tag),
        side="buy",
        price=Decimal(50_000),
        filled=Decimal(0),
        ended_seq=None if ended is None else known.accepted_seq + 1,
        ended_ms=None if ended is None else now_ms + ended,
    )
    assert violated(with_order(evidence, order)) == expected

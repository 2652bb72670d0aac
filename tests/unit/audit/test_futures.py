"""A futures account: positions, wallet and funding, each with a bug that must be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from audit.database import Adoption, Database, Fill, Intent, Opening, Pair, Shard, Slot
from audit.exchange import FUTURES, LedgerFold
from audit.invariants import Evidence, check_all
from audit.invariants.balances import check_balances
from audit.invariants.fills import check_fills
from audit.invariants.orders import check_intents
from domain.ids import OrderTag, Purpose, Side, SlotId
from unit.audit.dataset import NONCE, client_id

START_MS = 1_700_000_000_000
ENTRY, EXIT = (
    client_id(
        OrderTag(
            nonce=NONCE,
            shard=1,
            slot=SlotId(0, -1),
            purpose=purpose,
            side=side,
            generation=1,
        )
    )
    for purpose, side in ((Purpose.ENTRY, Side.BUY), (Purpose.EXIT, Side.SELL))
)
LIQUIDATION = "autoclose-1"


def records() -> list[dict[str, Any]]:
    """0.3 bought, funding paid, 0.2 sold again; then a deposit, and 0.1 is liquidated."""
    fee = {"fee_asset": "USDT"}
    steps: list[dict[str, Any]] = [
        {"kind": "deposited", "market": "spot", "asset": "USDT", "amount": "77"},
        {"kind": "deposited", "asset": "USDT", "amount": "1000"},
        {"kind": "position_configured", "symbol": "BTCUSDT", "leverage": 2, "isolated": False},
        order(ENTRY, 1, "BUY", "0.3", "100"),
        fill(ENTRY, 1, "BUY", "0.3", "100", realised="0", fee="0.03") | fee,
        {"kind": "funding_settled", "symbol": "BTCUSDT", "rate": "0.001"},
        {"kind": "funding_paid", "symbol": "BTCUSDT", "asset": "USDT", "amount": "-0.03"},
        order(EXIT, 2, "SELL", "0.3", "110") | {"reduce_only": True},
        fill(EXIT, 2, "SELL", "0.2", "110", realised="2", fee="0.02") | fee,
        {"kind": "deposited", "asset": "USDT", "amount": "5"},
        order(LIQUIDATION, 3, "SELL", "0.1", "50") | {"reduce_only": True},
        fill(LIQUIDATION, 3, "SELL", "0.1", "50", realised="-5", fee="0") | fee,
    ]
    common = {"market": "futures", "account": "main"}
    return [
        {**common, "seq": seq, "written_ms": START_MS + seq, "time_ms": START_MS + seq} | step
        for seq, step in enumerate(steps, start=1)
    ]


def order(name: str, order_id: int, side: str, quantity: str, price: str) -> dict[str, Any]:
    return {
        "kind": "order_accepted",
        "symbol": "BTCUSDT",
        "order_id": order_id,
        "client_order_id": name,
        "side": side,
        "quantity": quantity,
        "price": price,
        "reduce_only": False,
    }


def fill(
    name: str, order_id: int, side: str, quantity: str, price: str, **amounts: str
) -> dict[str, Any]:
    quote = str(Decimal(quantity) * Decimal(price))
    return order(name, order_id, side, quantity, price) | {
        "kind": "order_filled",
        "trade_id": 10 + order_id,
        "quote": quote,
        **amounts,
    }


def intent(name: str, purpose: str, side: str, price: str, **changes: Any) -> Intent:
    values: dict[str, Any] = {
        "client_order_id": name,
        "shard": 1,
        "ladder_version": 0,
        "slot": -1,
        "purpose": purpose,
        "side": side,
        "generation": 1,
        "price": Decimal(price),
        "quantity": Decimal("0.3"),
        "status": "filled",
        "filled": Decimal("0.3"),
        "committed_ms": START_MS,
    }
    return Intent(**values | changes)


def recorded(order_id: int, name: str | None, side: str, quantity: str, **amounts: str) -> Fill:
    exact = {key: Decimal(amount) for key, amount in amounts.items()}
    return Fill(
        symbol="BTCUSDT",
        trade_id=str(10 + order_id),
        shard=1,
        venue_order_id=str(order_id),
        client_order_id=name,
        origin="own" if name else "external",
        side=side,
        quantity=Decimal(quantity),
        fee_asset="USDT",
        **exact,
    )


def clean() -> Evidence:
    ledger = LedgerFold(market=FUTURES)
    ledger.add(records())
    shard = Shard(
        shard=1,
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        desired="removed",
        status="removed",
        status_reason="",
        stage="running",
        created_ms=START_MS,
        ended_ms=None,
    )
    slot = Slot(
        shard=1,
        ladder_version=0,
        slot=-1,
        inventory=Decimal("0.1"),
        cost=Decimal("10.01"),
        closed_cost=Decimal("20.02"),
        proceeds=Decimal("21.98"),
    )
    no_pairs: tuple[Pair, ...] = ()
    database = Database(
        nonce=NONCE,
        is_killed=False,
        shards=(shard,),
        ladders=(),
        intents=(
            intent(ENTRY, "entry", "buy", "100"),
            intent(
                EXIT,
                "exit",
                "sell",
                "110",
                reduce_only=True,
                status="partially_filled",
                filled=Decimal("0.2"),
            ),
        ),
        fills=(
            recorded(1, ENTRY, "buy", "0.3", price="100", fee="0.03"),
            recorded(2, EXIT, "sell", "0.2", price="110", fee="0.02", realised="2"),
            recorded(3, None, "sell", "0.1", price="50", fee="0", realised="-5"),
        ),
        slots=(slot,),
        pairs=no_pairs,
        openings=(
            Opening(
                asset="USDT",
                amount=Decimal(1000),
                recorded_ms=START_MS + 2,
                income_ms=START_MS + 2,
            ),
        ),
        booked={"USDT": Decimal("1.92")},
        funding={"BTCUSDT": Decimal("-0.03")},
        workflows={},
    )
    return Evidence(ledger.snapshot(), database)


def with_database(evidence: Evidence, **changes: Any) -> Evidence:
    return replace(evidence, database=replace(evidence.database, **changes))


def test_account_of_which_everything_is_recorded_is_clean() -> None:
    evidence = clean()
    assert evidence.exchange.balance("USDT") == Decimal("1001.92")
    for check in (check_fills, check_balances, check_intents):
        assert check(evidence).violations == ()


def slot_that_lost_a_lot(evidence: Evidence) -> Evidence:
    slots = tuple(
        replace(slot, inventory=slot.inventory - Decimal("0.001"))
        for slot in evidence.database.slots
    )
    return with_database(evidence, slots=slots)


def position_that_was_never_there(evidence: Evidence) -> Evidence:
    shards = tuple(
        replace(each, found_position=Decimal("0.1")) for each in evidence.database.shards
    )
    return with_database(evidence, shards=shards)


def adoption_without_a_position(evidence: Evidence) -> Evidence:
    """The liquidation left no position, and a slot says that it took one over."""
    adopted = Adoption(shard=1, ladder_version=0, slot=-1, quantity=Decimal(1), cost=Decimal(100))
    return with_database(evidence, adoptions=(adopted,))


def funding_booked_twice(evidence: Evidence) -> Evidence:
    return with_database(
        evidence, funding={"BTCUSDT": Decimal("-0.06")}, booked={"USDT": Decimal("1.89")}
    )


def funding_never_booked(evidence: Evidence) -> Evidence:
    return with_database(evidence, funding={}, booked={"USDT": Decimal("1.95")})


def transfer_never_booked(evidence: Evidence) -> Evidence:
    return with_database(evidence, booked={"USDT": Decimal("-3.08")})


def liquidation_never_recorded(evidence: Evidence) -> Evidence:
    return with_database(evidence, fills=evidence.database.fills[:2])


def exit_that_was_plain(evidence: Evidence) -> Evidence:
    intents = tuple(replace(each, reduce_only=False) for each in evidence.database.intents)
    return with_database(evidence, intents=intents)


def realised_profit_forgotten(evidence: Evidence) -> Evidence:
    fills = tuple(replace(each, realised=Decimal(0)) for each in evidence.database.fills)
    return with_database(evidence, fills=fills)


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (slot_that_lost_a_lot, {("I3", "inventory of shard 1 ladder 0 slot -1")}),
        (position_that_was_never_there, {("I3", "position of BTCUSDT")}),
        (adoption_without_a_position, {("I8", "adopted BTCUSDT")}),
        (funding_booked_twice, {("I8", "funding of BTCUSDT"), ("I8", "asset USDT")}),
        (funding_never_booked, {("I8", "funding of BTCUSDT"), ("I8", "asset USDT")}),
        (transfer_never_booked, {("I8", "asset USDT")}),
        (liquidation_never_recorded, {("I3", "trade BTCUSDT 13"), ("I3", "position of BTCUSDT")}),
        (exit_that_was_plain, {("I2", f"order {EXIT}")}),
        (realised_profit_forgotten, {("I3", "trade BTCUSDT 12"), ("I3", "trade BTCUSDT 13")}),
    ],
)
def test_planted_bug_is_seen(
    plant: Callable[[Evidence], Evidence], seen: set[tuple[str, str]]
) -> None:
    found = {
        (violation.invariant, violation.subject)
        for result in check_all(plant(clean()))
        for violation in result.violations
    }
    assert seen <= found

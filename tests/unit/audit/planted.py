"""Bugs to plant in a clean data set, each with the invariant that should see it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from audit.database import Fill, Intent
from audit.exchange import ExchangeOrder
from audit.invariants import Evidence, check_all
from domain.ids import OrderTag, Purpose, Side, SlotId
from unit.audit.dataset import LOT, NONCE, REQUESTS, TICK, UNIT, client_id

Plant = Callable[[Evidence, random.Random], Evidence]


def violated(evidence: Evidence) -> set[str]:
    return {
        violation.invariant for result in check_all(evidence) for violation in result.violations
    }


def with_database(evidence: Evidence, **changes: Any) -> Evidence:
    return replace(evidence, database=replace(evidence.database, **changes))


def with_order(evidence: Evidence, order: ExchangeOrder) -> Evidence:
    exchange = evidence.exchange
    return replace(evidence, exchange=replace(exchange, orders=(*exchange.orders, order)))


def changing(rows: str, change: Callable[[Any, random.Random], Any], only: Any = None) -> Plant:
    """Plant one changed row in one of the database's tables."""

    def plant(evidence: Evidence, rng: random.Random) -> Evidence:
        table = list(getattr(evidence.database, rows))
        places = [place for place, row in enumerate(table) if only is None or only(row)]
        place = rng.choice(places)
        table[place] = change(table[place], rng)
        return with_database(evidence, **{rows: tuple(table)})

    return plant


def setting(rows: str, only: Any = None, **changes: Any) -> Plant:
    """Plant one row with other values; a function makes the value from the row."""

    def change(row: Any, _: random.Random) -> Any:
        values = {k: v(row) if callable(v) else v for k, v in changes.items()}
        return replace(row, **values)

    return changing(rows, change, only)


def nudged(name: str, by: Decimal = UNIT) -> Callable[[Any], Any]:
    return lambda row: getattr(row, name) + by


def other_side(row: Any) -> str:
    return "sell" if row.side == "buy" else "buy"


def alike_purpose(intent: Intent) -> str:
    """Another one that opens or closes as the intent's does: cash looks the same."""
    return "initial" if intent.purpose == "entry" else "flatten"


def is_own(fill: Fill) -> bool:
    return fill.origin == "own"


def is_external(fill: Fill) -> bool:
    return fill.origin == "external"


def is_waiting(intent: Intent) -> bool:
    return intent.status == "open"


def was_sent(intent: Intent) -> bool:
    return intent.status != "absent"


def latest_open(evidence: Evidence, rng: random.Random) -> ExchangeOrder:
    return rng.choice([order for order in evidence.exchange.orders if order.is_open])


def random_client_id(evidence: Evidence, rng: random.Random) -> Evidence:
    order = latest_open(evidence, rng)
    name = "".join(rng.choices("0123456789abcdefXYZ", k=18))
    return with_order(evidence, replace(order, order_id="9999", client_order_id=name))


def stored_random_client_id(evidence: Evidence, rng: random.Random) -> Evidence:
    """The intent is there, under an id that says nothing."""
    order = next(o for o in evidence.exchange.orders if o.ended_seq and not o.filled)
    intent = evidence.intents[order.client_order_id]
    name = f"x-{rng.getrandbits(60)}"
    intents = (*evidence.database.intents, replace(intent, client_order_id=name))
    evidence = with_database(evidence, intents=intents)
    return with_order(evidence, replace(order, order_id="9999", client_order_id=name))


def other_installation(evidence: Evidence, _: random.Random) -> Evidence:
    tag = OrderTag(
        nonce=NONCE + 1,
        shard=1,
        slot=SlotId(0, 3),
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        generation=1,
    )
    order = next(o for o in evidence.exchange.orders if o.is_open)
    return with_order(evidence, replace(order, order_id="9999", client_order_id=client_id(tag)))


def dropped_intent(evidence: Evidence, rng: random.Random) -> Evidence:
    intents = evidence.database.intents
    dropped = rng.choice([intent for intent in intents if is_waiting(intent)])
    return with_database(evidence, intents=tuple(i for i in intents if i is not dropped))


def duplicate_order(evidence: Evidence, rng: random.Random) -> Evidence:
    """Sent again after the first one had ended, which no venue refuses."""
    ended = [o for o in evidence.exchange.orders if o.ended_seq and not o.filled]
    order = rng.choice(ended)
    seq = evidence.exchange.seq
    return with_order(
        evidence, replace(order, order_id="9999", accepted_seq=seq + 1, ended_seq=seq + 2)
    )


def sent_before_intent(evidence: Evidence, rng: random.Random) -> Evidence:
    accepted_ms = {o.client_order_id: o.accepted_ms for o in evidence.exchange.orders}
    return setting(
        "intents",
        was_sent,
        committed_ms=lambda intent: accepted_ms[intent.client_order_id] + rng.randint(1, 9),
    )(evidence, rng)


def two_live(evidence: Evidence, rng: random.Random) -> Evidence:
    """The next generation rests beside the one before; both are intended and known."""
    waiting = rng.choice([intent for intent in evidence.database.intents if is_waiting(intent)])
    tag = OrderTag(
        nonce=NONCE,
        shard=waiting.shard,
        slot=SlotId(0, waiting.slot),
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        generation=waiting.generation + 1,
    )
    name, seq = client_id(tag), evidence.exchange.seq
    order = next(
        o for o in evidence.exchange.orders if o.client_order_id == waiting.client_order_id
    )
    second = replace(waiting, client_order_id=name, generation=tag.generation)
    evidence = with_database(evidence, intents=(*evidence.database.intents, second))
    return with_order(
        evidence, replace(order, order_id="9999", client_order_id=name, accepted_seq=seq + 1)
    )


def two_live_once(evidence: Evidence, rng: random.Random) -> Evidence:
    """As `two_live`, but the second one has ended since."""
    evidence = two_live(evidence, rng)
    *orders, last = evidence.exchange.orders
    ended = replace(last, ended_seq=last.accepted_seq + 1)
    *intents, second = evidence.database.intents
    evidence = with_database(evidence, intents=(*intents, replace(second, status="cancelled")))
    exchange = replace(evidence.exchange, orders=(*orders, ended))
    return replace(evidence, exchange=exchange)


def dropped_fill(evidence: Evidence, rng: random.Random) -> Evidence:
    fills = evidence.database.fills
    dropped = rng.choice(fills)
    return with_database(evidence, fills=tuple(fill for fill in fills if fill is not dropped))


def invented_fill(evidence: Evidence, rng: random.Random) -> Evidence:
    fills = evidence.database.fills
    invented = replace(rng.choice(fills), trade_id="777")
    return with_database(evidence, fills=(*fills, invented))


def booked_off_by_one_unit(evidence: Evidence, rng: random.Random) -> Evidence:
    booked = dict(evidence.database.booked)
    booked[rng.choice(sorted(booked))] += rng.choice((UNIT, -UNIT))
    return with_database(evidence, booked=booked)


def booked_without_opening(evidence: Evidence, _: random.Random) -> Evidence:
    return with_database(evidence, booked={**evidence.database.booked, "BNB": -UNIT})


def hidden_deposit(evidence: Evidence, rng: random.Random) -> Evidence:
    """The balance moved and nobody can say why: a transfer dated before the opening."""
    opening = rng.choice(evidence.database.openings)
    transfer = replace(
        evidence.exchange.transfers[0],
        asset=opening.asset,
        amount=UNIT,
        transferred_ms=opening.recorded_ms - 1,
    )
    exchange = evidence.exchange
    transfers = (*exchange.transfers, transfer)
    return replace(evidence, exchange=replace(exchange, transfers=transfers))


def no_live_orders(evidence: Evidence, _: random.Random) -> Evidence:
    orders = tuple(
        replace(order, ended_seq=evidence.exchange.seq) if order.is_open else order
        for order in evidence.exchange.orders
    )
    live = {"open": "cancelled", "partially_filled": "cancelled"}
    intents = tuple(
        replace(intent, status=live.get(intent.status, intent.status))
        for intent in evidence.database.intents
    )
    evidence = replace(evidence, exchange=replace(evidence.exchange, orders=orders))
    return with_database(evidence, intents=intents)


def worse_exit(evidence: Evidence, rng: random.Random) -> Evidence:
    """An exit that sells below its level or buys above it, intended as such."""
    exits = [i for i in evidence.database.intents if i.purpose == "exit" and i.status != "filled"]
    chosen = rng.choice(exits)
    price = chosen.price + (TICK if chosen.side == "buy" else -TICK)
    orders = tuple(
        replace(o, price=price) if o.client_order_id == chosen.client_order_id else o
        for o in evidence.exchange.orders
    )
    evidence = replace(evidence, exchange=replace(evidence.exchange, orders=orders))
    intents = tuple(
        replace(i, price=price) if i is chosen else i for i in evidence.database.intents
    )
    return with_database(evidence, intents=intents)


def workflow(**changes: str) -> Plant:
    def plant(evidence: Evidence, rng: random.Random) -> Evidence:
        workflows = dict(evidence.database.workflows)
        chosen = rng.choice(REQUESTS)
        workflows[chosen] = replace(workflows[chosen], **changes)
        return with_database(evidence, workflows=workflows)

    return plant


def lost_request(evidence: Evidence, rng: random.Random) -> Evidence:
    workflows = dict(evidence.database.workflows)
    del workflows[rng.choice(REQUESTS)]
    return with_database(evidence, workflows=workflows)


def adopted_from_nowhere(evidence: Evidence, _: random.Random) -> Evidence:
    """Slot and adoption agree, and the account never held so much."""
    (adopted,) = evidence.database.adoptions
    more = Decimal(1_000)
    slots = tuple(
        replace(slot, inventory=slot.inventory + more)
        if (slot.shard, slot.slot) == (adopted.shard, adopted.slot)
        else slot
        for slot in evidence.database.slots
    )
    adoptions = (replace(adopted, quantity=adopted.quantity + more),)
    return with_database(evidence, slots=slots, adoptions=adoptions)


PLANTED: dict[str, tuple[str, Plant]] = {
    "duplicate order": ("I1", duplicate_order),
    "sent before its intent": ("I1", sent_before_intent),
    "random client id": ("I2", random_client_id),
    "random client id with an intent": ("I2", stored_random_client_id),
    "order of another installation": ("I2", other_installation),
    "dropped intent": ("I2", dropped_intent),
    "intent at another price": ("I2", setting("intents", was_sent, price=nudged("price"))),
    "intent of more": ("I2", setting("intents", was_sent, quantity=nudged("quantity", LOT))),
    "intent of the other side": ("I2", setting("intents", is_waiting, side=other_side)),
    "intent of another slot": ("I2", setting("intents", is_waiting, slot=lambda i: i.slot + 1)),
    "intent of another purpose": ("I2", setting("intents", was_sent, purpose=alike_purpose)),
    "intent of another generation": (
        "I2",
        setting("intents", was_sent, generation=lambda i: i.generation + 1),
    ),
    "adoption of more": ("I3", setting("adoptions", quantity=nudged("quantity"))),
    "adoption at another cost": ("I8", setting("adoptions", cost=nudged("cost"))),
    "adoption from nowhere": ("I8", adopted_from_nowhere),
    "dropped fill": ("I3", dropped_fill),
    "invented fill": ("I3", invented_fill),
    "fill at another price": ("I3", setting("fills", price=nudged("price"))),
    "fill of more": ("I3", setting("fills", quantity=nudged("quantity"))),
    "fill with another fee": ("I3", setting("fills", fee=nudged("fee", -UNIT))),
    "fill with a fee in another asset": ("I3", setting("fills", fee_asset="BNB")),
    "fill of the other side": ("I3", setting("fills", side=other_side)),
    "fill of another order": ("I3", setting("fills", venue_order_id="9999")),
    "own fill still parked": (
        "I3",
        setting("fills", is_own, origin="parked", client_order_id=None),
    ),
    "own fill as a person's": (
        "I3",
        setting("fills", is_own, origin="external", client_order_id=None),
    ),
    "person's fill still parked": ("I3", setting("fills", is_external, origin="parked")),
    "fill of another shard": ("I3", setting("fills", is_own, shard=lambda f: 3 - f.shard)),
    "order still unknown": ("I3", setting("intents", status="unknown")),
    "live order as absent": ("I3", setting("intents", is_waiting, status="absent")),
    "ended order as open": (
        "I3",
        setting("intents", lambda i: i.status in {"cancelled", "filled"}, status="open"),
    ),
    "never accepted order as sent": (
        "I3",
        setting("intents", lambda i: i.status == "absent", status="sent"),
    ),
    "order filled less": (
        "I3",
        setting("intents", lambda i: i.filled > 0, filled=nudged("filled", -LOT)),
    ),
    "wrong slot inventory": ("I3", setting("slots", inventory=nudged("inventory"))),
    "two live on one slot and side": ("I4", two_live),
    "two live for a moment": ("I4", two_live_once),
    "moved anchor": ("I7", setting("ladders", anchor=nudged("anchor", TICK))),
    "exit worse than its level": ("I7", worse_exit),
    "halted symbol": ("I7", setting("shards", status="halted", status_reason="a bug")),
    "no live orders": ("I7", no_live_orders),
    "ledger off by one unit": ("I8", booked_off_by_one_unit),
    "fee in an asset without an opening balance": ("I8", booked_without_opening),
    "opening balance off by one unit": ("I8", setting("openings", amount=nudged("amount"))),
    "unexplained balance": ("I8", hidden_deposit),
    "wrong slot cost": ("I8", setting("slots", cost=nudged("cost"))),
    "wrong slot proceeds": ("I8", setting("slots", proceeds=nudged("proceeds"))),
    "wrong slot cost of what was closed": (
        "I8",
        setting("slots", closed_cost=nudged("closed_cost")),
    ),
    "wrong pair profit": ("I8", setting("pairs", profit=nudged("profit"))),
    "wrong pair cost": (
        "I8",
        setting("pairs", cost=nudged("cost"), profit=nudged("profit", -UNIT)),
    ),
    "lost request": ("I10", lost_request),
    "request never begun": ("I10", workflow(status="ENQUEUED")),
    "request never finished": ("I10", workflow(status="PENDING")),
    "request put off": ("I10", workflow(status="DELAYED")),
    "cancelled request": ("I10", workflow(status="CANCELLED")),
    "failed request": ("I10", workflow(status="ERROR")),
    "given up request": ("I10", workflow(status="MAX_RECOVERY_ATTEMPTS_EXCEEDED")),
    "request under another name": ("I10", workflow(name="execute_plan")),
}

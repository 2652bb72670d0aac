"""A made-up installation and the exchange it traded on, agreeing in everything."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from audit.database import (
    Adoption,
    Database,
    Fill,
    Intent,
    Ladder,
    Opening,
    Pair,
    Shard,
    Slot,
    Workflow,
)
from audit.exchange import LedgerFold
from audit.invariants import Evidence
from domain.ids import OrderTag, Purpose, Side, SlotId, encode_tag
from grid.ladder import Arithmetic, Geometric

NONCE = 0xABCDE
#: Far ahead, so that whatever a test commits today was committed before it was sent.
START_MS = 4_000_000_000_000
TICK = Decimal("0.01")
LOT = Decimal("0.0001")
UNIT = Decimal("1e-8")
FEE = Decimal("0.001")
REQUESTS = ("add:sim-BTC-USDT:1", "add:sim-ETH-USDT:1")

LADDERS: dict[str, Arithmetic | Geometric] = {
    "BTCUSDT": Arithmetic(6_000_000, 5_000),
    "ETHUSDT": Geometric(268_000, Decimal("1.001")),
}
SPACINGS = {
    "BTCUSDT": {"kind": "arithmetic", "step": "50.00"},
    "ETHUSDT": {"kind": "geometric", "ratio": "1.001"},
}


def client_id(tag: OrderTag) -> str:
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    packed, characters = encode_tag(tag), ""
    while packed:
        packed, value = divmod(packed, 62)
        characters = alphabet[value] + characters
    return characters.rjust(18, "0")


def floor(amount: Decimal, unit: Decimal) -> Decimal:
    return (amount / unit).to_integral_value(ROUND_FLOOR) * unit


@dataclass
class World:
    """Both sides, written step by step; nothing in here is read from the auditor."""

    rng: random.Random
    documents: list[dict[str, Any]] = field(default_factory=list)
    shards: dict[int, Shard] = field(default_factory=dict)
    ladders: list[Ladder] = field(default_factory=list)
    intents: dict[str, Intent] = field(default_factory=dict)
    venue_ids: dict[str, int] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    slots: dict[tuple[int, int], Slot] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    booked: dict[str, Decimal] = field(default_factory=dict)
    openings: list[Opening] = field(default_factory=list)
    adoptions: list[Adoption] = field(default_factory=list)
    now_ms: int = START_MS

    def pass_time(self) -> int:
        self.now_ms += self.rng.randint(2, 50)
        return self.now_ms

    def write(self, kind: str, **values: Any) -> None:
        self.pass_time()
        self.documents.append(
            {
                "seq": len(self.documents) + 1,
                "written_ms": self.now_ms,
                "kind": kind,
                "time_ms": self.now_ms,
                "account": "main",
                **{k: str(v) if isinstance(v, Decimal) else v for k, v in values.items()},
            }
        )

    def deposit(self, asset: str, amount: Decimal, *, initial: bool = False) -> None:
        self.write("deposited", asset=asset, amount=amount, initial=initial)

    def open_account(self, amounts: dict[str, Decimal]) -> None:
        for asset, amount in amounts.items():
            self.deposit(asset, amount, initial=True)
        self.openings = [
            Opening(asset=asset, amount=amount, recorded_ms=self.pass_time())
            for asset, amount in amounts.items()
        ]

    def add_shard(self, number: int, symbol: str) -> Shard:
        base = symbol.removesuffix("USDT")
        shard = Shard(
            shard=number,
            symbol=symbol,
            base=base,
            quote="USDT",
            desired="running",
            status="running",
            status_reason="",
            stage="running",
            created_ms=self.pass_time(),
            ended_ms=None,
        )
        self.shards[number] = shard
        self.ladders.append(
            Ladder(
                shard=number,
                version=0,
                anchor=LADDERS[symbol].anchor_ticks * TICK,
                spacing=SPACINGS[symbol],
                tick_sizes=(TICK,),
                made_ms=shard.created_ms,
            )
        )
        return shard

    def intend(
        self,
        shard: Shard,
        slot: int,
        purpose: str,
        quantity: Decimal,
        generation: int,
        *,
        is_short: bool = False,
    ) -> Intent:
        side = "buy" if (purpose == "entry") is not is_short else "sell"
        level = slot if side == "buy" else slot + 1
        tag = OrderTag(
            nonce=NONCE,
            shard=shard.shard,
            slot=SlotId(0, slot),
            purpose=Purpose[purpose.upper()],
            side=Side(side),
            generation=generation,
        )
        intent = Intent(
            client_order_id=client_id(tag),
            shard=shard.shard,
            ladder_version=0,
            slot=slot,
            purpose=purpose,
            side=side,
            generation=generation,
            price=LADDERS[shard.symbol].price_ticks(level) * TICK,
            quantity=quantity,
            status="absent",
            filled=Decimal(0),
            committed_ms=self.pass_time(),
        )
        self.slots.setdefault((shard.shard, slot), empty_slot(shard.shard, slot))
        self.intents[intent.client_order_id] = intent
        return intent

    def accept(self, intent: Intent) -> str:
        symbol = self.shards[intent.shard].symbol
        self.venue_ids[intent.client_order_id] = len(self.documents)
        self.write(
            "order_accepted",
            symbol=symbol,
            order_id=len(self.documents),
            client_order_id=intent.client_order_id,
            side=intent.side.upper(),
            price=intent.price,
            quantity=intent.quantity,
        )
        self.intents[intent.client_order_id] = replace(intent, status="open")
        return intent.client_order_id

    def cancel(self, client_order_id: str) -> None:
        intent = self.intents[client_order_id]
        self.write(
            "order_cancelled",
            symbol=self.shards[intent.shard].symbol,
            order_id=self.venue_ids[client_order_id],
            client_order_id=client_order_id,
        )
        self.intents[client_order_id] = replace(intent, status="cancelled")

    def fill(self, client_order_id: str, quantity: Decimal) -> None:
        intent = self.intents[client_order_id]
        shard = self.shards[intent.shard]
        filled = intent.filled + quantity
        status = "filled" if filled == intent.quantity else "partially_filled"
        self.intents[client_order_id] = replace(intent, filled=filled, status=status)
        fill = self.trade(
            shard,
            client_order_id,
            self.venue_ids[client_order_id],
            side=intent.side,
            price=intent.price,
            quantity=quantity,
        )
        self.fills.append(replace(fill, origin="own", client_order_id=client_order_id))
        self.settle(shard, intent, fill)

    def trade_by_hand(self, shard: Shard, side: str, quantity: Decimal) -> None:
        """A person's order, filled at once."""
        order_id, name = len(self.documents), f"web_{self.rng.getrandbits(40):x}"
        price = LADDERS[shard.symbol].price_ticks(0) * TICK
        self.write(
            "order_accepted",
            symbol=shard.symbol,
            order_id=order_id,
            client_order_id=name,
            side=side.upper(),
            price=price,
            quantity=quantity,
        )
        self.fills.append(
            self.trade(shard, name, order_id, side=side, price=price, quantity=quantity)
        )

    def trade(
        self,
        shard: Shard,
        name: str,
        order_id: int,
        *,
        side: str,
        price: Decimal,
        quantity: Decimal,
    ) -> Fill:
        """A trade at the exchange and its movements in our ledger."""
        notional = price * quantity
        fee = floor((quantity if side == "buy" else notional) * FEE, UNIT)
        fee_asset = shard.base if side == "buy" else shard.quote
        trade_id = 1_000 + len(self.documents)
        self.write(
            "order_filled",
            symbol=shard.symbol,
            order_id=order_id,
            client_order_id=name,
            trade_id=trade_id,
            side=side.upper(),
            price=price,
            quantity=quantity,
            quote=notional,
            fee=fee,
            fee_asset=fee_asset,
            maker=True,
        )
        sign = 1 if side == "buy" else -1
        self.book(shard.base, sign * quantity)
        self.book(shard.quote, -sign * notional)
        self.book(fee_asset, -fee)
        return Fill(
            symbol=shard.symbol,
            trade_id=str(trade_id),
            shard=shard.shard,
            venue_order_id=str(order_id),
            client_order_id=None,
            origin="external",
            side=side,
            price=price,
            quantity=quantity,
            fee=fee,
            fee_asset=fee_asset,
        )

    def book(self, asset: str, amount: Decimal) -> None:
        self.booked[asset] = self.booked.get(asset, Decimal(0)) + amount

    def settle(self, shard: Shard, intent: Intent, fill: Fill) -> None:
        """Book a fill of the account's base and quote into its slot."""
        index = intent.slot
        slot = self.slots[shard.shard, index]
        notional = fill.price * fill.quantity
        if fill.side == "buy":
            base, paid = fill.quantity - fill.fee, notional
        else:
            base, paid = -fill.quantity, fill.fee - notional
        if intent.purpose == "entry":
            slot = replace(slot, inventory=slot.inventory + base, cost=slot.cost + paid)
        else:
            share = floor(slot.cost * -base / slot.inventory, UNIT)
            slot = replace(
                slot,
                inventory=slot.inventory + base,
                cost=slot.cost - share,
                closed_cost=slot.closed_cost + share,
                proceeds=slot.proceeds - paid,
            )
            if abs(slot.inventory) < LOT:
                self.pairs.append(
                    Pair(
                        pair=len(self.pairs) + 1,
                        shard=shard.shard,
                        ladder_version=0,
                        slot=index,
                        cost=slot.closed_cost,
                        proceeds=slot.proceeds,
                        profit=slot.proceeds - slot.closed_cost,
                    )
                )
                slot = replace(slot, closed_cost=Decimal(0), proceeds=Decimal(0))
        self.slots[shard.shard, index] = slot

    def fill_in_parts(self, client_order_id: str, *, all_of_it: bool) -> None:
        left = self.intents[client_order_id].quantity
        while left > LOT:
            part = max(LOT, floor(left * self.rng.randint(20, 80) / 100, LOT))
            self.fill(client_order_id, part)
            left -= part
            if not all_of_it:
                return
        if all_of_it and left:
            self.fill(client_order_id, left)

    def round_trip(self, shard: Shard, slot: int, generation: int) -> None:
        quantity = LOT * self.rng.randint(50, 5_000)
        entry = self.accept(self.intend(shard, slot, "entry", quantity, generation))
        self.fill_in_parts(entry, all_of_it=True)
        held = floor(self.slots[shard.shard, slot].inventory, LOT)
        exit_ = self.accept(self.intend(shard, slot, "exit", held, generation))
        self.fill_in_parts(exit_, all_of_it=True)

    def short_round_trip(self, shard: Shard, slot: int, generation: int) -> None:
        """Sold first; the exit has bought back a part of it by now."""
        quantity = LOT * self.rng.randint(50, 5_000)
        entry = self.intend(shard, slot, "entry", quantity, generation, is_short=True)
        self.fill_in_parts(self.accept(entry), all_of_it=True)
        exit_ = self.intend(shard, slot, "exit", quantity, generation, is_short=True)
        self.fill_in_parts(self.accept(exit_), all_of_it=False)

    def adopt(self, shard: Shard, slot: int, quantity: Decimal, cost: Decimal) -> None:
        """Begin a slot with base that the account held; its exit has sold a part of it by now."""
        self.adoptions.append(
            Adoption(shard=shard.shard, ladder_version=0, slot=slot, quantity=quantity, cost=cost)
        )
        empty = empty_slot(shard.shard, slot)
        self.slots[shard.shard, slot] = replace(empty, inventory=quantity, cost=cost)
        exit_ = self.accept(self.intend(shard, slot, "exit", quantity, 1))
        self.fill_in_parts(exit_, all_of_it=False)

    def database(self) -> Database:
        return Database(
            nonce=NONCE,
            is_killed=False,
            shards=tuple(self.shards.values()),
            ladders=tuple(self.ladders),
            intents=tuple(self.intents.values()),
            fills=tuple(self.fills),
            slots=tuple(self.slots.values()),
            pairs=tuple(self.pairs),
            openings=tuple(self.openings),
            booked=dict(self.booked),
            adoptions=tuple(self.adoptions),
            workflows=dict.fromkeys(REQUESTS, Workflow(name="apply_change", status="SUCCESS")),
        )

    def evidence(self) -> Evidence:
        fold = LedgerFold()
        fold.add(self.documents)
        return Evidence(fold.snapshot(), self.database(), REQUESTS)


def empty_slot(shard: int, slot: int) -> Slot:
    zero = Decimal(0)
    return Slot(
        shard=shard,
        ladder_version=0,
        slot=slot,
        inventory=zero,
        cost=zero,
        closed_cost=zero,
        proceeds=zero,
    )


def make_world(seed: int) -> World:
    """Two symbols with round trips both ways, open rounds, a cancel, an absent order, a person.

    One of them began with base that the account held.
    """
    world = World(random.Random(seed))
    rng = world.rng
    world.open_account({"USDT": Decimal(1_000_000), "BTC": Decimal(0), "ETH": Decimal("1.5")})
    shards = [world.add_shard(1, "BTCUSDT"), world.add_shard(2, "ETHUSDT")]
    for shard in shards:
        traded, held, cancelled, lost, waiting, sold, adopted = rng.sample(range(-40, 40), 7)
        for generation in range(1, rng.randint(2, 4)):
            world.round_trip(shard, traded, generation)
        entry = world.accept(world.intend(shard, held, "entry", LOT * 400, 1))
        world.fill_in_parts(entry, all_of_it=True)
        exit_ = world.accept(world.intend(shard, held, "exit", LOT * 399, 1))
        world.fill_in_parts(exit_, all_of_it=False)
        world.cancel(world.accept(world.intend(shard, cancelled, "entry", LOT * 70, 1)))
        world.intend(shard, lost, "entry", LOT * 70, 1)
        world.accept(world.intend(shard, waiting, "entry", LOT * 70, 1))
        world.short_round_trip(shard, sold, 1)
        if shard.base == "ETH":
            world.adopt(shard, adopted, Decimal("0.5"), Decimal(rng.randint(500, 1_500)))
        world.trade_by_hand(shard, rng.choice(("buy", "sell")), LOT * rng.randint(1, 90))
        world.deposit("USDT", Decimal(rng.randint(-500, 500)) / 100)
    return world

"""Slots rebuilt from orders and trades alone equal those that traded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import ClientOrderId, Purpose, Side
from domain.instrument import MarketKind
from domain.orders import OrderRecord, OrderReport, OrderStatus, Trade, VenueStatus
from grid.grid import Grid
from grid.rebuild import (
    Rebuilt,
    TaggedOrder,
    contradiction,
    last_generations,
    misfit,
    rebuild,
)
from grid.slots import Slot
from unit.grid.factories import (
    LOT_UNITS,
    make_grid,
    make_instrument,
    make_order,
    make_slot,
    make_spec,
    make_trade,
    slot_id,
)
from unit.grid.shard_model import ShardModel, venue_id

#: Two lots at 100 are dust.
INSTRUMENT = make_instrument(min_notional=Decimal(25), maker_fee=Decimal("0.00075"))


@dataclass
class ToldShard(ShardModel):
    """A shard whose venue writes down when what happened, as its history tells it later."""

    now_ms: int = 0
    placed_ms: dict[ClientOrderId, int] = field(default_factory=dict)
    changed_ms: dict[ClientOrderId, int] = field(default_factory=dict)
    told_trades: list[Trade] = field(default_factory=list)

    def fill(self, key: ClientOrderId, lots: int) -> None:
        self.note()
        super().fill(key, lots)
        told = self.untold[key][-1]
        assert isinstance(told, Trade)
        trade = replace(told, traded_ms=self.now_ms, venue_order_id=venue_id(key))
        self.untold[key][-1] = trade
        self.told_trades.append(trade)
        self.changed_ms[key] = self.now_ms

    def take_cancel(self) -> None:
        self.note()
        self.changed_ms[self.cancels_on_the_way[0]] = self.now_ms
        super().take_cancel()

    def note(self) -> None:
        """Time passes; what has arrived since was placed now."""
        self.now_ms += 1
        for key in self.resting:
            self.placed_ms.setdefault(key, self.now_ms)
            self.changed_ms.setdefault(key, self.now_ms)

    def settle(self) -> None:
        """Hear everything, in the order in which it happened."""
        while self.untold:
            self.hear(next(iter(self.untold)))

    def history(self) -> list[TaggedOrder]:
        self.note()
        return [
            TaggedOrder(tag=self.orders[key].intent.tag, record=self._record(key))
            for key in sorted(self.placed_ms, key=lambda key: self.placed_ms[key])
        ]

    def _record(self, key: ClientOrderId) -> OrderRecord:
        intent = self.orders[key].intent
        lots = self.orders[key].filled_lots
        ended = VenueStatus.FILLED if lots == intent.quantity_lots else VenueStatus.CANCELLED
        return OrderRecord(
            report=OrderReport(
                symbol=self.instrument.symbol,
                client_order_id=key,
                venue_order_id=venue_id(key),
                status=VenueStatus.OPEN if key in self.resting else ended,
                filled=self.instrument.lots_to_quantity(lots),
                side=intent.side,
                price=self.instrument.ticks_to_price(intent.price_ticks),
                quantity=self.instrument.lots_to_quantity(intent.quantity_lots),
            ),
            post_only=intent.post_only,
            reduce_only=intent.reduce_only,
            placed_ms=self.placed_ms[key],
            changed_ms=self.changed_ms[key],
        )


@st.composite
def traded(draw: st.DrawFn) -> ToldShard:
    """A grid after a random walk with partial fills."""
    mode = draw(st.sampled_from(["long", "short", "neutral"]))
    kind = draw(st.sampled_from(MarketKind))
    sells_base = kind is MarketKind.SPOT and mode != "long"
    assets = ["ABC", "USDT", "BNB"] if kind is MarketKind.SPOT else ["USDT", "BNB"]
    shard = ToldShard(
        make_spec(
            mode=mode,
            base_inventory="3" if sells_base else None,
            range={"kind": "window", "buy_window": 3, "sell_window": 3},
            spacing=draw(st.sampled_from([{"kind": "arithmetic", "step": "0.6"}])),
            order_size={"kind": "base", "amount": "0.9"},
            initial_position=draw(st.booleans()),
        ),
        replace(INSTRUMENT, kind=kind),
        Decimal(100),
        draw(st.sampled_from(assets)),
    )
    for _ in range(draw(st.integers(1, 25))):
        shard.execute(shard.plan(shard.live), "accepted")
        shard.settle()
        shard.note()
        while shard.cancels_on_the_way:
            shard.take_cancel()
            shard.settle()
        if shard.resting and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(shard.resting)))
            shard.fill(key, draw(st.integers(1, shard.resting[key])))
        else:
            bid = (shard.bid_ticks or 0) + draw(st.integers(-150, 150))
            shard.move(bid, bid + 2)
        shard.settle()
    return shard


@given(traded())
def test_rebuild_of_any_history_gives_the_slots_that_traded(shard: ToldShard) -> None:
    rebuilt = rebuild(shard.grid, shard.history(), shard.told_trades)
    assert not rebuilt.gaps
    assert rebuilt.slots == shard.slots
    assert [pair for pair, _ in rebuilt.pairs] == shard.pairs
    live = {order.order.slot_side: order for order in rebuilt.live}
    assert live.keys() == shard.live.keys()
    for slot_side, order in live.items():
        known = shard.live[slot_side]
        assert order.status is known.status
        assert shard.instrument.quantity_to_lots(order.rest) == known.remaining_lots
        assert contradiction(shard.grid, order) == misfit(shard.grid, order) == ""


@given(traded(), st.data())
def test_rebuild_since_any_moment_covers_every_exit(shard: ToldShard, data: st.DataObject) -> None:
    """Whatever is left out, no exit closes more than its slot holds, and no id comes again."""
    history = shard.history()
    since_ms = data.draw(st.integers(0, shard.now_ms + 1))
    rebuilt = rebuild(shard.grid, history, shard.told_trades, since_ms=since_ms)
    assert not rebuilt.gaps
    for (number, side), generation in last_generations(history).items():
        assert rebuilt.slots[number].next_generation(side) == generation + 1
    for number, slot in rebuilt.slots.items():
        assert slot.held_units <= shard.slots[number].held_units
        assert slot.inventory_units * shard.slots[number].inventory_units >= 0


ENTRY = make_order(-1, Side.BUY, 9_900)
EXIT = make_order(-1, Side.SELL, 10_000)
GRID: Grid = make_grid()


def told(order: Any, status: VenueStatus, filled: str, at_ms: int = 1) -> TaggedOrder:
    intent = order.intent
    report = OrderReport(
        symbol=INSTRUMENT.symbol,
        client_order_id=intent.client_order_id,
        venue_order_id=order.state.venue_order_id,
        status=status,
        filled=Decimal(filled),
        side=intent.side,
        price=INSTRUMENT.ticks_to_price(intent.price_ticks),
        quantity=INSTRUMENT.lots_to_quantity(intent.quantity_lots),
    )
    record = OrderRecord(
        report=report, post_only=True, reduce_only=False, placed_ms=at_ms, changed_ms=at_ms
    )
    return TaggedOrder(tag=intent.tag, record=record)


def trade_of(order: Any, quantity: str, at_ms: int = 1) -> Trade:
    price = str(INSTRUMENT.ticks_to_price(order.intent.price_ticks))
    trade = make_trade(order.intent.side, price, quantity, trade_id=f"{order.intent.side}{at_ms}")
    return replace(trade, venue_order_id=order.state.venue_order_id, traded_ms=at_ms)


@pytest.mark.parametrize(
    ("orders", "trades", "said"),
    [
        pytest.param(
            [told(ENTRY, VenueStatus.FILLED, "1")],
            [trade_of(ENTRY, "0.4")],
            "not all of its trades are told",
            id="a trade of an order is missing",
        ),
        pytest.param(
            [told(EXIT, VenueStatus.FILLED, "1")],
            [trade_of(EXIT, "1")],
            "closes 100000000 base units of 0",
            id="the entry of an exit is missing",
        ),
        pytest.param(
            [told(EXIT, VenueStatus.OPEN, "0")],
            [],
            "is to close 1.0, and the trades told leave 0",
            id="the entry of a live exit is missing",
        ),
    ],
)
def test_rebuild_of_an_incomplete_history_names_the_gap(
    orders: list[TaggedOrder], trades: list[Trade], said: str
) -> None:
    (gap,) = rebuild(GRID, orders, trades).gaps
    assert gap.slot == slot_id(-1)
    assert said in gap.detail


def test_rebuild_since_a_moment_begins_with_what_exits_closed_at_the_entry_level() -> None:
    history = [
        told(ENTRY, VenueStatus.FILLED, "1", 1),
        told(EXIT, VenueStatus.OPEN, "0.3", 2),
    ]
    rebuilt = rebuild(GRID, history, [trade_of(ENTRY, "1"), trade_of(EXIT, "0.3", 3)], since_ms=2)
    assert rebuilt.began == {slot_id(-1): make_slot(-1, 10)}
    assert rebuilt.slots[slot_id(-1)].inventory_units == 7 * LOT_UNITS
    assert rebuilt.slots[slot_id(-1)].buy_generation == 1
    assert [order.status for order in rebuilt.orders] == [OrderStatus.PARTIALLY_FILLED]


def test_rebuild_passes_over_trades_of_others() -> None:
    stranger = replace(trade_of(ENTRY, "1"), venue_order_id=make_order(5, Side.BUY, 1).state)
    rebuilt: Rebuilt = rebuild(GRID, [told(ENTRY, VenueStatus.OPEN, "0")], [stranger])
    assert rebuilt.slots == {slot_id(-1): Slot(id=slot_id(-1), buy_generation=1)}
    assert rebuilt.fills == ()


@pytest.mark.parametrize(
    ("number", "side", "price_ticks", "purpose", "said"),
    [
        pytest.param(-1, Side.BUY, 9_900, Purpose.ENTRY, "", id="entry at its level"),
        pytest.param(-1, Side.BUY, 9_901, Purpose.ENTRY, "enters at 99.00", id="entry beside it"),
        pytest.param(-1, Side.SELL, 10_005, Purpose.EXIT, "", id="exit better than its level"),
        pytest.param(-1, Side.SELL, 9_999, Purpose.EXIT, "exits at 100.00", id="exit worse"),
        pytest.param(-1, Side.SELL, 1, Purpose.FLATTEN, "", id="a stop sells at any price"),
    ],
)
def test_misfit_names_what_the_grid_would_have(
    number: int, side: Side, price_ticks: int, purpose: Purpose, said: str
) -> None:
    order = told(make_order(number, side, price_ticks, purpose=purpose), VenueStatus.OPEN, "0")
    (live,) = rebuild(GRID, [order], []).live
    assert said in misfit(GRID, live)
    assert bool(said) == bool(misfit(GRID, live))


@pytest.mark.parametrize(
    ("side", "price", "quantity", "said"),
    [
        pytest.param(Side.BUY, "99.00", "1", "", id="as the grid has it"),
        pytest.param(Side.BUY, "98.70", "1", "", id="beside its level"),
        pytest.param(Side.SELL, "100.00", "1", "its slot is long", id="other role"),
        pytest.param(Side.BUY, "99.001", "1", "in the market's steps", id="between ticks"),
        pytest.param(Side.BUY, "99.00", "0.15", "in the market's steps", id="between lots"),
    ],
)
def test_contradiction_names_what_no_grid_can_have(
    side: Side, price: str, quantity: str, said: str
) -> None:
    order = told(make_order(-1, side, 9_900, purpose=Purpose.ENTRY), VenueStatus.OPEN, "0")
    report = replace(order.record.report, price=Decimal(price), quantity=Decimal(quantity))
    order = replace(order, record=replace(order.record, report=report))
    (live,) = rebuild(GRID, [order], []).live
    assert said in contradiction(GRID, live)
    assert bool(said) == bool(contradiction(GRID, live))

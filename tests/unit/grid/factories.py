"""Instruments, specs, slots, orders and trades with defaults that read well in tests."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.ids import ClientOrderId, OrderTag, Purpose, Side, SlotId, VenueOrderId
from domain.instrument import Instrument
from domain.market import BookTop
from domain.orders import Intent, Open, Order, OrderState, PartiallyFilled, Trade
from grid.grid import Grid
from grid.plan import IntentFactory
from grid.slots import Slot
from grid.spec import GridSpec

#: One tick × one lot is 0.001 quote, 100,000 units; a lot is 10**7 base units.
INSTRUMENT = Instrument(
    account="sim",
    symbol="ABC/USDT",
    base="ABC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.1"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)
LOT_UNITS = INSTRUMENT.base_units_per_lot


def make_instrument(**changes: Any) -> Instrument:
    return replace(INSTRUMENT, **changes)


def make_spec(**changes: Any) -> GridSpec:
    """Levels 1 quote apart around 100, ten orders of 1 base each side."""
    document: dict[str, Any] = {
        "spacing": {"kind": "arithmetic", "step": "1"},
        "range": {"kind": "window", "buy_window": 10, "sell_window": 10, "anchor": "100"},
        "order_size": {"kind": "base", "amount": "1"},
        "budget_quote": "100000",
    }
    return GridSpec.model_validate(document | changes)


def make_grid(instrument: Instrument = INSTRUMENT, **changes: Any) -> Grid:
    spec = make_spec(**changes)
    return Grid.fresh(spec, instrument, Decimal(100))


def slot_id(number: int) -> SlotId:
    """A slot of the first ladder."""
    return SlotId(0, number)


def make_book(bid: int | None, ask: int | None) -> BookTop:
    return BookTop(bid_ticks=bid, ask_ticks=ask, exchange_ms=0)


def make_slot(number: int, lots: int = 0, **changes: Any) -> Slot:
    """A slot of the default ladder that bought its lots at its level, without fees.

    With negative lots it is a short one that sold them at its upper level.
    """
    price_ticks = 10_000 + 100 * (number if lots > 0 else number + 1)
    cost = INSTRUMENT.notional_units(price_ticks, lots) if lots else 0
    fields: dict[str, Any] = {
        "id": slot_id(number),
        "inventory_units": lots * LOT_UNITS,
        "cost_units": cost,
    }
    return Slot(**fields | changes)


def make_order(
    slot: int,
    side: Side,
    price_ticks: int,
    lots: int = 10,
    *,
    filled: int = 0,
    purpose: Purpose | None = None,
    state: OrderState | None = None,
    cancel_requested: bool = False,
) -> Order:
    if state is None:
        venue_id = VenueOrderId(f"v{slot}{side}")
        state = PartiallyFilled(venue_id, filled) if filled else Open(venue_id)
    if purpose is None:
        purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
    tag = OrderTag(
        nonce=1,
        shard=1,
        slot=slot_id(slot),
        purpose=purpose,
        side=side,
        generation=1,
    )
    intent = Intent(
        client_order_id=spell(tag), tag=tag, price_ticks=price_ticks, quantity_lots=lots
    )
    return Order(intent=intent, state=state, cancel_requested=cancel_requested)


def make_trade(
    side: Side,
    price: str,
    quantity: str,
    *,
    fee: str = "0",
    fee_asset: str = "BNB",
    trade_id: str = "t1",
) -> Trade:
    return Trade(
        symbol="ABC/USDT",
        trade_id=trade_id,
        venue_order_id=VenueOrderId("v1"),
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        fee_asset=fee_asset,
        is_maker=True,
        traded_ms=0,
    )


def spell(tag: OrderTag) -> ClientOrderId:
    return ClientOrderId(f"{tag.slot.version}.{tag.slot.number}.{tag.side}.{tag.generation}")


INTENTS = IntentFactory(nonce=1, shard=1, client_order_id=spell)

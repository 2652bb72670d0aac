"""The border between table rows in human units and the core's integers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from domain.contracts import Position
from domain.ids import ClientOrderId, OrderTag, Purpose, Side, SlotId, VenueOrderId
from domain.instrument import Instrument, MarketKind, Rounding
from domain.orders import (
    Absent,
    Cancelled,
    Filled,
    Intended,
    Intent,
    Open,
    Order,
    OrderState,
    OrderStatus,
    PartiallyFilled,
    Rejected,
    Sent,
    Trade,
    Unknown,
)
from grid.ladder import LadderVersion
from grid.phase import Phase, Stage
from grid.slots import Slot
from grid.spec import ArithmeticSpacing, GeometricSpacing, LadderSpacing
from ports.store import Fill

AnyRow = Row[Any]
_SPACING: TypeAdapter[ArithmeticSpacing | GeometricSpacing] = TypeAdapter(LadderSpacing)


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(moment_: datetime) -> int:
    return round(moment_.timestamp() * 1000)


def instrument_of(row: AnyRow) -> Instrument:
    return Instrument(
        account=row.account,
        symbol=row.symbol,
        base=row.base,
        quote=row.quote,
        kind=MarketKind(row.kind),
        version=row.version,
        tick_size=row.tick_size,
        lot_size=row.lot_size,
        min_quantity_lots=int(row.min_quantity / row.lot_size),
        min_notional=row.min_notional,
        maker_fee=row.maker_fee,
        taker_fee=row.taker_fee,
        base_decimals=row.base_decimals,
        quote_decimals=row.quote_decimals,
    )


def instrument_values(instrument: Instrument) -> dict[str, object]:
    return {
        "account": instrument.account,
        "symbol": instrument.symbol,
        "version": instrument.version,
        "base": instrument.base,
        "quote": instrument.quote,
        "kind": instrument.kind.value,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "min_quantity": instrument.lots_to_quantity(instrument.min_quantity_lots),
        "min_notional": instrument.min_notional,
        "maker_fee": instrument.maker_fee,
        "taker_fee": instrument.taker_fee,
        "base_decimals": instrument.base_decimals,
        "quote_decimals": instrument.quote_decimals,
    }


def slot_of(row: AnyRow, instrument: Instrument) -> Slot:
    return Slot(
        id=SlotId(row.ladder_version, row.slot),
        inventory_units=instrument.base_to_units(row.inventory),
        cost_units=instrument.quote_to_units(row.cost),
        closed_units=instrument.base_to_units(row.closed),
        closed_cost_units=instrument.quote_to_units(row.closed_cost),
        proceeds_units=instrument.quote_to_units(row.proceeds),
        fee_base_units=instrument.base_to_units(row.fee_base),
        fee_quote_units=instrument.quote_to_units(row.fee_quote),
        buy_generation=row.buy_generation,
        sell_generation=row.sell_generation,
        trades=row.trades,
    )


def slot_values(slot: Slot, shard: int, instrument: Instrument) -> dict[str, object]:
    return {
        "shard": shard,
        "ladder_version": slot.id.version,
        "slot": slot.id.number,
        "inventory": instrument.units_to_base(slot.inventory_units),
        "cost": instrument.units_to_quote(slot.cost_units),
        "closed": instrument.units_to_base(slot.closed_units),
        "closed_cost": instrument.units_to_quote(slot.closed_cost_units),
        "proceeds": instrument.units_to_quote(slot.proceeds_units),
        "fee_base": instrument.units_to_base(slot.fee_base_units),
        "fee_quote": instrument.units_to_quote(slot.fee_quote_units),
        "buy_generation": slot.buy_generation,
        "sell_generation": slot.sell_generation,
        "trades": slot.trades,
    }


def order_of(row: AnyRow, nonce: int, made_under: Instrument, in_force: Instrument) -> Order:
    return Order(
        intent=Intent(
            client_order_id=ClientOrderId(row.client_order_id),
            tag=OrderTag(
                nonce=nonce,
                shard=row.shard,
                slot=SlotId(row.ladder_version, row.slot),
                purpose=Purpose[row.purpose.upper()],
                side=Side(row.side),
                generation=row.generation,
            ),
            price_ticks=made_under.price_to_ticks(row.price),
            quantity_lots=made_under.quantity_to_lots(row.quantity),
            post_only=row.post_only,
            reduce_only=row.reduce_only,
        ),
        state=_state_of(row, made_under),
        rules=None if made_under.has_steps_of(in_force) else made_under,
    )


def order_values(order: Order, instrument: Instrument) -> dict[str, object]:
    state = order.state
    rules = order.rules or instrument
    venue_order_id: VenueOrderId | None = None
    reason = ""
    match state:
        case Open() | PartiallyFilled() | Filled() | Cancelled():
            venue_order_id = state.venue_order_id
        case Unknown() | Rejected() | Absent():
            reason = state.reason
        case Intended() | Sent():
            pass
    return {
        "client_order_id": order.intent.client_order_id,
        "status": order.status.value,
        "status_reason": reason,
        "venue_order_id": venue_order_id,
        "filled": rules.lots_to_quantity(order.filled_lots),
        "cancel_requested": order.cancel_requested,
        "is_ended": not order.is_live,
    }


def ladder_of(row: AnyRow) -> LadderVersion:
    return LadderVersion(
        version=row.version,
        anchor=row.anchor,
        spacing=_SPACING.validate_python(row.spacing),
        pivot=row.pivot,
    )


def ladder_values(ladder: LadderVersion, shard: int) -> dict[str, object]:
    return {
        "shard": shard,
        "version": ladder.version,
        "anchor": ladder.anchor,
        "spacing": ladder.spacing.model_dump_json(),
        "pivot": ladder.pivot,
    }


def phase_of(document: Mapping[str, Any]) -> Phase:
    return Phase(**{**document, "stage": Stage(document["stage"])})


def phase_document(phase: Phase) -> str:
    return json.dumps(asdict(phase))


def fill_values(fill: Fill, account: str, shard: int) -> dict[str, object]:
    trade = fill.trade
    return {
        "account": account,
        "symbol": trade.symbol,
        "trade_id": trade.trade_id,
        "shard": shard,
        "venue_order_id": trade.venue_order_id,
        "client_order_id": fill.client_order_id,
        "origin": fill.origin.value,
        "side": trade.side.value,
        "price": trade.price,
        "quantity": trade.quantity,
        "fee": trade.fee,
        "fee_asset": trade.fee_asset,
        "is_maker": trade.is_maker,
        "realised": trade.realised,
        "traded_at": moment(trade.traded_ms),
    }


def ledger_values(trade: Trade, instrument: Instrument) -> list[dict[str, object]]:
    """What a trade moved, signed as the balances change.

    On spot base, quote and fee; of a contract only what it realised, and the fee.
    """
    fee = (trade.fee_asset, "fee", -trade.fee)
    sign = Decimal(1) if trade.side is Side.BUY else Decimal(-1)
    match instrument.kind:
        case MarketKind.SPOT:
            movements = [
                (instrument.base, "trade", sign * trade.quantity),
                (instrument.quote, "trade", -sign * trade.quantity * trade.price),
                fee,
            ]
        case MarketKind.LINEAR:
            movements = [(instrument.quote, "realised", trade.realised), fee]
    return [
        {
            "account": instrument.account,
            "asset": asset,
            "kind": kind,
            "amount": amount,
            "symbol": trade.symbol,
            "trade_id": trade.trade_id,
            "booked_at": moment(trade.traded_ms),
        }
        for asset, kind, amount in movements
        if amount
    ]


def position_values(position: Position, shard: int) -> dict[str, object]:
    return {"shard": shard, **asdict(position)}


def trade_of(row: AnyRow) -> Trade:
    return Trade(
        symbol=row.symbol,
        trade_id=row.trade_id,
        venue_order_id=VenueOrderId(row.venue_order_id),
        side=Side(row.side),
        price=row.price,
        quantity=row.quantity,
        fee=row.fee,
        fee_asset=row.fee_asset,
        is_maker=row.is_maker,
        realised=row.realised,
        traded_ms=milliseconds(row.traded_at),
    )


def _state_of(row: AnyRow, instrument: Instrument) -> OrderState:
    venue_id = VenueOrderId(row.venue_order_id or "")
    # Fills of less than a lot come where the venue made its lot finer while the order rested.
    filled = instrument.quantity_to_lots(row.filled, Rounding.FLOOR)
    states: dict[OrderStatus, OrderState] = {
        OrderStatus.INTENDED: Intended(),
        OrderStatus.SENT: Sent(),
        OrderStatus.UNKNOWN: Unknown(row.status_reason),
        OrderStatus.OPEN: Open(venue_id),
        OrderStatus.PARTIALLY_FILLED: PartiallyFilled(venue_id, filled),
        OrderStatus.FILLED: Filled(venue_id, filled),
        OrderStatus.CANCELLED: Cancelled(venue_id, filled),
        OrderStatus.REJECTED: Rejected(row.status_reason),
        OrderStatus.ABSENT: Absent(row.status_reason),
    }
    return states[OrderStatus(row.status)]

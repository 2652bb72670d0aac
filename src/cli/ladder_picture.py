"""A ladder as traders look at it: prices in the middle, buys to the left, sells to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from cli.render import console, plain
from domain.ids import Side
from store.history import OrderRecord, SlotRecord

#: Rungs shown on each side of the price.
NEAREST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What is at one price."""

    price: Decimal
    #: Of the order there; `None` where only inventory is.
    side: Side | None = None
    quantity: Decimal | None = None
    note: str = ""


def show_ladder(rungs: Sequence[Rung], price: Decimal | None) -> None:
    """The rungs nearest to a price, the dearest on top."""
    if not rungs:
        console().print(Text("no orders, no inventory"))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("buy", justify="right", style="green")
    table.add_column("price", justify="right")
    table.add_column("sell", style="red")
    table.add_column("", style="dim", no_wrap=True)
    falling = sorted(rungs, key=lambda rung: rung.price, reverse=True)
    above = [rung for rung in falling if price is None or rung.price > price]
    below = falling[len(above) :]
    if len(above) > NEAREST:
        _add_rest(table, above[:-NEAREST], above[0], "up")
    for rung in above[-NEAREST:]:
        _add_rung(table, rung)
    if price is not None:
        table.add_row("", Text(plain(price), style="bold reverse"), "", Text("◂ price"))
    for rung in below[:NEAREST]:
        _add_rung(table, rung)
    if len(below) > NEAREST:
        _add_rest(table, below[NEAREST:], below[-1], "down")
    console().print(table)


def live_rungs(orders: Sequence[OrderRecord], slots: Sequence[SlotRecord]) -> list[Rung]:
    """Live orders with what their slots hold, and inventory that no order closes now."""
    held = {(slot.ladder_version, slot.slot): slot for slot in slots if slot.inventory}
    rungs: list[Rung] = []
    for order in orders:
        slot = held.get((order.ladder_version, order.slot))
        notes = [f"slot {order.slot}"]
        if slot is not None and _closes(order, slot):
            del held[order.ladder_version, order.slot]
            notes.append(f"holds {plain(slot.inventory)}")
        if order.status != "open":
            notes.append(order.status.replace("_", " "))
        if order.cancel_requested:
            notes.append("cancel requested")
        rungs.append(
            Rung(
                price=order.price,
                side=Side(order.side),
                quantity=order.quantity - order.filled,
                note=", ".join(notes),
            )
        )
    rungs += [
        Rung(
            price=slot.average_price,
            note=f"slot {slot.slot}, holds {plain(slot.inventory)} at this cost, no exit yet",
        )
        for slot in held.values()
        if slot.average_price is not None
    ]
    return rungs


def _closes(order: OrderRecord, slot: SlotRecord) -> bool:
    return (order.side == Side.SELL) == (slot.inventory > 0)


def _add_rung(table: Table, rung: Rung) -> None:
    quantity = "" if rung.quantity is None else plain(rung.quantity)
    table.add_row(
        quantity if rung.side is Side.BUY else "",
        plain(rung.price),
        quantity if rung.side is Side.SELL else "",
        Text(rung.note),
    )


def _add_rest(table: Table, rest: Sequence[Rung], farthest: Rung, way: str) -> None:
    table.add_row("", "⋮", "", Text(f"{len(rest)} more, {way} to {plain(farthest.price)}"))

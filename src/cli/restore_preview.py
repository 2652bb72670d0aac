"""A restoration as people and programs read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from cli.render import Column, words
from orchestrator.restore import Restoration, SymbolRestoration
from ports.store import Desired

#: What no exchange knows.
_LOST = (
    "lost: why each order was decided, requests and their results, former versions of the grids,"
    " removed symbols, pauses, stops that were touched, and whether the kill switch was thrown:"
    " where nothing is to trade yet, `gridkeeper kill` before a node starts"
)
_SHOWN = (
    "symbol",
    "shard",
    "desired",
    "anchor",
    "levels_proven",
    "slots_holding",
    "inventory",
    "cost",
    "pairs",
    "fills",
    "orders_kept",
    "orders_to_cancel",
)


def symbols_table() -> tuple[Column[Mapping[str, object]], ...]:
    return tuple(
        Column[Mapping[str, object]](name.replace("_", " "), itemgetter(name)) for name in _SHOWN
    )


def document_of(found: Restoration, problems: Sequence[str], *, is_done: bool) -> dict[str, Any]:
    """For programs; these keys stay."""
    return {
        "restored": is_done,
        "installation": found.nonce,
        "installations": [
            {"nonce": nonce, "orders": count} for nonce, count in found.installations.items()
        ],
        "symbols": [_symbol(each) for each in found.symbols],
        "untraded": found.untraded,
        "problems": problems,
    }


def lines_of(found: Restoration) -> list[str]:
    lines = [
        f"{symbol}: no order of it is told; add it with `gridkeeper symbol add`"
        for symbol in found.untraded
    ]
    if found.nonce is None:
        return lines
    lines.insert(
        0, f"installation {found.nonce}; new symbols are numbered from {found.last_shard + 1} on"
    )
    for each in found.symbols:
        lines += _notes(each)
    return [*lines, _LOST]


def _symbol(each: SymbolRestoration) -> dict[str, object]:
    rebuilt = each.rebuilt
    fit, instrument = each.fits[-1], each.grid.instrument
    misfits = {order.order.record.report.client_order_id: why for order, why in each.misfits}
    return {
        "symbol": each.symbol,
        "shard": each.shard,
        "desired": each.desired,
        "anchor": fit.ladder.anchor,
        "ladder_version": fit.ladder.version,
        "levels_proven": fit.levels,
        "slots_holding": sum(bool(slot.inventory_units) for slot in rebuilt.slots.values()),
        "slots": [
            {
                "ladder_version": slot.id.version,
                "slot": slot.id.number,
                "inventory": instrument.units_to_base(slot.inventory_units),
                "cost": instrument.units_to_quote(slot.cost_units),
            }
            for slot in sorted(rebuilt.slots.values(), key=lambda slot: slot.id)
            if slot.inventory_units
        ],
        "inventory": each.inventory,
        "cost": each.cost,
        "pairs": len(rebuilt.pairs),
        "fills": len(rebuilt.fills),
        "orders": dict(Counter(order.status.value for order in rebuilt.orders)),
        "orders_kept": len(rebuilt.live) - len(misfits),
        "orders_to_cancel": len(misfits),
        "misfits": misfits,
        "began_with": {
            str(slot.number): instrument.units_to_base(began.inventory_units)
            for slot, began in rebuilt.began.items()
        },
        "former_orders": len(each.former),
        "former_traded": [
            {
                "client_order_id": order.record.report.client_order_id,
                "shard": order.tag.shard,
                "side": order.tag.side,
                "filled": order.record.report.filled,
            }
            for order in each.former_traded
        ],
    }


def _notes(each: SymbolRestoration) -> list[str]:
    notes = [
        f"{each.symbol}: {order.order.record.report.client_order_id} will be cancelled: {why}"
        for order, why in each.misfits
    ]
    if each.fits[-1].alternatives:
        notes.append(
            f"{each.symbol}: {each.fits[-1].alternatives + 1} anchors from"
            f" {words(each.fits[-1].ladder.anchor)} on fit alike: levels without an order may be a"
            " tick off"
        )
    if each.rebuilt.began:
        notes.append(
            f"{each.symbol}: {len(each.rebuilt.began)} slots begin with what their exits close, at"
            " the cost of their entry level"
        )
    if each.former:
        shards = sorted({order.tag.shard for order in each.former})
        notes.append(
            f"{each.symbol}: {len(each.former)} orders of removed shards ({words(shards)}) are no"
            f" part of the grid: {len(each.former_traded)} of them traded, which is in the balances"
            " that it begins with and in `findings`"
        )
    if each.desired is Desired.PAUSED:
        notes.append(
            f"{each.symbol}: its last order closed it, so it comes back paused: resume it, or"
            " remove it"
        )
    return notes

"""What a symbol may take over when it is added: base or a position that nobody trades."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.errors import ConfigurationError
from domain.ids import SlotId
from domain.instrument import Instrument, MarketKind, Rounding
from grid.adopt import adopt, cost_of
from grid.grid import Grid
from grid.slots import Slot
from grid.spec import GridSpec
from orchestrator.workflows import Document
from ports.exchange import ExchangePort

OWN_TRADES = "own trades"
PRICE_NOW = "the price now"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedSlot:
    slot: int
    inventory: Decimal
    cost: Decimal
    #: The order that is to sell it.
    exit_price: Decimal
    exit_quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A position as slots, and what of it found no place."""

    #: What slots hold of it, and what that counts for in quote.
    quantity: Decimal
    cost: Decimal
    #: Whether `OWN_TRADES` or `PRICE_NOW` say what it cost; both if trades explain a part.
    cost_from: str
    left_over: Decimal
    slots: tuple[AdoptedSlot, ...]

    def document(self) -> Document:
        return {
            "quantity": str(self.quantity),
            "cost": str(self.cost),
            "cost_from": self.cost_from,
            "left_over": str(self.left_over),
            "slots": [
                {"slot": held.slot, "inventory": str(held.inventory), "cost": str(held.cost)}
                for held in self.slots
            ],
        }


async def find_adoption(
    exchange: ExchangePort,
    instrument: Instrument,
    spec: GridSpec,
    price: Decimal,
    *,
    free: Decimal,
    quantity: Decimal | None,
) -> Adoption:
    """Build slots from base that the account holds, or from a contract's position.

    Parameters
    ----------
    free : Decimal
        What of the account's base no symbol holds or was given to sell; of contracts the position.
    quantity : Decimal, optional
        How much of that; all of it if not given. A position is adopted whole.

    Raises
    ------
    ConfigurationError
        If there is not so much, or no slot that could take any of it.
    """
    wanted = _wanted(instrument, spec, free, quantity)
    grid = Grid.fresh(spec, instrument, price)
    price_ticks = instrument.price_to_ticks(price, Rounding.FLOOR)
    units = instrument.base_to_units(wanted)
    trades = await exchange.fetch_trades(instrument.symbol)
    cost = cost_of(trades, units, instrument, price_ticks)
    slots = adopt(grid, units, cost.cost_units, price_ticks)
    way, beyond = ("long", "above") if wanted > 0 else ("short", "below")
    if not slots:
        raise ConfigurationError(
            field="adopt",
            rule=f"must find a {way} slot {beyond} the price whose exit the venue takes and whose"
            " cost the budget bears",
            value=f"{wanted} {instrument.base}",
            remedy=f"use mode {way}, a range that reaches {beyond} the price, or a larger budget",
        )
    held_units = sum(slot.inventory_units for slot in slots)
    if instrument.kind is MarketKind.LINEAR and held_units != units:
        raise ConfigurationError(
            field="adopt",
            rule="must find slots for the whole position: the venue nets what is left over with"
            f" the grid's; they take {instrument.units_to_base(held_units)} {instrument.base}",
            value=f"{wanted} {instrument.base}",
            remedy="use a larger budget or order size, more levels, or reduce the position",
        )
    sources = [OWN_TRADES] if cost.traded_units else []
    sources += [PRICE_NOW] if cost.traded_units < units else []
    return Adoption(
        quantity=instrument.units_to_base(held_units),
        cost=instrument.units_to_quote(sum(slot.cost_units for slot in slots)),
        cost_from=" and ".join(sources),
        left_over=instrument.units_to_base(units - held_units),
        slots=tuple(_adopted(slot, grid) for slot in slots),
    )


def slots_of(document: Document, ladder_version: int, instrument: Instrument) -> list[Slot]:
    """The slots of a document, to be recorded with the symbol."""
    return [
        Slot(
            id=SlotId(ladder_version, int(held["slot"])),
            inventory_units=instrument.base_to_units(Decimal(held["inventory"])),
            cost_units=instrument.quote_to_units(Decimal(held["cost"])),
        )
        for held in document["slots"]
    ]


def _wanted(
    instrument: Instrument, spec: GridSpec, free: Decimal, quantity: Decimal | None
) -> Decimal:
    """How much to adopt; negative of a short position."""
    if instrument.kind is MarketKind.LINEAR:
        if not free or (quantity is not None and quantity != abs(free)):
            raise ConfigurationError(
                field="adopt.quantity",
                rule=f"must be the whole position, which is {free} {instrument.base}",
                value=quantity,
                remedy="leave it out" if free else "add the symbol without adopting",
            )
        return free
    free -= spec.base_inventory or Decimal(0)
    wanted = free if quantity is None else quantity
    if not 0 < wanted <= free:
        raise ConfigurationError(
            field="adopt.quantity",
            rule=f"must be covered by what no symbol holds: {max(free, Decimal(0))}"
            f" {instrument.base}",
            value=wanted,
            remedy="adopt less, or remove what holds it",
        )
    return wanted


def _adopted(slot: Slot, grid: Grid) -> AdoptedSlot:
    instrument = grid.instrument
    return AdoptedSlot(
        slot=slot.id.number,
        inventory=instrument.units_to_base(slot.inventory_units),
        cost=instrument.units_to_quote(slot.cost_units),
        exit_price=instrument.ticks_to_price(grid.exit_ticks(slot.id)),
        exit_quantity=instrument.lots_to_quantity(instrument.tradable_lots(slot.held_units)),
    )

"""What a restoration would do: the symbols it makes, and everything that speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from grid.anchor import Fit
from grid.grid import Grid
from grid.ladder import LadderVersion
from grid.phase import Phase
from grid.rebuild import Rebuilt, RebuiltOrder, TaggedOrder
from grid.spec import GridSpec
from ports.store import Desired


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRestoration:
    """One symbol as it would be."""

    symbol: str
    shard: int
    spec: GridSpec
    grid: Grid
    #: The current one last, each with the venue time from which on its entries lie on it.
    ladders: tuple[tuple[LadderVersion, int], ...]
    #: How each was found.
    fits: tuple[Fit, ...]
    start_price: Decimal
    phase: Phase
    desired: Desired
    rebuilt: Rebuilt
    #: Live orders that do not belong into the grid, and why: it cancels them.
    misfits: tuple[tuple[RebuiltOrder, str], ...] = ()
    last_trade_id: str | None
    #: Of contracts: what was there before the first trade that is recorded.
    found_position: Decimal = Decimal(0)
    #: Orders of shards of the same symbol that were removed before, oldest first. They are no part
    #: of the grid, nor is what they traded.
    former: tuple[TaggedOrder, ...] = ()

    @property
    def former_traded(self) -> tuple[TaggedOrder, ...]:
        return tuple(order for order in self.former if order.record.report.filled)

    @property
    def inventory(self) -> Decimal:
        units = sum(slot.inventory_units for slot in self.rebuilt.slots.values())
        return self.grid.instrument.units_to_base(units)

    @property
    def cost(self) -> Decimal:
        units = sum(slot.cost_units for slot in self.rebuilt.slots.values())
        return self.grid.instrument.units_to_quote(units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    nonce: int | None = None
    #: Orders of each installation that the venue tells.
    installations: Mapping[int, int] = field(default_factory=dict)
    symbols: tuple[SymbolRestoration, ...] = ()
    #: Declared, and without any order of ours.
    untraded: tuple[str, ...] = ()
    #: Highest number that any shard may have had.
    last_shard: int = 0
    #: Venue time; what ended before is left out.
    since_ms: int | None = None
    #: Why it must not be done; empty if nothing speaks against it.
    problems: tuple[str, ...] = ()

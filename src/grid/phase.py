"""Where a grid is in its life, as a pure function of the price and its profit.

::

    waiting → running → closing → ended
                      ↘──────────↗

A phase is persisted when it changes: a stop that was touched stays touched though the price comes
back, and a range that trailed the price stays where it went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from domain.ids import SlotId
from domain.market import BookTop
from grid.desired import Stance, desired_orders
from grid.grid import Grid
from grid.slots import Slot
from grid.spec import FixedRange, Mode, OnStop, Stop


class Stage(StrEnum):
    #: For the trigger price.
    WAITING = "waiting"
    RUNNING = "running"
    #: A stop was touched: inventory is being closed.
    CLOSING = "closing"
    #: Over; no orders.
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    stage: Stage
    #: What ended the grid, or began it where it had to wait.
    reason: str = ""
    #: Whether the price has to rise to the trigger, or to fall.
    trigger_above: bool = False
    #: Levels by which a fixed range has trailed the price.
    shift: int = 0

    @property
    def stance(self) -> Stance:
        match self.stage:
            case Stage.RUNNING:
                return Stance.TRADE
            case Stage.CLOSING:
                return Stance.FLATTEN
            case Stage.WAITING | Stage.ENDED:
                return Stance.NOTHING


def first_phase(trigger_price: Decimal | None, price: Decimal) -> Phase:
    """The phase of a grid that is added at a price."""
    if trigger_price is None:
        return Phase(stage=Stage.RUNNING)
    return Phase(stage=Stage.WAITING, trigger_above=trigger_price > price)


def next_phase(
    phase: Phase,
    grid: Grid,
    slots: Mapping[SlotId, Slot],
    book: BookTop,
    profit_at: Callable[[int], int],
) -> Phase:
    """The phase at a price; the same one if nothing changed.

    Parameters
    ----------
    grid : Grid
        As it is in this phase, its range shifted.
    profit_at : function of a mark price in ticks
        Total profit in quote units: pairs, round trips in progress and floating.
    """
    mid_ticks = book.mid_ticks
    match phase.stage:
        case Stage.WAITING:
            above = mid_ticks >= grid.start_ticks
            reached = above if phase.trigger_above else mid_ticks <= grid.start_ticks
            if not reached:
                return phase
            return replace(phase, stage=Stage.RUNNING, reason="the trigger price was reached")
        case Stage.RUNNING:
            reason = _why_stop(grid, mid_ticks, profit_at)
            if reason:
                closes = grid.spec.on_stop is OnStop.CLOSE
                stage = Stage.CLOSING if closes else Stage.ENDED
                return replace(phase, stage=stage, reason=reason)
            return replace(phase, shift=phase.shift + _trail(grid, mid_ticks))
        case Stage.CLOSING:
            if is_flat(grid, slots, book):
                return replace(phase, stage=Stage.ENDED)
            return phase
        case Stage.ENDED:
            return phase


def is_flat(grid: Grid, slots: Mapping[SlotId, Slot], book: BookTop) -> bool:
    """Whether no slot holds what the venue would let it close; one side of a book cannot tell."""
    if book.bid_ticks is None or book.ask_ticks is None:
        return False
    return not desired_orders(grid, slots, book, {}, stance=Stance.FLATTEN)


def touched_stop(grid: Grid, mid_ticks: int) -> tuple[str, Decimal] | None:
    """Name and price of a stop that is touched at a price; `None` if none is."""
    for name, stop, sign in _stops(grid):
        if stop.price is not None and _is_touched(grid, stop.price, sign, mid_ticks):
            return name, stop.price
    return None


def _why_stop(grid: Grid, mid_ticks: int, profit_at: Callable[[int], int]) -> str | None:
    instrument = grid.instrument
    for name, stop, sign in _stops(grid):
        if stop.price is not None and _is_touched(grid, stop.price, sign, mid_ticks):
            return f"{name}: the price reached {stop.price}"
        if stop.quote is not None:
            profit = instrument.units_to_quote(profit_at(mid_ticks))
            if sign * profit >= stop.quote:
                return f"{name}: the total profit is {profit} {instrument.quote}"
    return None


def _stops(grid: Grid) -> Iterator[tuple[str, Stop, int]]:
    """Each stop with its name and the sign of the profit at which it ends the grid."""
    if grid.spec.stop_loss is not None:
        yield "stop-loss", grid.spec.stop_loss, -1
    if grid.spec.take_profit is not None:
        yield "take-profit", grid.spec.take_profit, 1


def _is_touched(grid: Grid, stop: Decimal, sign: int, mid_ticks: int) -> bool:
    """Whether the price reached a stop.

    A long grid loses downwards and a short one upwards, wherever they started: their stops may be
    moved with the price. Of a neutral one it counts on which side of its start the stop lies.
    """
    price = grid.instrument.ticks_to_price(mid_ticks)
    if grid.spec.mode is Mode.NEUTRAL:
        is_above = stop > grid.instrument.ticks_to_price(grid.start_ticks)
    else:
        is_above = (sign > 0) is (grid.spec.mode is Mode.LONG)
    return price >= stop if is_above else price <= stop


def _trail(grid: Grid, mid_ticks: int) -> int:
    """Levels by which the range moves now, within the limits of its trailing."""
    trailing, range_ = grid.spec.trailing, grid.spec.range
    if trailing is None or not isinstance(range_, FixedRange):
        return 0
    ladder, instrument = grid.ladder, grid.instrument
    if trailing.up_to is not None and mid_ticks > ladder.price_ticks(ladder.highest_index):
        limit = instrument.ticks_to_price(ladder.price_ticks(ladder.highest_index + 1))
        return 1 if limit <= trailing.up_to else 0
    if trailing.down_to is not None and mid_ticks < ladder.price_ticks(ladder.lowest_index):
        limit = instrument.ticks_to_price(ladder.price_ticks(ladder.lowest_index - 1))
        return -1 if limit >= trailing.down_to else 0
    return 0

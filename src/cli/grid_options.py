"""The options that describe a grid, declared once for every command that takes one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from grid.spec import Mode, OnStop

_LADDER = "Ladder"
_ORDERS = "Orders and budget"
_ADAPTING = "Adapting to the market"
_LIFE = "Start and end"


class Spacing(StrEnum):
    ARITHMETIC = "arithmetic"
    GEOMETRIC = "geometric"


@dataclass(frozen=True, slots=True)
class At:
    """Where an option's value stands in the grid's document."""

    field: str


def _option(panel: str, text: str, metavar: str | None = None, *names: str) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=panel)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridOptions:
    """The options as typed; `None` where one was not given: defaults are the spec's."""

    mode: Annotated[
        Mode | None, At("mode"), _option(_LADDER, "Buy first, sell first, or both; long if unset.")
    ] = None
    step: Annotated[
        str | None, At("spacing.step"), _option(_LADDER, "From level to level, in quote.", "PRICE")
    ] = None
    step_bp: Annotated[
        str | None,
        At("spacing.ratio"),
        _option(_LADDER, "From level to level; 5 is a ratio of 1.0005.", "BP"),
    ] = None
    count: Annotated[
        int | None,
        At("spacing.count"),
        _option(_LADDER, "Levels of a fixed range instead of a step.", "LEVELS"),
    ] = None
    spacing: Annotated[
        Spacing | None,
        At("spacing.kind"),
        _option(_LADDER, "Follows from --step or --step-bp; arithmetic for --count if unset."),
    ] = None
    buy_window: Annotated[
        int | None,
        At("range.buy_window"),
        _option(_LADDER, "Live levels below the price.", "LEVELS"),
    ] = None
    sell_window: Annotated[
        int | None,
        At("range.sell_window"),
        _option(_LADDER, "Live levels above the price.", "LEVELS"),
    ] = None
    anchor: Annotated[
        str | None,
        At("range.anchor"),
        _option(_LADDER, "Level 0; the price now if unset.", "PRICE"),
    ] = None
    lower: Annotated[
        str | None, At("range.lower"), _option(_LADDER, "Lower end of a fixed range.", "PRICE")
    ] = None
    upper: Annotated[
        str | None, At("range.upper"), _option(_LADDER, "Upper end of a fixed range.", "PRICE")
    ] = None
    order_quote: Annotated[
        str | None,
        At("order_size.amount"),
        _option(_ORDERS, "Worth of each order, in quote.", "AMOUNT"),
    ] = None
    order_base: Annotated[
        str | None,
        At("order_size.amount"),
        _option(_ORDERS, "Size of each order, in base.", "AMOUNT"),
    ] = None
    budget: Annotated[
        str | None,
        At("budget_quote"),
        _option(_ORDERS, "Most quote tied up, each way of a neutral grid.", "AMOUNT"),
    ] = None
    base_inventory: Annotated[
        str | None,
        At("base_inventory"),
        _option(_ORDERS, "Base you hold for a short or neutral spot grid to sell.", "AMOUNT"),
    ] = None
    max_open_orders: Annotated[
        int | None, At("max_open_orders"), _option(_ORDERS, "Most orders at once.", "COUNT")
    ] = None
    placement_buffer: Annotated[
        str | None,
        At("placement_buffer"),
        _option(_ORDERS, "Of a step: no new order nearer to the price.", "PART"),
    ] = None
    price_collar: Annotated[
        str | None,
        At("price_collar"),
        _option(_ORDERS, "Of the price: no order farther from it.", "PART"),
    ] = None
    slippage: Annotated[
        str | None,
        At("slippage"),
        _option(_ORDERS, "Of the price: what an order filled at once may lose.", "PART"),
    ] = None
    skew: Annotated[
        str | None,
        At("skew.levels_per_slot"),
        _option(_ADAPTING, "Entries move so far away for each slot held.", "LEVELS"),
    ] = None
    skew_max: Annotated[
        int | None, At("skew.max_levels"), _option(_ADAPTING, "At most so far.", "LEVELS")
    ] = None
    volatility: Annotated[
        str | None,
        At("volatility.timeframe"),
        _option(_ADAPTING, "Widen the step with the true range of such candles.", "TIMEFRAME"),
    ] = None
    volatility_candles: Annotated[
        int | None, At("volatility.candles"), _option(_ADAPTING, "How many of them.", "COUNT")
    ] = None
    volatility_scale: Annotated[
        str | None,
        At("volatility.scale"),
        _option(_ADAPTING, "Step = so many times their average true range.", "FACTOR"),
    ] = None
    trail_up_to: Annotated[
        str | None,
        At("trailing.up_to"),
        _option(_ADAPTING, "A fixed range follows a rising price up to here.", "PRICE"),
    ] = None
    trail_down_to: Annotated[
        str | None,
        At("trailing.down_to"),
        _option(_ADAPTING, "A fixed range follows a falling price down to here.", "PRICE"),
    ] = None
    trigger_price: Annotated[
        str | None, At("trigger_price"), _option(_LIFE, "Wait until the price is there.", "PRICE")
    ] = None
    initial_position: Annotated[
        bool | None,
        At("initial_position"),
        _option(_LIFE, "Begin by taking up what the exits need.", None, "--initial-position"),
    ] = None
    stop_loss_price: Annotated[
        str | None, At("stop_loss.price"), _option(_LIFE, "End when the price is there.", "PRICE")
    ] = None
    stop_loss: Annotated[
        str | None, At("stop_loss.quote"), _option(_LIFE, "End at this total loss.", "AMOUNT")
    ] = None
    take_profit_price: Annotated[
        str | None, At("take_profit.price"), _option(_LIFE, "End when the price is there.", "PRICE")
    ] = None
    take_profit: Annotated[
        str | None, At("take_profit.quote"), _option(_LIFE, "End at this total profit.", "AMOUNT")
    ] = None
    on_stop: Annotated[
        OnStop | None,
        At("on_stop"),
        _option(_LIFE, "What then becomes of the inventory; kept if unset."),
    ] = None

    def given(self) -> Mapping[str, Any]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSource:
    """Where a grid is described: in options, or in a file that holds all of it."""

    options: GridOptions
    file: Path | None


_File = Annotated[Path | None, typer.Option(help="YAML or JSON with the whole grid instead.")]


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def fields_by_option() -> dict[str, str]:
    """Every option's field in the grid's document."""
    return {
        name: next(part.field for part in hint.__metadata__ if isinstance(part, At))
        for name, hint in get_type_hints(GridOptions, include_extras=True).items()
    }


def takes_grid(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of a grid; it gets them as its parameter `grid`."""
    hints = get_type_hints(GridOptions, include_extras=True)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for name, hint in (hints | {"file": _File}).items()
    ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        own = {name: given.pop(name) for name in hints}
        source = GridSource(options=GridOptions(**own), file=given.pop("file"))
        command(grid=source, **given)

    kept = dict(inspect.signature(command, eval_str=True).parameters)
    del kept["grid"]
    wanted = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in kept.values()]
    signature = inspect.Signature([*wanted, *options])
    with_options.__signature__ = signature  # type: ignore[attr-defined]  # what `inspect` reads
    with_options.__annotations__ = {
        each.name: each.annotation for each in signature.parameters.values()
    }
    return with_options

"""What an operator asks of a grid, as a document that reads the same from JSON, YAML and code.

`grid.check` says whether a spec makes sense on an instrument; here is only its form.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

#: Levels of a fixed range.
LEVELS_MAX = 2000
#: Levels of a window, on each side of the price.
WINDOW_MAX = 200
ORDERS_MAX = 1000
_TEXT_MAX = 64


def _exact(value: object) -> object:
    """Let only exact numbers in: a float has lost its decimals before it arrives."""
    if isinstance(value, bool | float):
        raise ValueError('must be exact: write it as a string, such as "0.1"')
    if isinstance(value, str) and len(value) > _TEXT_MAX:
        raise ValueError(f"must have at most {_TEXT_MAX} characters")
    return value


_Exact = Annotated[
    Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False, decimal_places=18, lt=10**15)
]
Positive = Annotated[_Exact, Field(gt=0)]
#: Growth of the price from level to level.
Ratio = Annotated[_Exact, Field(gt=1, le=2)]
#: A part of a whole, less than all of it.
Fraction = Annotated[_Exact, Field(ge=0, lt=1)]
Window = Annotated[int, Field(strict=True, ge=1, le=WINDOW_MAX)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArithmeticSpacing(_Part):
    kind: Literal["arithmetic"] = "arithmetic"
    #: Price from level to level, in quote.
    step: Positive


class GeometricSpacing(_Part):
    kind: Literal["geometric"] = "geometric"
    #: 1.0005 makes each level 5 bp dearer than the one below.
    ratio: Ratio


class DivisionSpacing(_Part):
    """A fixed range cut into levels: the first is its lower end, the last its upper one."""

    kind: Literal["division"] = "division"
    #: Levels, both ends included: one more than there are slots.
    count: Annotated[int, Field(strict=True, ge=2, le=LEVELS_MAX)]
    #: Whether levels lie equally far apart in quote, or in proportion.
    progression: Literal["arithmetic", "geometric"] = "arithmetic"


#: What a ladder is built with: a division has become one of these by then.
LadderSpacing = Annotated[ArithmeticSpacing | GeometricSpacing, Field(discriminator="kind")]
Spacing = Annotated[
    ArithmeticSpacing | GeometricSpacing | DivisionSpacing, Field(discriminator="kind")
]


class WindowRange(_Part):
    """A ladder without ends, of which the levels around the price are live."""

    kind: Literal["window"] = "window"
    buy_window: Window
    sell_window: Window
    #: Price of level 0; the price at which the symbol is added where it is not given.
    anchor: Positive | None = None


class FixedRange(_Part):
    """Levels from `lower` (level 0) upwards, while they are not above `upper`."""

    kind: Literal["fixed"] = "fixed"
    lower: Positive
    upper: Positive

    @model_validator(mode="after")
    def _is_ascending(self) -> FixedRange:
        if self.lower >= self.upper:
            raise ValueError(f"upper must be > lower, was {self.upper} with lower {self.lower}")
        return self


class QuoteSize(_Part):
    """Each order is worth this much quote, floored to whole lots."""

    kind: Literal["quote"] = "quote"
    amount: Positive


class BaseSize(_Part):
    """Each order is this much base, floored to whole lots."""

    kind: Literal["base"] = "base"
    amount: Positive


class Mode(StrEnum):
    """Which way slots trade."""

    LONG = "long"
    SHORT = "short"
    #: Below the middle long, above it short.
    NEUTRAL = "neutral"


class OnStop(StrEnum):
    """What becomes of the inventory when a grid ends."""

    KEEP = "keep"
    CLOSE = "close"


class Skew(_Part):
    """Inventory moves the window of entries against itself by whole levels."""

    #: For each slot of net inventory.
    levels_per_slot: Annotated[Positive, Field(le=10)]
    max_levels: Window


class Volatility(_Part):
    """The step follows the average true range of closed candles, upwards from `spacing`'s."""

    timeframe: Literal["1m", "5m", "15m", "1h", "4h", "1d"] = "1h"
    #: Closed candles in the average.
    candles: Annotated[int, Field(strict=True, ge=2, le=200)] = 14
    #: Step = this many times the average true range.
    scale: Annotated[Positive, Field(le=100)]


class Trailing(_Part):
    """A fixed range follows the price beyond its ends, a level at a time, up to these prices."""

    up_to: Positive | None = None
    down_to: Positive | None = None


class Stop(_Part):
    """When to end: at a price, at a total profit or loss in quote, or at whichever comes first."""

    price: Positive | None = None
    #: A profit for `take_profit`, a loss for `stop_loss`; both are written without sign.
    quote: Positive | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Stop:
        if self.price is None and self.quote is None:
            raise ValueError("must name a price or an amount of quote")
        return self


class GridSpec(_Part):
    mode: Mode = Mode.LONG
    spacing: Spacing
    range: Annotated[WindowRange | FixedRange, Field(discriminator="kind")]
    order_size: Annotated[QuoteSize | BaseSize, Field(discriminator="kind")]
    #: A level within this part of a step from the price gets no new order.
    placement_buffer: Fraction = Decimal("0.1")
    #: Most quote tied up in inventory, at cost, and in open entries; each way of a neutral grid.
    budget_quote: Positive
    #: Base that the operator holds for the short slots of a spot grid to sell.
    base_inventory: Positive | None = None
    max_open_orders: Annotated[int, Field(strict=True, ge=1, le=ORDERS_MAX)] = 200
    #: No order is placed farther from the price than this part of it.
    price_collar: Annotated[Fraction, Field(gt=0)] = Decimal("0.5")
    skew: Skew | None = None
    volatility: Volatility | None = None
    trailing: Trailing | None = None
    #: The grid waits until the price reaches this from where it was when the symbol was added.
    trigger_price: Positive | None = None
    #: Take up the inventory that the slots beyond the price need, at once, when the grid starts.
    initial_position: bool = False
    stop_loss: Stop | None = None
    take_profit: Stop | None = None
    on_stop: OnStop = OnStop.KEEP
    #: How much worse than the best price an order may be that must be filled at once.
    slippage: Annotated[Fraction, Field(gt=0, le=Decimal("0.1"))] = Decimal("0.005")

    @model_validator(mode="after")
    def _fits_together(self) -> GridSpec:
        if self.trailing and not isinstance(self.range, FixedRange):
            raise ValueError("trailing needs a fixed range: a window follows the price by itself")
        if isinstance(self.spacing, DivisionSpacing) and not isinstance(self.range, FixedRange):
            raise ValueError("a count of levels needs a fixed range: a window has no ends")
        if self.volatility and isinstance(self.range, FixedRange):
            raise ValueError("volatility needs a window: the levels of a fixed range are given")
        return self

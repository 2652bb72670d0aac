"""What an operator asks of a grid, as a document that reads the same from JSON, YAML and code.

`grid.check` says whether a spec makes sense on an instrument; here is only its form.
"""

from __future__ import annotations

from decimal import Decimal
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


class GridSpec(_Part):
    mode: Literal["long"] = "long"
    spacing: Annotated[ArithmeticSpacing | GeometricSpacing, Field(discriminator="kind")]
    range: Annotated[WindowRange | FixedRange, Field(discriminator="kind")]
    order_size: Annotated[QuoteSize | BaseSize, Field(discriminator="kind")]
    #: A level within this part of a step from the price gets no new order.
    placement_buffer: Fraction = Decimal("0.1")
    #: Most quote tied up in inventory, at cost, and in open entries.
    budget_quote: Positive
    max_open_orders: Annotated[int, Field(strict=True, ge=1, le=ORDERS_MAX)] = 200
    #: No order is placed farther from the price than this part of it.
    price_collar: Annotated[Fraction, Field(gt=0)] = Decimal("0.5")

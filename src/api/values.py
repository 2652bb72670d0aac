"""Kinds of values that many routes share, as documents and addresses write them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

ROWS_MAX = 1_000

#: Written in full: no exponent, and no float that would lose decimals.
Exact = Annotated[
    Decimal,
    PlainSerializer(lambda value: f"{value:f}", return_type=str),
    Field(examples=["61750.10"]),
]
Moment = Annotated[AwareDatetime, Field(examples=["2026-01-31T12:00:00.123456Z"])]
Symbol = Annotated[
    str, Field(pattern=r"^[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(:[A-Z0-9]{1,20})?$", examples=["BTC/USDT"])
]
#: A path has no room for a slash: there BTC/USDT is BTC-USDT.
SymbolInAddress = Annotated[
    str,
    Field(pattern=r"^[A-Z0-9]{1,20}[-/][A-Z0-9]{1,20}(:[A-Z0-9]{1,20})?$", examples=["BTC-USDT"]),
    AfterValidator(lambda dashed: dashed.replace("-", "/")),
]


class Record(BaseModel):
    """A document made of a record of `store.history`."""

    model_config = ConfigDict(from_attributes=True)


class OfSymbol(BaseModel):
    """The query of a list that may be narrowed to one symbol."""

    model_config = ConfigDict(extra="forbid")

    symbol: SymbolInAddress | None = Field(default=None, description="All of them without it.")


class NewestOfSymbol(OfSymbol):
    """The query of a long list, whose newest rows are answered."""

    limit: int = Field(default=100, ge=1, le=ROWS_MAX)

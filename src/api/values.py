"""Kinds of values that many routes share, as they are written in documents and addresses."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer

ROWS_MAX = 1_000

#: Written in full: no exponent, and no float that would lose decimals.
Exact = Annotated[
    Decimal,
    PlainSerializer(lambda value: f"{value:f}", return_type=str),
    Field(examples=["60000.10"]),
]
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}/[A-Z0-9]{1,20}$", examples=["BTC/USDT"])]
#: An address has no room for a slash: there BTC/USDT is BTC-USDT.
SymbolInAddress = Annotated[
    str,
    Field(pattern=r"^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}$", examples=["BTC-USDT"]),
    AfterValidator(lambda dashed: dashed.replace("-", "/")),
]
RowsMax = Annotated[int, Field(ge=1, le=ROWS_MAX)]

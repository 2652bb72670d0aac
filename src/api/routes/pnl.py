"""Profit and loss of each symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from api.served import Running
from api.values import Exact, Moment, OfSymbol, Record, Symbol
from ports.store import Status
from store import history

router = APIRouter(prefix="/pnl", tags=["pnl"])


class Profit(Record):
    """What a symbol earned, in its quote asset."""

    symbol: Symbol
    account: str = Field(examples=["sim"])
    base: str = Field(examples=["BTC"])
    quote: str = Field(examples=["USDT"])
    status: Status
    pairs: int = Field(description="Round trips closed.", examples=[17])
    grid: Exact = Field(description="Profit of closed round trips, after fees.")
    unpaired: Exact = Field(description="Sold in open round trips, less what that had cost.")
    floating: Exact | None = Field(description="Inventory at the mark, less its cost.")
    funding: Exact = Field(description="What a contract's position got, less what it paid.")
    total: Exact | None = Field(description="All of these together.")
    fees: dict[str, Exact] = Field(
        description="Paid, by asset; the profits are after them.", examples=[{"USDT": "0.0123"}]
    )
    inventory: Exact = Field(description="In base.", examples=["0.0042"])
    cost: Exact
    mark: Exact | None = Field(
        description="Middle of the book at the last decision, or else price of the last fill."
    )
    mark_at: Moment | None = Field(description="When that was seen.")


@router.get("", response_model=list[Profit])
async def list_profits(
    served: Running, query: Annotated[OfSymbol, Query()]
) -> Sequence[history.ProfitRecord]:
    """Profit from pairs, from open round trips, and floating."""
    return await history.profits(served.database.engine, query.symbol)

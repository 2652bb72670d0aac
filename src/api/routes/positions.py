"""Positions: the inventory of each symbol, slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from api.served import Running
from api.values import Exact, Moment, OfSymbol, Record, Symbol
from ports.store import Status
from store import history

router = APIRouter(prefix="/positions", tags=["positions"])


class Slot(Record):
    """What one slot of the grid holds."""

    ladder_version: int = Field(examples=[0])
    slot: int = Field(description="Index on the ladder; level 0 is the anchor.", examples=[-3])
    inventory: Exact = Field(description="In base.", examples=["0.001"])
    cost: Exact = Field(description="In quote.")
    average_price: Exact | None
    dust: Exact = Field(description="The part that is less than a lot.", examples=["0.0000009"])
    closed: Exact = Field(description="Base closed in the open round.", examples=["0"])
    proceeds: Exact = Field(description="Quote received for it.", examples=["0"])


class Position(Record):
    """The inventory of a symbol."""

    symbol: Symbol
    account: str = Field(examples=["sim"])
    base: str = Field(examples=["BTC"])
    quote: str = Field(examples=["USDT"])
    status: Status
    inventory: Exact = Field(description="In base.", examples=["0.0042"])
    cost: Exact = Field(description="Quote paid for it, quote fees included.")
    average_price: Exact | None
    dust: Exact = Field(description="Parts of slots that are less than a lot.", examples=["0"])
    slots: list[Slot]
    reconciled_at: Moment | None = Field(description="Last comparison with the exchange.")


@router.get("", response_model=list[Position])
async def list_positions(
    served: Running, query: Annotated[OfSymbol, Query()]
) -> Sequence[history.PositionRecord]:
    """What each symbol holds, and what that cost."""
    return await history.positions(served.database.engine, query.symbol)

"""Fills: every trade of the account in our symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from api.served import Running
from api.values import Exact, Moment, NewestOfSymbol, Record, Symbol
from domain.ids import Side
from ports.store import Origin
from store import history

router = APIRouter(prefix="/fills", tags=["fills"])


class Fill(Record):
    """A trade as the venue reported it."""

    symbol: Symbol
    account: str = Field(examples=["sim"])
    trade_id: str = Field(description="The venue's.", examples=["10231"])
    venue_order_id: str = Field(examples=["9004"])
    client_order_id: str | None = Field(description="Of the own order that it filled.")
    origin: Origin = Field(description="Ours, a person's, or of an order not known yet.")
    side: Side
    price: Exact
    quantity: Exact = Field(description="In base, before fees.", examples=["0.001"])
    fee: Exact = Field(examples=["0.00618"])
    fee_asset: str = Field(examples=["USDT"])
    is_maker: bool
    traded_at: Moment = Field(description="The venue's time.")
    recorded_at: Moment


@router.get("", response_model=list[Fill])
async def list_fills(
    served: Running, query: Annotated[NewestOfSymbol, Query()]
) -> Sequence[history.FillRecord]:
    """The newest trades first."""
    return await history.fills(served.database.engine, query.symbol, limit=query.limit)

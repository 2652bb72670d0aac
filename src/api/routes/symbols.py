"""Symbols: what is traded, and requests to begin, hold and end it."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.body import StrictRoute
from api.changes import CHANGE_RESPONSES, Asked, Change
from api.values import Symbol, SymbolInAddress
from grid.spec import GridSpec

router = APIRouter(prefix="/symbols", tags=["symbols"], route_class=StrictRoute)

_GRID = {
    "spacing": {"kind": "geometric", "ratio": "1.0005"},
    "range": {"kind": "window", "buy_window": 5, "sell_window": 5},
    "order_size": {"kind": "quote", "amount": "50"},
    "budget_quote": "1000",
}


class NewSymbol(BaseModel):
    """A symbol and the grid to trade it with."""

    model_config = ConfigDict(extra="forbid")

    symbol: Symbol
    spec: GridSpec = Field(examples=[_GRID])


@router.post("", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def add_symbol(new: NewSymbol, asked: Asked) -> Change:
    """Trade a symbol; the result tells the numbers that its grid comes to, or why not."""
    spec = new.spec.model_dump(mode="json")
    return await asked.answer(await asked.requests.add(new.symbol, spec, asked.request_id))


@router.post("/{symbol}/pause", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def pause_symbol(symbol: SymbolInAddress, asked: Asked) -> Change:
    """Stop buying: live entries are cancelled, exits go on."""
    return await asked.answer(await asked.requests.pause(symbol, asked.request_id))


@router.post("/{symbol}/resume", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def resume_symbol(symbol: SymbolInAddress, asked: Asked) -> Change:
    """Trade on after a pause."""
    return await asked.answer(await asked.requests.resume(symbol, asked.request_id))


@router.delete("/{symbol}", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def remove_symbol(symbol: SymbolInAddress, asked: Asked) -> Change:
    """End its trading: all its orders are cancelled, its inventory is kept."""
    return await asked.answer(await asked.requests.remove(symbol, asked.request_id))

"""Symbols: what is traded, and requests to begin, hold and end it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.body import StrictRoute
from api.changes import CHANGE_RESPONSES, Asked, Change
from api.problems import documented
from api.served import Running
from api.values import Exact, Moment, Record, Symbol, SymbolInAddress
from grid.phase import Stage
from grid.spec import GridSpec, Positive
from orchestrator.guarded import GuardedSymbol, guarded
from orchestrator.requests import AdoptRequest
from ports.store import Desired, Status
from store import history

router = APIRouter(prefix="/symbols", tags=["symbols"], route_class=StrictRoute)

_GRID = {
    "spacing": {"kind": "geometric", "ratio": "1.0005"},
    "range": {"kind": "window", "buy_window": 5, "sell_window": 5},
    "order_size": {"kind": "quote", "amount": "50"},
    "budget_quote": "1000",
}


class Adopt(BaseModel):
    """How much of the base that no symbol holds is to be taken over."""

    model_config = ConfigDict(extra="forbid")

    quantity: Positive | None = Field(
        default=None, description="All of it if not given.", examples=["0.5"]
    )


class NewSymbol(BaseModel):
    """A symbol and the grid to trade it with."""

    model_config = ConfigDict(extra="forbid")

    symbol: Symbol
    spec: GridSpec = Field(examples=[_GRID])
    adopt: Adopt | None = Field(
        default=None, description="Let slots begin with base that the account holds."
    )


class TradedSymbol(Record):
    """A symbol as Postgres knows it."""

    symbol: Symbol
    account: str = Field(examples=["sim"])
    shard: int = Field(description="Part of every client order id of the symbol.", examples=[1])
    base: str = Field(examples=["BTC"])
    quote: str = Field(examples=["USDT"])
    desired: Desired = Field(description="What the operator wants.")
    status: Status = Field(description="What is.")
    reason: str = Field(description="Why it has that status; often empty.", examples=[""])
    spec: dict[str, Any] = Field(description="The grid as asked for.", examples=[_GRID])
    spec_version: int = Field(description="Raised by each update.", examples=[1])
    stage: Stage = Field(description="Where the grid is in its life.")
    start_price: Exact = Field(description="Price at which the grid starts.")
    ladder_version: int = Field(description="Of the ladder that takes entries now.", examples=[0])
    anchor: Exact = Field(description="Price of its level 0.")
    spacing: dict[str, Any] = Field(examples=[{"kind": "arithmetic", "step": "10"}])
    epoch: int = Field(description="Raised each time a node takes the symbol.", examples=[3])
    node: str | None = Field(description="Which node runs it.", examples=["trader-1"])
    live_orders: int = Field(examples=[10])
    dead_man_switch_s: int = Field(
        description="After so long without word of a node the venue is asked to cancel its orders: "
        "the setting, or more with many symbols; 0: never. /metrics of its node tells what is "
        "armed.",
        examples=[60],
    )
    inventory: Exact = Field(
        description="Base held by its slots; negative where they owe it.", examples=["0.0042"]
    )
    cost: Exact = Field(description="What that cost, in quote.")
    pairs: int = Field(description="Round trips closed.", examples=[17])
    grid_profit: Exact = Field(description="Their profit after fees, in quote.")
    bid: Exact | None = Field(description="Best bid that the last decision saw.")
    ask: Exact | None = Field(description="Best ask that the last decision saw.")
    last_decision_at: Moment | None
    reconciled_at: Moment | None = Field(description="Last comparison with the exchange.")
    requested_by: str = Field(examples=["add:sim-BTC-USDT:2b0f8a1c"])
    created_at: Moment
    updated_at: Moment
    ended_at: Moment | None


class SymbolsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    include_removed: bool = False


@router.get("", response_model=list[TradedSymbol])
async def list_symbols(
    served: Running, query: Annotated[SymbolsQuery, Query()]
) -> Sequence[GuardedSymbol]:
    """Every symbol that is traded, and if asked for those that were."""
    engine = served.database.engine
    found = await history.symbols(engine, include_removed=query.include_removed)
    return await guarded(served.settings, engine, found)


@router.get("/{symbol}", response_model=TradedSymbol, responses=documented(HTTPStatus.NOT_FOUND))
async def show_symbol(symbol: SymbolInAddress, served: Running) -> GuardedSymbol:
    """One symbol; the last of its lives if it was removed."""
    engine = served.database.engine
    found = await history.symbol(engine, symbol)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{symbol} was never added")
    (shown,) = await guarded(served.settings, engine, [found])
    return shown


@router.post("", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def add_symbol(new: NewSymbol, asked: Asked) -> Change:
    """Trade a symbol; the result tells the numbers that its grid comes to, or why not."""
    spec = new.spec.model_dump(mode="json")
    adopt = None if new.adopt is None else AdoptRequest(new.adopt.quantity)
    return await asked.answer(
        await asked.requests.add(new.symbol, spec, asked.request_id, adopt=adopt)
    )


@router.post("/{symbol}/pause", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def pause_symbol(symbol: SymbolInAddress, asked: Asked) -> Change:
    """Stop buying: live entries are cancelled, exits go on."""
    return await asked.answer(await asked.requests.pause(symbol, asked.request_id))


@router.post("/{symbol}/resume", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def resume_symbol(symbol: SymbolInAddress, asked: Asked) -> Change:
    """Trade on after a pause."""
    return await asked.answer(await asked.requests.resume(symbol, asked.request_id))


@router.delete("/{symbol}", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def remove_symbol(
    symbol: SymbolInAddress,
    asked: Asked,
    close: Annotated[bool, Query(description="Close its inventory first.")] = False,
) -> Change:
    """End its trading: all its orders are cancelled, its inventory is kept or closed first."""
    return await asked.answer(await asked.requests.remove(symbol, asked.request_id, close=close))

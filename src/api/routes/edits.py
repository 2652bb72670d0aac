"""Other grids for a symbol that is traded: what one would do, to ask for it, and to go back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.body import StrictRoute
from api.changes import CHANGE_RESPONSES, Asked, Change
from api.problems import documented
from api.served import Running
from api.values import Exact, Moment, Record, Symbol, SymbolInAddress
from domain.errors import RequestRefused
from grid.phase import Stage
from grid.spec import GridSpec
from orchestrator.preview import Preview, preview_update
from store import history
from store.specs import NOTE_MAX

router = APIRouter(prefix="/symbols", tags=["symbols"], route_class=StrictRoute)

_Version = Annotated[int, Field(strict=True, ge=1, examples=[2])]
_Note = Annotated[str, Field(max_length=NOTE_MAX, examples=["wider, for the weekend"])]


class OtherGrid(BaseModel):
    """A whole grid to take the place of the present one."""

    model_config = ConfigDict(extra="forbid")

    spec: GridSpec
    expected_version: _Version | None = Field(
        default=None, description="Refuse unless this is the current version."
    )


class Update(OtherGrid):
    """A whole grid to trade on from now on."""

    note: _Note = ""


class Revert(BaseModel):
    """The version whose grid is wanted again."""

    model_config = ConfigDict(extra="forbid")

    to: _Version
    note: _Note = ""


class OrderInPreview(Record):
    """An order that rests, or would."""

    side: str = Field(examples=["buy"])
    price: Exact
    quantity: Exact
    purpose: str = Field(examples=["entry"])
    ladder_version: int = Field(examples=[0])
    slot: int = Field(examples=[-3])
    client_order_id: str | None = Field(description="Of one that rests already.")


class NumbersOfMarket(Record):
    """What a grid comes to at the present price."""

    profit_per_round_trip: Exact = Field(description="In quote, after maker fees on both sides.")
    order_quantity: Exact
    lowest_buy: Exact
    highest_sell: Exact
    max_inventory: Exact


class NumbersOfGrid(Record):
    """The numbers of one of both grids."""

    budget_quote: Exact
    max_open_orders: int = Field(examples=[200])
    ladder_version: int = Field(examples=[0])
    stage: Stage = Field(description="Where it is in its life.")
    report: NumbersOfMarket | None = Field(description="Null if the market would refuse it now.")


class PreviewOfUpdate(Record):
    """What an update would do at the price of the symbol's last decision."""

    symbol: Symbol
    version: int = Field(description="The current one.", examples=[1])
    price: Exact
    go: Sequence[OrderInPreview] = Field(description="Would be cancelled.")
    come: Sequence[OrderInPreview] = Field(description="Would be placed.")
    stay: Sequence[OrderInPreview] = Field(description="Rest on.")
    now: NumbersOfGrid
    then: NumbersOfGrid


class VersionOfGrid(Record):
    """One grid that the symbol had, or has."""

    version: int = Field(examples=[2])
    is_current: bool
    ladder_version: int = Field(description="Of the ladder it began with.", examples=[0])
    spec: dict[str, Any]
    note: str
    requested_by: str = Field(examples=["update:sim-BTC-USDT:2b0f8a1c"])
    made_at: Moment
    changes: Mapping[str, Sequence[Any]] = Field(
        description="Fields that differ from the version before: their value there, and here."
    )


@router.put("/{symbol}/spec", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def update_symbol(symbol: SymbolInAddress, wanted: Update, asked: Asked) -> Change:
    """Trade a symbol on another grid; orders that it wants, too, rest on."""
    return await asked.answer(
        await asked.requests.update(
            symbol,
            wanted.spec.model_dump(mode="json"),
            asked.request_id,
            note=wanted.note,
            expected_version=wanted.expected_version,
        )
    )


@router.post("/{symbol}/revert", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def revert_symbol(symbol: SymbolInAddress, wanted: Revert, asked: Asked) -> Change:
    """Trade a symbol on the grid of an earlier version, which becomes a new version."""
    return await asked.answer(
        await asked.requests.revert(symbol, wanted.to, asked.request_id, note=wanted.note)
    )


@router.post(
    "/{symbol}/preview",
    response_model=PreviewOfUpdate,
    responses=documented(HTTPStatus.CONFLICT),
)
async def preview_symbol(symbol: SymbolInAddress, wanted: OtherGrid, served: Running) -> Preview:
    """Show what an update would do; it has no effect and asks the exchange nothing."""
    settings = served.settings
    try:
        return await preview_update(
            served.database.engine,
            settings.account.name,
            symbol,
            wanted.spec,
            wanted.expected_version,
            settings.risk.portfolio,
        )
    except RequestRefused as error:
        raise HTTPException(HTTPStatus.CONFLICT, str(error)) from None


@router.get(
    "/{symbol}/versions",
    response_model=list[VersionOfGrid],
    responses=documented(HTTPStatus.NOT_FOUND),
)
async def list_versions(symbol: SymbolInAddress, served: Running) -> Sequence[history.SpecVersion]:
    """Every grid that a symbol has had, the first one first."""
    found = await history.spec_versions(served.database.engine, symbol)
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{symbol} was never added")
    return found

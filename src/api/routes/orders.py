"""Orders: what was intended, what became of it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.exceptions import HTTPException

from api.problems import documented
from api.routes.fills import Fill
from api.routes.workflows import WorkflowWithSteps
from api.served import Running
from api.values import Exact, Moment, NewestOfSymbol, Record, Symbol
from domain.ids import Side
from domain.orders import OrderStatus
from store import history

router = APIRouter(prefix="/orders", tags=["orders"])

OrderId = Annotated[
    str,
    Path(max_length=64, description="Ours, or the venue's.", examples=["0YxKq3vT9aBcD12EfG"]),
]
_NOT_FOUND = documented(HTTPStatus.NOT_FOUND)


class Order(Record):
    """An order as it was intended, and what became of it."""

    client_order_id: str = Field(examples=["0YxKq3vT9aBcD12EfG"])
    venue_order_id: str | None = Field(examples=["9004"])
    symbol: Symbol
    decision_id: str = Field(
        description="The decision it is of, and the id of its plan's workflow.",
        examples=["sim-BTC-USDT:3:17"],
    )
    slot: int = Field(description="Index on the ladder.", examples=[-3])
    ladder_version: int = Field(examples=[0])
    generation: int = Field(description="Counts the orders of a slot and side.", examples=[4])
    purpose: str = Field(description="entry, exit, initial, flatten or stop.", examples=["entry"])
    side: Side
    price: Exact
    quantity: Exact = Field(description="In base.", examples=["0.001"])
    filled: Exact = Field(description="In base, so far.", examples=["0"])
    post_only: bool
    reason: str = Field(description="Why it was decided.", examples=["entry below the price"])
    status: OrderStatus
    status_reason: str = Field(examples=[""])
    cancel_requested: bool
    intended_at: Moment = Field(description="Committed, before anything was sent.")
    updated_at: Moment
    ended_at: Moment | None


class Decision(Record):
    """A batch of orders, and the market that it saw."""

    decision_id: str = Field(examples=["sim-BTC-USDT:3:17"])
    epoch: int = Field(examples=[3])
    sequence: int = Field(examples=[17])
    bid: Exact | None
    ask: Exact | None
    exchange_at: Moment | None = Field(description="The venue's time of that book.")
    causes: list[str] = Field(
        description="What had changed since the one before.", examples=[["price", "trade 10231"]]
    )
    cancels: list[dict[str, Any]]
    places: list[dict[str, Any]]
    refused: list[dict[str, Any]] = Field(description="What the risk gate kept back, and why.")
    decided_at: Moment


class Event(Record):
    at: Moment
    what: str = Field(examples=["intent committed"])


class Why(Record):
    """Why an order exists, and its whole story."""

    order: Order
    decision: Decision | None
    before: Order | None = Field(description="The order that its slot had before.")
    plan: WorkflowWithSteps | None = Field(description="The workflow that sent it.")
    fills: list[Fill]
    events: list[Event] = Field(description="Oldest first.")


class OrdersQuery(NewestOfSymbol):
    live_only: bool = Field(default=True, description="Only orders that may rest at the venue.")


@router.get("", response_model=list[Order])
async def list_orders(
    served: Running, query: Annotated[OrdersQuery, Query()]
) -> Sequence[history.OrderRecord]:
    """The newest first; live ones if not asked otherwise."""
    return await history.orders(
        served.database.engine, query.symbol, live_only=query.live_only, limit=query.limit
    )


@router.get("/{order_id}", response_model=Order, responses=_NOT_FOUND)
async def show_order(order_id: OrderId, served: Running) -> history.OrderRecord:
    """One order."""
    found = await history.order(served.database.engine, order_id)
    if found is None:
        raise _unknown(order_id)
    return found


@router.get("/{order_id}/why", response_model=Why, responses=_NOT_FOUND)
async def explain_order(order_id: OrderId, served: Running) -> history.Story:
    """Which decision made it, on which market and causes, how it was sent, and what happened."""
    story = await history.why(served.database.engine, order_id)
    if story is None:
        raise _unknown(order_id)
    return story


def _unknown(order_id: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"no order has the id {order_id!r}")

"""Live events: each symbol as it is, and again whenever it changes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from api.event_stream import MEDIA_TYPE, EventStream
from api.feed import Feed
from api.served import Served
from api.values import Exact, Moment, Record, Symbol
from ports.store import Desired, Status
from store import history
from symbol_manager.view import ShardView

router = APIRouter(tags=["symbols"])


class LiveSymbol(Record):
    """A symbol as an event tells it."""

    symbol: Symbol
    shard: int
    desired: Desired = Field(description="What the operator wants.")
    status: Status = Field(description="What is.")
    reason: str = Field(description="Why it has that status; often empty.")
    node: str | None = Field(description="Which node runs it.")
    epoch: int = Field(description="Raised each time a node takes the symbol.")
    bid: Exact | None = Field(
        description="Best bid: now, if this node runs it, or else at the last decision."
    )
    ask: Exact | None = Field(description="Best ask, likewise.")
    live_orders: int
    fills: int = Field(description="Own trades so far.")
    pairs: int = Field(description="Round trips closed.")
    grid_profit: Exact = Field(description="Their profit after fees, in quote.")
    inventory: Exact = Field(description="In base.")
    cost: Exact = Field(description="What that cost, in quote.")
    last_decision_at: Moment | None


def _feed(request: Request) -> Feed:
    return cast(Feed, request.app.state.feed)


@router.get(
    "/events",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses={
        HTTPStatus.OK.value: {
            "description": "Server-sent events",
            "content": {
                MEDIA_TYPE: {
                    "schema": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": "#/components/schemas/LiveSymbol"},
                    }
                }
            },
        }
    },
)
async def stream_events(feed: Annotated[Feed, Depends(_feed)]) -> EventStream:
    """Every symbol as it is, then each that changes, as server-sent events until the client leaves.

    `symbol` is a symbol as it is now; `removed` names one that is traded no more; `database` says
    whether Postgres answers: while it does not, what was told is old. Looked at once a second, for
    all clients together. A client gets the newest of each and may miss what was in between; one
    that takes nothing for 10 s is disconnected. Who comes again is told everything anew.
    """
    return EventStream(feed)


async def look_at_symbols(served: Served) -> Mapping[str, bytes]:
    """Each symbol's document by its name, on whatever node it runs."""
    found = await history.symbols(served.database.engine)
    return {record.symbol: _document(record, served.node.views) for record in found}


def _document(record: history.SymbolRecord, views: Mapping[int, ShardView]) -> bytes:
    live = LiveSymbol.model_validate(record)
    view = views.get(record.shard)
    if view is not None and view.epoch == record.epoch and view.book is not None:
        live.bid = _price(view.book.bid_ticks, record.tick_size)
        live.ask = _price(view.book.ask_ticks, record.tick_size)
    return live.model_dump_json().encode()


def _price(ticks: int | None, tick_size: Decimal) -> Decimal | None:
    return None if ticks is None else ticks * tick_size

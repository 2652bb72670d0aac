"""The nodes that share the symbols, and draining one of them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.exceptions import HTTPException

from api.body import StrictRoute
from api.problems import documented
from api.served import Running
from api.values import Moment, Record
from store import history
from store.nodes import Nodes

router = APIRouter(prefix="/nodes", tags=["nodes"], route_class=StrictRoute)

Name = Annotated[str, Path(min_length=1, max_length=200, examples=["trader-1"])]


class SharingNode(Record):
    """A process that joined and did not leave; a silent one may be lost."""

    name: str = Field(examples=["trader-1"])
    executor_id: str = Field(description="The name, and a part drawn at each start.")
    host: str
    pid: int
    symbols: int = Field(description="How many it runs.", examples=[12])
    capacity: int = Field(description="How many it may run.", examples=[500])
    is_draining: bool = Field(description="Its symbols go to other nodes, and it takes none.")
    started_at: Moment
    heartbeat_at: Moment
    exchange_at: Moment | None = Field(description="When it last reached the exchange.")


@router.get("", response_model=list[SharingNode])
async def list_nodes(served: Running) -> Sequence[history.NodeRecord]:
    """Every node that joined, the oldest first."""
    return await history.nodes(served.database.engine)


@router.post(
    "/{name}/drain",
    response_model=list[SharingNode],
    responses=documented(HTTPStatus.NOT_FOUND),
)
async def drain(served: Running, name: Name) -> Sequence[history.NodeRecord]:
    """Have its symbols moved to other nodes; their orders stay at the exchange.

    The answer shows the node as it is now: it runs nothing when `symbols` is 0.
    """
    return await _set_draining(served, name, is_draining=True)


@router.post(
    "/{name}/undrain",
    response_model=list[SharingNode],
    responses=documented(HTTPStatus.NOT_FOUND),
)
async def undrain(served: Running, name: Name) -> Sequence[history.NodeRecord]:
    """Let it take symbols again."""
    return await _set_draining(served, name, is_draining=False)


async def _set_draining(
    served: Running, name: str, *, is_draining: bool
) -> Sequence[history.NodeRecord]:
    engine = served.database.engine
    changed = await Nodes(engine).drain(name, is_draining=is_draining)
    if not changed:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no node {name}")
    return [node for node in await history.nodes(engine) if node.executor_id in changed]

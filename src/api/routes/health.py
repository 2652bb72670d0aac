"""What a supervisor asks, without the token: is the process alive, ready, and well?"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.served import Running, Served
from domain.errors import StoreUnavailable
from ports.store import Status
from store import history

#: A Postgres that takes longer is not ready to trade with.
DATABASE_WAIT_S = 2.0

router = APIRouter(tags=["operations"])


class Wellness(StrEnum):
    OK = "ok"
    #: It works, but something needs a look.
    DEGRADED = "degraded"
    FAILED = "failed"


class Health(BaseModel):
    status: Wellness = Field(description="The worst of the components.")
    components: dict[str, Wellness] = Field(examples=[{"database": "ok", "symbols": "ok"}])


class Answer(BaseModel):
    status: Wellness


_NOT_READY = {503: {"model": Answer, "description": "Postgres does not answer"}}


@router.get("/live")
async def live() -> Answer:
    """The process serves requests; if it does not answer, restart it."""
    return Answer(status=Wellness.OK)


@router.get("/ready", responses={503: {"model": Answer, "description": "Postgres is silent"}})
async def ready(served: Running, response: Response) -> Answer:
    """Changes can be asked for: Postgres answers."""
    if await _is_killed(served) is None:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status=Wellness.FAILED)
    return Answer(status=Wellness.OK)


@router.get("/health", responses={503: {"model": Health, "description": "A component failed"}})
async def health(served: Running, response: Response) -> Health:
    """How each component is; 503 if one failed."""
    is_killed = await _is_killed(served)
    is_halted = any(view.status is Status.HALTED for view in served.node.views.values())
    components = {
        "database": Wellness.FAILED if is_killed is None else Wellness.OK,
        "disk": Wellness.FAILED if served.is_disk_full else Wellness.OK,
        "kill_switch": Wellness.DEGRADED if is_killed else Wellness.OK,
        "symbols": Wellness.DEGRADED if is_halted else Wellness.OK,
    }
    if Wellness.FAILED in components.values():
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status=max(components.values(), key=list(Wellness).index), components=components)


async def _is_killed(served: Served) -> bool | None:
    """`None` if Postgres does not answer in time."""
    try:
        async with asyncio.timeout(DATABASE_WAIT_S):
            kill_switch = await history.kill_switch(served.database.engine)
    except (StoreUnavailable, TimeoutError):
        return None
    return kill_switch is not None and kill_switch.engaged

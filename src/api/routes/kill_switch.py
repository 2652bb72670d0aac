"""The kill switch: stop everything now, and allow orders again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.body import StrictRoute
from api.changes import CHANGE_RESPONSES, Asked, Change

router = APIRouter(tags=["kill switch"], route_class=StrictRoute)


class Why(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[
        str, Field(min_length=1, max_length=500, examples=["the venue sends odd prices"])
    ]


@router.post("/kill", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def kill(why: Why, asked: Asked) -> Change:
    """Stop all trading: no order is placed after this answer, and all own orders are cancelled.

    It stays so through restarts, until it is re-armed. The result counts the orders still live.
    """
    return await asked.answer(await asked.requests.kill(why.reason, asked.request_id))


@router.post("/rearm", status_code=HTTPStatus.ACCEPTED, responses=CHANGE_RESPONSES)
async def rearm(why: Why, asked: Asked) -> Change:
    """Allow orders again after a kill."""
    return await asked.answer(await asked.requests.rearm(why.reason, asked.request_id))

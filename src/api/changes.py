"""How changes are asked for and answered: an id at once, or the result for who waits."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Header, Query, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.problems import documented
from api.served import Running

WAIT_S_MAX = 60

_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="The same key again is the same request; drawn where it is missing.",
        examples=["2b0f8a1c-6a3e-4a55-9f4e-0c9f5a6f3d11"],
    ),
]
_Wait = Annotated[
    float | None,
    Query(
        ge=0,
        le=WAIT_S_MAX,
        allow_inf_nan=False,
        description="Seconds to wait for the result; without it the answer is 202 at once.",
    ),
]


class Change(BaseModel):
    """A durable request for a change."""

    workflow_id: str = Field(examples=["add:sim-BTC-USDT:2b0f8a1c"])
    status: str = Field(
        description="DBOS's word: ENQUEUED, PENDING, SUCCESS, ERROR or CANCELLED.",
        examples=["SUCCESS"],
    )
    result: dict[str, Any] | None = Field(
        description="What came of it, once that is known.",
        examples=[{"outcome": "done", "symbol": "BTC/USDT", "shard": 1, "status": "running"}],
    )


#: What every route that asks for a change may answer.
CHANGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK.value: {"model": Change, "description": "Done (only with `wait`)"},
    HTTPStatus.ACCEPTED.value: {"description": "Kept in Postgres; it goes on by itself"},
    **documented(HTTPStatus.CONFLICT, HTTPStatus.INTERNAL_SERVER_ERROR),
}


class Asking:
    """One request for a change: its key, and how long its caller waits."""

    def __init__(
        self, served: Running, response: Response, key: _Key = None, wait: _Wait = None
    ) -> None:
        self.requests = served.database.requests
        self.request_id = key or str(uuid.uuid4())
        self._response = response
        self._wait_s = wait

    async def answer(self, workflow_id: str) -> Change:
        """Say how far the workflow is; its refusal or failure is a problem for who waited."""
        location = {"Location": f"/api/v1/workflows/{quote(workflow_id, safe=':')}"}
        progress = await self.requests.wait(workflow_id, self._wait_s or 0)
        if self._wait_s is not None and progress.result is not None:
            match progress.result.get("outcome"):
                case "refused":
                    reason = str(progress.result["reason"])
                    raise HTTPException(HTTPStatus.CONFLICT, reason, location)
                case "given up":
                    text = f"{workflow_id}: {progress.result['reason']}"
                    raise HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, text, location)
                case "failed":
                    text = f"{workflow_id} failed: its steps tell more"
                    raise HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, text, location)
                case "done":
                    self._response.status_code = HTTPStatus.OK
        self._response.headers.update(location)
        return Change(workflow_id=workflow_id, status=progress.status, result=progress.result)


Asked = Annotated[Asking, Depends()]

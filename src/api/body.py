"""Request bodies: bounded and read strictly, so that none is half understood."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from json import JSONDecodeError
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response

BODY_BYTES_MAX = 256 * 1024
NESTING_MAX = 32
_TOO_LARGE = f"a request's body may have {BODY_BYTES_MAX} bytes"


class BodyLimit:
    """Refuse a body by its declared length, or as soon as more has arrived."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if declared.isdecimal() and int(declared) > BODY_BYTES_MAX:
            response = problem_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
            await response(scope, receive, send)
            return
        arrived = 0

        async def receive_bounded() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > BODY_BYTES_MAX:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
            return message

        await self._app(scope, receive_bounded, send)


class StrictRoute(APIRoute):
    """The class of every route with a body: it takes no NaN, no infinity and no endless nesting."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        document = orjson.loads(await self.body())
        if _is_deeper(document, NESTING_MAX):
            raise JSONDecodeError(f"nests deeper than {NESTING_MAX} levels", "", 0)
        return document


def _is_deeper(node: object, levels: int) -> bool:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return any(levels == 0 or _is_deeper(child, levels - 1) for child in children)

"""What every request meets before a route: the check of its host, and one line in the log."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

log = structlog.get_logger("api")


class HostCheck:
    """Refuse names that are not ours: a web page cannot reach us by rebinding its own."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._allowed_hosts = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_allowed(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        response = problem_response(
            HTTPStatus.BAD_REQUEST, f"the Host header must be one of {sorted(self._allowed_hosts)}"
        )
        await response(scope, receive, send)

    def _is_allowed(self, host: str) -> bool:
        try:
            return urlsplit(f"//{host}").hostname in self._allowed_hosts
        except ValueError:
            return False


class SecurityHeaders:
    """Tell browsers to do nothing with our answers but show them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RequestLog:
    """One line a request, and its `http_request_id` on every line that it causes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started_s = time.monotonic()
        with structlog.contextvars.bound_contextvars(http_request_id=secrets.token_hex(8)):
            try:
                await self._app(scope, receive, send_and_note)
            except Exception:  # the border of one request: others are served
                log.exception("http_request_failed")
                if status is not None:
                    raise
                response = problem_response(
                    HTTPStatus.INTERNAL_SERVER_ERROR, "an unforeseen error: the log tells more"
                )
                await response(scope, receive, send_and_note)
            write = log.debug if scope["method"] in {"GET", "HEAD"} else log.info
            write(
                "http_request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round((time.monotonic() - started_s) * 1000, 1),
            )
